//! What the threads of the process share: readiness, the model's card, the counters.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    decision::Thresholds,
    engine::{Kind, Pulse},
    metrics::Metrics,
    model::{Loaded, ModelError, Reason, Verified, decimal},
};

/// The served model, for people and for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// What people call the model.
    pub name: String,
    /// Version as the manifest says it, else as the model says it.
    pub version: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// How it was made.
    pub algorithm: String,
    /// From this score on somebody looks.
    pub review: f64,
    /// From this score on it is stopped.
    pub block: f64,
    /// The engine that serves, and why it does.
    pub engine: Kind,
    /// Why this engine.
    pub engine_reason: String,
    /// Largest difference of the golden vectors.
    pub golden_difference: f64,
    /// The metadata of the file, as it is.
    pub metadata: Value,
}

impl Card {
    /// The card of a verified model.
    pub fn new(model: &Verified, version: String, thresholds: Thresholds, loaded: &Loaded) -> Self {
        let parse = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
        let ours = model.outline.metadata.iter().filter_map(|(key, text)| {
            let name = key
                .strip_prefix("fraudops.dev/")
                .filter(|name| *name != "golden")?;
            Some((name.to_owned(), parse(text)))
        });
        Self {
            name: model.metadata.card.name.clone(),
            version,
            sha256: model.sha256.clone(),
            algorithm: model.metadata.card.algorithm.clone(),
            review: thresholds.review(),
            block: thresholds.block(),
            engine: loaded.kind,
            engine_reason: loaded.why.clone(),
            golden_difference: decimal(loaded.golden_difference),
            metadata: ours.collect(),
        }
    }

    /// The card as `/model` shows it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

/// A changed model file that did not take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// SHA-256 of the file, where it could be read.
    pub sha256: Option<String>,
    /// Why.
    pub error: ModelError,
    /// When that was found.
    pub at: Timestamp,
}

impl Rejected {
    /// As `/model` of the admin port shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "sha256": self.sha256, "reason": self.error.reason.as_str(), "message": self.error.message,
            "at": self.at.to_string(),
        })
    }
}

/// Whether requests can be answered.
#[derive(Clone, Debug)]
pub enum Readiness {
    /// A verified, warm model serves.
    Ready(Arc<Card>),
    /// None does, and this is why.
    NotReady(ModelError),
}

/// Shared by all threads. Not on the path of a prediction.
pub struct State {
    failure: RwLock<ModelError>,
    card: ArcSwapOption<Card>,
    rejected: ArcSwapOption<Rejected>,
    draining: AtomicBool,
    pulse: ArcSwapOption<Pulse>,
    metrics: Arc<Metrics>,
}

impl State {
    /// The state at start: loading.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let loading = ModelError::new(Reason::Loading, "the model is being verified");
        Self {
            failure: RwLock::new(loading),
            card: ArcSwapOption::empty(),
            rejected: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            pulse: ArcSwapOption::empty(),
            metrics,
        }
    }

    /// The model serves on every thread; it may take the place of another one.
    pub fn set_ready(&self, card: Card) {
        self.card.store(Some(Arc::new(card)));
    }

    /// What tells whether the model still answers.
    pub fn set_pulse(&self, pulse: Arc<Pulse>) {
        self.pulse.store(Some(pulse));
    }

    /// The model file is not the one that serves, and this is why; none: it is.
    pub fn set_rejected(&self, rejected: Option<Rejected>) {
        self.rejected.store(rejected.map(Arc::new));
    }

    /// Why the model file is not the one that serves.
    pub fn rejected(&self) -> Option<Arc<Rejected>> {
        self.rejected.load_full()
    }

    /// The model cannot be served.
    pub fn set_failed(&self, error: ModelError) {
        *self.failure.write().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// The process is on its way out.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The truth of this moment.
    pub fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            return Readiness::NotReady(ModelError::new(Reason::Draining, "the process is shutting down"));
        }
        if self.pulse.load().as_ref().is_some_and(|pulse| pulse.is_failing()) {
            let message = "the model failed several times in a row; it is tried again every second";
            return Readiness::NotReady(ModelError::new(Reason::ModelFailing, message));
        }
        match self.card() {
            Some(card) => Readiness::Ready(card),
            None => Readiness::NotReady(
                self.failure
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            ),
        }
    }

    /// Whether requests can be answered.
    pub fn is_ready(&self) -> bool {
        matches!(self.readiness(), Readiness::Ready(_))
    }

    /// The card, once a model serves.
    pub fn card(&self) -> Option<Arc<Card>> {
        self.card.load_full()
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
