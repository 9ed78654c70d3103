//! What the threads of the process share: readiness, the model's card, the counters.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

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
    card: OnceLock<Arc<Card>>,
    draining: AtomicBool,
    pulse: OnceLock<Arc<Pulse>>,
    metrics: Arc<Metrics>,
}

impl State {
    /// The state at start: loading.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let loading = ModelError::new(Reason::Loading, "the model is being verified");
        Self {
            failure: RwLock::new(loading),
            card: OnceLock::new(),
            draining: AtomicBool::new(false),
            pulse: OnceLock::new(),
            metrics,
        }
    }

    /// The model serves on every thread.
    pub fn set_ready(&self, card: Card) {
        let _ = self.card.set(Arc::new(card));
    }

    /// What tells whether the model still answers.
    pub fn set_pulse(&self, pulse: Arc<Pulse>) {
        let _ = self.pulse.set(pulse);
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
        if self.pulse.get().is_some_and(|pulse| pulse.is_failing()) {
            let message = "the model failed several times in a row; it is tried again every second";
            return Readiness::NotReady(ModelError::new(Reason::ModelFailing, message));
        }
        match self.card.get() {
            Some(card) => Readiness::Ready(Arc::clone(card)),
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
    pub fn card(&self) -> Option<&Arc<Card>> {
        self.card.get()
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
