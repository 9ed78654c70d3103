//! Where everything lies: sources in this crate's folder, products below `target/testcluster`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The folder of this crate: the Go modules and manifests are in it.
pub(crate) fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder below which everything is built, kept and started.
pub(crate) fn root() -> PathBuf {
    let workspace = sources().ancestors().nth(2).unwrap_or(Path::new("/"));
    workspace.join("target/testcluster")
}

/// The folder of the built programs.
pub(crate) fn bin() -> PathBuf {
    root().join("bin")
}

/// The folder of the CRDs and rules of others (Traefik, cert-manager).
pub(crate) fn manifests() -> PathBuf {
    root().join("manifests")
}

/// Creates a folder and its parents, naming it when that fails.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))
}

/// Writes a file, naming it when that fails.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a text file, naming it when that fails.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Waits until this process alone holds the lock of that name; the lock ends with the returned file or the process.
pub(crate) fn lock(name: &str) -> Result<File> {
    let folder = root().join("locks"); // they stay: a lock that is removed can be held twice
    create_dir(&folder)?;
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("cannot open the lock {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot take the lock {}", path.display()))?;
    Ok(file)
}
