//! Scorer pods without a kubelet: a Pod object whose address is one of loopback, and a server there that tells its counters.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::bench::Bench;

/// A pod of one version that says what it is told to.
pub struct Scorer {
    counters: Arc<Counters>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Counters {
    started: u64,
    answers: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
    silent: AtomicBool,
}

impl Scorer {
    /// A ready pod of `deployment` (`<model>-<hash>`) at `address`.
    pub async fn start(bench: &Bench, deployment: &str, address: Ipv4Addr) -> Result<Self> {
        let (model, hash) = deployment.rsplit_once('-').unwrap_or_default();
        let name = format!("{deployment}-0");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "fraudops.dev/model": model, "fraudops.dev/version-hash": hash } },
            "spec": { "containers": [{ "name": "scorer", "image": "scorer:test" }] } }))?;
        let pods = bench.api::<Pod>();
        pods.create(&PostParams::default(), &pod).await?;
        let status = json!({ "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "scorer", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                "state": { "running": {} } }] } });
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
            .await?;

        let now = jiff::Timestamp::now().as_second().unsigned_abs();
        let counters = Arc::new(Counters {
            started: now,
            ..Counters::default()
        });
        let listener = TcpListener::bind((address, 8010)).await?;
        let routes = Router::new()
            .route("/metrics", get(tell))
            .with_state(counters.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { counters, server })
    }

    /// Answers `answers` requests; the model fails on `failures` of them, and `slow` take more than 25 ms.
    pub fn serve(&self, answers: u64, failures: u64, slow: u64) {
        self.counters.answers.fetch_add(answers, Relaxed);
        self.counters.failures.fetch_add(failures, Relaxed);
        self.counters.slow.fetch_add(slow, Relaxed);
    }

    /// Whether it stops telling.
    pub fn be_silent(&self, silent: bool) {
        self.counters.silent.store(silent, Relaxed);
    }
}

impl Drop for Scorer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn tell(State(counters): State<Arc<Counters>>) -> Result<String, StatusCode> {
    if counters.silent.load(Relaxed) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let (answers, failures, slow) = (
        counters.answers.load(Relaxed),
        counters.failures.load(Relaxed),
        counters.slow.load(Relaxed),
    );
    Ok(format!(
        "fraud_request_errors_total{{kind=\"not_ready\"}} 0\n\
         fraud_model_errors_total{{kind=\"engine\"}} {failures}\n\
         fraud_panics_total 0\n\
         fraud_prediction_duration_seconds_bucket{{le=\"0.025\"}} {}\n\
         fraud_prediction_duration_seconds_count {answers}\n\
         process_start_time_seconds {}\n",
        answers - slow,
        counters.started
    ))
}
