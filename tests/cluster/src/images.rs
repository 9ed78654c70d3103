//! The images that the cluster brings: built once by buildah, kept as docker-archives in `target/testcluster/images`.

mod content;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{packages, paths, progress, shell};

/// One image: where its files come from, and what makes it stale.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    /// Name of the archive, and of the image below `localhost/fraudops/`.
    pub(crate) name: &'static str,
    /// Lines of the Containerfile after `FROM scratch` and `COPY root/ /`.
    containerfile: &'static str,
    /// What the content is made from, as text: a change of it means a new image.
    inputs: fn() -> Result<String>,
    /// Writes the image's root folder.
    fill: fn(&Path) -> Result<()>,
}

const IMAGES: [Image; 5] = [
    Image {
        name: "pause",
        containerfile: "USER 65535\nENTRYPOINT [\"/pause\"]",
        inputs: content::pause_inputs,
        fill: content::pause,
    },
    Image {
        name: "coredns",
        containerfile: "USER 65532\nENTRYPOINT [\"/coredns\"]",
        inputs: content::coredns_inputs,
        fill: content::coredns,
    },
    Image {
        name: "traefik",
        containerfile: "USER 65532\nENTRYPOINT [\"/traefik\"]",
        inputs: content::traefik_inputs,
        fill: content::traefik,
    },
    Image {
        name: "tools",
        containerfile: "CMD [\"/bin/sh\"]",
        inputs: content::tools_inputs,
        fill: content::tools,
    },
    Image {
        name: "base",
        containerfile: "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        inputs: content::base_inputs,
        fill: content::base,
    },
];

impl Image {
    /// The name under which the kubelet finds it.
    pub(crate) fn reference(self) -> String {
        reference(self.name)
    }

    /// The docker-archive.
    pub(crate) fn archive(self) -> PathBuf {
        archive(self.name)
    }

    fn stamp(self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(self.containerfile);
        hash.update([0]);
        hash.update((self.inputs)()?);
        Ok(format!("{:x}", hash.finalize()))
    }

    fn stamp_path(self) -> PathBuf {
        folder().join(format!(".{}.stamp", self.name))
    }

    fn is_stale(self) -> Result<bool> {
        let built = fs::read_to_string(self.stamp_path()).unwrap_or_default();
        Ok(!self.archive().exists() || built != self.stamp()?)
    }

    fn build(self) -> Result<()> {
        let context = paths::root().join("build").join(self.name);
        if context.exists() {
            fs::remove_dir_all(&context).with_context(|| format!("cannot empty {}", context.display()))?;
        }
        let root = context.join("root");
        paths::create_dir(&root)?;
        paths::create_dir(&folder())?;
        (self.fill)(&root)?;
        let containerfile = format!("FROM scratch\nCOPY root/ /\n{}\n", self.containerfile);
        paths::write(&context.join("Containerfile"), containerfile)?;
        let fresh = folder().join(format!(".{}.new", self.name));
        fs::remove_file(&fresh).ok(); // buildah does not write over an archive
        buildah(&[
            "bud",
            "--isolation",
            "chroot",
            "--tag",
            &self.reference(),
            &context.to_string_lossy(),
        ])?;
        let target = format!("docker-archive:{}:{}", fresh.display(), self.reference());
        buildah(&["push", &self.reference(), &target])?;
        fs::rename(&fresh, self.archive())?;
        fs::remove_dir_all(&context).ok();
        paths::write(&self.stamp_path(), self.stamp()?)
    }
}

/// The reference of one of our images.
pub(crate) fn reference(name: &str) -> String {
    format!("localhost/fraudops/{name}:1")
}

/// The docker-archive of one of our images.
pub(crate) fn archive(name: &str) -> PathBuf {
    folder().join(format!("{name}.tar"))
}

/// Builds what is missing or stale, one at a time. The programs must be built before.
pub(crate) fn ensure() -> Result<()> {
    let stale = |image: &Image| image.is_stale();
    if !IMAGES
        .iter()
        .map(stale)
        .collect::<Result<Vec<_>>>()?
        .contains(&true)
    {
        return Ok(());
    }
    packages::ensure_for_images()?;
    let _lock = paths::lock("images")?;
    for image in IMAGES {
        if image.is_stale()? {
            progress::step(&format!("build the image {}", image.name), || image.build())?;
        }
    }
    fs::remove_dir_all(storage()).ok(); // the archives are all that is wanted
    Ok(())
}

fn folder() -> PathBuf {
    paths::root().join("images")
}

fn storage() -> PathBuf {
    paths::root().join("buildah")
}

/// Runs buildah with a storage of our own, in a mount namespace of its own so that no mount stays behind.
fn buildah(words: &[&str]) -> Result<String> {
    let root = storage().join("root").to_string_lossy().into_owned();
    let run = storage().join("run").to_string_lossy().into_owned();
    let policy = paths::root().join("build/policy.json");
    paths::write(&policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#)?;
    let mut command = vec![
        "unshare",
        "--mount",
        "buildah",
        "--root",
        &root,
        "--runroot",
        &run,
        "--storage-driver",
        "vfs",
    ];
    let policy = policy.to_string_lossy().into_owned();
    command.extend([words[0], "--signature-policy", &policy]);
    command.extend(&words[1..]);
    shell::run(&command)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_image_has_its_own_archive_and_reference() {
        let archives: HashSet<_> = IMAGES.iter().map(|image| image.archive()).collect();
        let references: HashSet<_> = IMAGES.iter().map(|image| image.reference()).collect();
        assert_eq!((archives.len(), references.len()), (5, 5));
        assert!(references.contains("localhost/fraudops/base:1"));
    }
}
