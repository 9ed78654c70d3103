//! Arguments in, telemetry on, the operator at work, everything released and flushed at the end.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use fraudops_operator::cli::{Cli, Command, Settings};
use fraudops_operator::{process, telemetry};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command() {
        Command::Run(settings) => run(*settings),
        Command::Crd => fraudops_crds::crd_yaml()
            .map(|yaml| print!("{yaml}"))
            .map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("fraudops-operator: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: Settings) -> anyhow::Result<()> {
    let ring = rustls::crypto::ring::default_provider();
    ring.install_default()
        .map_err(|_| anyhow!("another TLS provider is already installed"))?;
    let telemetry = telemetry::start(settings.log_format, &settings.log_filter)?;
    let outcome = process::operate(settings).await;
    telemetry.flush();
    outcome
}
