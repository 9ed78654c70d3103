//! The life of one process: probes, client, election, work.

use crate::cli::Settings;
use crate::leader::{Election, Fence};
use crate::metrics::Metrics;
use crate::server::{Health, Stage};
use crate::{FIELD_MANAGER, client, controller, server, shutdown};

/// Runs until a signal asks for the end (then the answer is `Ok`) or the Lease is lost.
///
/// # Errors
/// When something is missing at the start (address of the probes, cluster), or when the Lease was lost: the process
/// has to end then, and its pod starts afresh.
pub async fn operate(settings: Settings) -> anyhow::Result<()> {
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
