//! `GET /livez`, `/readyz` and `/metrics`, on a thread of their own.
//!
//! They answer also while the main runtime is stuck: that is what /livez is there to tell. It says nothing about the
//! API server, so an outage of it restarts nobody.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::info;

use crate::metrics::{CONTENT_TYPE, Metrics};

mod accept;

/// Interval of the main runtime's heartbeat.
const BEAT: Duration = Duration::from_secs(1);
/// Silence after which the main runtime counts as stuck.
const STUCK: Duration = Duration::from_secs(30);

/// How far the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing works yet.
    Starting,
    /// Another replica leads; this one is ready to take over.
    StandingBy,
    /// This replica leads and fills its caches.
    Syncing,
    /// This replica leads and works.
    Working,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Starting, Self::StandingBy, Self::Syncing, Self::Working];

    fn is_ready(self) -> bool {
        match self {
            Self::StandingBy | Self::Working => true,
            Self::Starting | Self::Syncing => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::StandingBy => "standing by: another replica is the leader",
            Self::Syncing => "leader: filling the caches",
            Self::Working => "leader: working",
        }
    }
}

/// What the probes answer. Clones share one state.
#[derive(Clone, Debug)]
pub struct Health(Arc<Pulse>);

#[derive(Debug)]
struct Pulse {
    stage: AtomicU8,
    start: Instant,
    beat: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        let stage = AtomicU8::new(Stage::Starting as u8);
        Self(Arc::new(Pulse {
            stage,
            start: Instant::now(),
            beat: AtomicU64::new(0),
        }))
    }
}

impl Health {
    /// The process has reached `stage`.
    pub fn set(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Where the process is.
    pub fn stage(&self) -> Stage {
        let stored = self.0.stage.load(Ordering::Relaxed);
        Stage::ALL
            .into_iter()
            .find(|stage| *stage as u8 == stored)
            .unwrap_or(Stage::Starting)
    }

    /// Beats once a second for as long as the current runtime runs its tasks.
    pub fn beat_for_ever(&self) {
        let health = self.clone();
        tokio::spawn(async move {
            loop {
                health
                    .0
                    .beat
                    .store(millis(health.0.start.elapsed()), Ordering::Relaxed);
                tokio::time::sleep(BEAT).await;
            }
        });
    }

    /// For how long the main runtime has been silent.
    fn silence(&self) -> Duration {
        let beat = Duration::from_millis(self.0.beat.load(Ordering::Relaxed));
        self.0.start.elapsed().saturating_sub(beat)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Binds `addr` and answers from a thread of its own until the process ends. Returns the bound address.
pub fn start(addr: SocketAddr, health: Health, metrics: Metrics) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let routes = router(health, metrics);
    std::thread::Builder::new()
        .name(String::from("probes"))
        .spawn(move || runtime.block_on(accept::serve(listener, routes)))?;
    info!(address = %bound, "answering /livez, /readyz and /metrics");
    Ok(bound)
}

fn router(health: Health, metrics: Metrics) -> Router {
    let probes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health);
    probes.merge(Router::new().route("/metrics", get(scrape)).with_state(metrics))
}

async fn livez(State(health): State<Health>) -> Response {
    live(health.silence())
}

fn live(silence: Duration) -> Response {
    if silence < STUCK {
        return "ok\n".into_response();
    }
    let message = format!("the main runtime has not run for {} s\n", silence.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    let stage = health.stage();
    let code = if stage.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, format!("{}\n", stage.word())).into_response()
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.encode()).into_response()
}

#[cfg(test)]
mod tests;
