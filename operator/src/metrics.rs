//! Metrics of the operator, in OpenMetrics text.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

mod process;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the reconcile durations: from a visit without a write to a call that hit its deadline.
const DURATIONS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    gate: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    code: String,
}

/// All metrics of the process. Clones share the same numbers.
///
/// No label carries a name that users choose, so the number of series is bounded.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    reconcile_duration: Histogram,
    reconcile_errors: Family<Kind, Counter>,
    in_flight: Gauge,
    queue_depth: Gauge,
    queued: Mutex<HashSet<String>>,
    models: Family<Phase, Gauge>,
    phases: Mutex<HashMap<String, String>>,
    leader: Gauge<i64, AtomicI64>,
    weight_changes: Counter,
    rollouts: Family<Outcome, Counter>,
    gate_verdicts: Family<Judged, Counter>,
    scrapes: Family<Outcome, Counter>,
    api_requests: Family<Call, Counter>,
}

/// One reconcile under way: counts as in flight until it is dropped, and its duration is observed then.
#[derive(Debug)]
pub struct Visit {
    metrics: Metrics,
    start: Instant,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// An own set of metrics, all at zero. The process start time is now.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            reconcile_duration: Histogram::new(DURATIONS),
            reconcile_errors: Family::default(),
            in_flight: Gauge::default(),
            queue_depth: Gauge::default(),
            queued: Mutex::default(),
            models: Family::default(),
            phases: Mutex::default(),
            leader: Gauge::default(),
            weight_changes: Counter::default(),
            rollouts: Family::default(),
            gate_verdicts: Family::default(),
            scrapes: Family::default(),
            api_requests: Family::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// A model became due (a change, a timer): it waits in the queue until [`Metrics::visit`]. Repeats count once.
    pub fn queued(&self, model: &str) {
        self.change_queue(|queued| queued.insert(model.to_owned()));
    }

    /// A reconcile of `model` begins; keep the answer until it has ended, well or not.
    #[must_use = "the reconcile counts as ended when this is dropped"]
    pub fn visit(&self, model: &str) -> Visit {
        self.change_queue(|queued| queued.remove(model));
        self.0.in_flight.inc();
        Visit {
            metrics: self.clone(),
            start: Instant::now(),
        }
    }

    /// A reconcile failed. `kind` is one of the error's few names, never a text with details.
    pub fn reconcile_failed(&self, kind: &'static str) {
        self.0.reconcile_errors.get_or_create(&Kind { kind }).inc();
    }

    /// The phase of `model` (namespace/name) is `phase` from now on.
    pub fn model_phase(&self, model: &str, phase: &str) {
        let mut phases = self.0.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = phases.insert(model.to_owned(), phase.to_owned()) {
            self.phase_gauge(&old).dec();
        }
        self.phase_gauge(phase).inc();
    }

    /// `model` (namespace/name) does not exist any more.
    pub fn model_gone(&self, model: &str) {
        self.change_queue(|queued| queued.remove(model));
        let mut phases = self.0.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = phases.remove(model) {
            self.phase_gauge(&old).dec();
        }
    }

    /// Whether this process is the leader.
    pub fn leading(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// A weight in front of a version was changed.
    pub fn weight_changed(&self) {
        self.0.weight_changes.inc();
    }

    /// A rollout ended; `outcome` as in `status.history`.
    pub fn rollout_ended(&self, outcome: &'static str) {
        self.0.rollouts.get_or_create(&Outcome { outcome }).inc();
    }

    /// A gate was judged.
    pub fn gate_judged(&self, gate: &'static str, verdict: &'static str) {
        self.0
            .gate_verdicts
            .get_or_create(&Judged { gate, verdict })
            .inc();
    }

    /// A scorer pod was asked for its counters: `read`, `silent` or `unusable`.
    pub fn scraped(&self, outcome: &'static str) {
        self.0.scrapes.get_or_create(&Outcome { outcome }).inc();
    }

    /// A request to the API server was answered with `code`, or not at all.
    pub fn api_request(&self, verb: &'static str, code: Option<u16>) {
        let code = code.map_or_else(|| String::from("none"), |code| code.to_string());
        self.0.api_requests.get_or_create(&Call { verb, code }).inc();
    }

    /// Everything as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)
            .expect("writing into a String can't fail");
        text
    }

    fn phase_gauge(&self, phase: &str) -> Gauge {
        self.0.models.get_or_create_owned(&Phase {
            phase: phase.to_owned(),
        })
    }

    fn change_queue(&self, change: impl FnOnce(&mut HashSet<String>) -> bool) {
        let mut queued = self.0.queued.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut queued);
        self.0
            .queue_depth
            .set(i64::try_from(queued.len()).unwrap_or(i64::MAX));
    }
}

impl Inner {
    fn register(&mut self) {
        self.registry
            .register_collector(Box::new(process::Process::start()));
        let ours = self.registry.sub_registry_with_prefix("fraudops_operator");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "Version of the operator", version);
        ours.register_with_unit(
            "reconcile_duration",
            "Time from the start to the end of a reconcile",
            Unit::Seconds,
            self.reconcile_duration.clone(),
        );
        ours.register(
            "reconcile_errors",
            "Reconciles that failed, by kind of error",
            self.reconcile_errors.clone(),
        );
        ours.register(
            "reconciles_in_flight",
            "Reconciles under way",
            self.in_flight.clone(),
        );
        ours.register(
            "workqueue_depth",
            "FraudModels that wait for their reconcile",
            self.queue_depth.clone(),
        );
        ours.register("models", "FraudModels by phase", self.models.clone());
        ours.register(
            "leader",
            "1 while this process is the leader",
            self.leader.clone(),
        );
        ours.register(
            "weight_changes",
            "Changes of a weight in front of a version",
            self.weight_changes.clone(),
        );
        ours.register(
            "rollouts",
            "Rollouts that ended, by outcome",
            self.rollouts.clone(),
        );
        ours.register(
            "gate_verdicts",
            "What the gates of rollouts said, at every look",
            self.gate_verdicts.clone(),
        );
        ours.register(
            "scrapes",
            "Scorer pods that were asked for their counters, by outcome",
            self.scrapes.clone(),
        );
        ours.register(
            "api_requests",
            "Requests to the API server, by verb and HTTP status; code none is no answer",
            self.api_requests.clone(),
        );
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let inner = &self.metrics.0;
        inner.in_flight.dec();
        inner
            .reconcile_duration
            .observe(self.start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
