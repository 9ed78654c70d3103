//! Arguments in, telemetry on, the operator at work, everything released and flushed at the end.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use fraudops_operator::cli::{Cli, Command, Settings};
use fraudops_operator::leader::{Election, Fence};
use fraudops_operator::metrics::Metrics;
use fraudops_operator::server::{Health, Stage};
use fraudops_operator::{client, controller, server, shutdown, telemetry};

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
    let outcome = operate(settings).await;
    telemetry.flush();
    outcome
}

async fn operate(settings: Settings) -> anyhow::Result<()> {
    let (metrics, health, shutdown) = (Metrics::new(), Health::default(), shutdown::on_signal()?);
    health.beat_for_ever();
    server::start(settings.metrics_addr, health.clone(), metrics.clone())?;
    let fence = if settings.leader_elect {
        Fence::closed()
    } else {
        Fence::open()
    };
    let clients = client::connect(&settings, &metrics, &fence).await?;
    let identity = settings.unique_identity();
    let work = async || {
        metrics.leading(true);
        health.set(Stage::Syncing);
        let (synced, stop) = (health.clone(), shutdown.clone());
        let synced = move || synced.set(Stage::Working);
        let work = controller::run(
            clients.work,
            &settings,
            metrics.clone(),
            identity.clone(),
            stop,
            synced,
        );
        shutdown::drain(shutdown.clone(), work).await;
    };
    if settings.leader_elect {
        health.set(Stage::StandingBy);
        let (namespace, ttl) = (&settings.namespace, settings.lease_duration);
        let election = Election::new(
            clients.election,
            namespace,
            FIELD_MANAGER,
            identity.clone(),
            ttl,
            fence,
        );
        election.lead(shutdown.clone(), work).await?;
    } else {
        work().await;
    }
    Ok(())
}
