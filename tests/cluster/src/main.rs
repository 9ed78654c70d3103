//! `fraudops-testcluster`: a real local Kubernetes in Linux namespaces, from nothing to ready with one command.

use std::process::ExitCode;

use clap::Parser;
use fraudops_testcluster::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
