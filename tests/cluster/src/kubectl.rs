//! kubectl against one cluster: what people would type.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{programs, shell};

/// kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// Our kubectl for the cluster of that kubeconfig.
    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        Self {
            program: programs::path("kubectl"),
            kubeconfig,
        }
    }

    /// The same with another kubectl.
    pub(crate) fn with_program(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// A command with these arguments.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = shell::command(&[&self.program]);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(words);
        command
    }

    /// Runs it to its end and returns what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        shell::output(&mut self.command(words))
    }

    /// Applies files server-side.
    pub(crate) fn apply(&self, files: &[PathBuf]) -> Result<()> {
        let mut command = self.command(&["apply", "--server-side", "--force-conflicts"]);
        for file in files {
            command.arg("--filename").arg(file);
        }
        shell::output(&mut command).map(drop)
    }

    /// Repeats the command until it succeeds; the last error when it never does.
    pub(crate) fn retry(&self, words: &[&str], limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.run(words) {
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| format!("not true after {limit:?}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(200)),
                done => return done,
            }
        }
    }
}
