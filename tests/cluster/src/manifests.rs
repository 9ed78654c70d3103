//! The CRDs and rules of Traefik and cert-manager, taken from their Go modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{go, paths, progress, shell};

const TRAEFIK: Source = Source {
    name: "traefik",
    module: "traefik-crds",
    path: "github.com/traefik/traefik/v3",
    folder: "docs/content/reference/dynamic-configuration",
    files: &["kubernetes-crd-definition-v1.yml", "kubernetes-crd-rbac.yml"],
};

const CERT_MANAGER: Source = Source {
    name: "cert-manager",
    module: "addons",
    path: "github.com/cert-manager/cert-manager",
    folder: "deploy/crds",
    files: &[
        "acme.cert-manager.io_challenges.yaml",
        "acme.cert-manager.io_orders.yaml",
        "cert-manager.io_certificaterequests.yaml",
        "cert-manager.io_certificates.yaml",
        "cert-manager.io_clusterissuers.yaml",
        "cert-manager.io_issuers.yaml",
    ],
};

/// Files of a Go module that are wanted as they are.
#[derive(Clone, Copy, Debug)]
struct Source {
    name: &'static str,
    /// Folder below `go/` whose `go.mod` pins the version.
    module: &'static str,
    path: &'static str,
    folder: &'static str,
    files: &'static [&'static str],
}

/// The files with Traefik's CRDs, for [`crate::install_crds`]. Fetched at the first call.
pub fn traefik_crds() -> Result<Vec<PathBuf>> {
    Ok(vec![ensure(TRAEFIK)?.swap_remove(0)])
}

/// The file with the cluster role that Traefik needs.
pub(crate) fn traefik_rbac() -> Result<PathBuf> {
    Ok(ensure(TRAEFIK)?.swap_remove(1))
}

/// The files with cert-manager's CRDs, for [`crate::install_crds`]. Fetched at the first call.
pub fn cert_manager_crds() -> Result<Vec<PathBuf>> {
    ensure(CERT_MANAGER)
}

/// Copies the files below `target/testcluster/manifests`, again when the pinned version changed.
fn ensure(source: Source) -> Result<Vec<PathBuf>> {
    let folder = paths::manifests().join(source.name);
    let pinned = paths::read(&paths::sources().join("go").join(source.module).join("go.mod"))?;
    if fs::read_to_string(folder.join(".stamp")).unwrap_or_default() != pinned {
        let _lock = paths::lock("manifests")?;
        progress::step(&format!("fetch the CRDs of {}", source.name), || {
            fetch(source, &folder)
        })?;
        paths::write(&folder.join(".stamp"), &pinned)?;
    }
    Ok(source.files.iter().map(|file| folder.join(file)).collect())
}

fn fetch(source: Source, folder: &Path) -> Result<()> {
    let mut command = go::command(source.module)?;
    let printed = shell::output(command.args(["mod", "download", "-json", source.path]))?;
    let module: Value = serde_json::from_str(&printed).context("go mod download printed no JSON")?;
    let Some(downloaded) = module["Dir"].as_str() else {
        bail!("no folder in what go printed: {printed}")
    };
    paths::create_dir(folder)?;
    for file in source.files {
        let from = Path::new(downloaded).join(source.folder).join(file);
        let content = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let fresh = folder.join(format!(".{file}.new"));
        paths::write(&fresh, content)?;
        fs::rename(&fresh, folder.join(file))?;
    }
    Ok(())
}
