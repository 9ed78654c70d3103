//! Counters of the scorer: one shard of atomics for each serving thread, merged when somebody scrapes.

mod histogram;
mod shard;
mod text;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use histogram::{DURATION_BOUNDS, Histogram, SCORE_BOUNDS};
pub use shard::{RequestError, Shard};

/// What is known about the served model, for `fraud_model_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLabels {
    /// Version as the manifest says it.
    pub version: String,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Algorithm as the metadata says it.
    pub algorithm: String,
}

/// All counters of the process. Every series exists from the start, at zero.
#[derive(Debug)]
pub struct Metrics {
    shards: Vec<Arc<Shard>>,
    open: AtomicUsize,
    model: OnceLock<ModelLabels>,
    load_time: OnceLock<Duration>,
    started: SystemTime,
}

impl Metrics {
    /// One shard for each of `workers` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| Arc::default()).collect(),
            open: AtomicUsize::new(0),
            model: OnceLock::new(),
            load_time: OnceLock::new(),
            started: SystemTime::now(),
        }
    }

    /// The shard of a serving thread.
    pub fn shard(&self, worker: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[worker % self.shards.len()])
    }

    /// Says which model is served, and how long it took to load; the first call counts.
    pub fn set_model(&self, model: ModelLabels, load_time: Duration) {
        let _ = self.model.set(model);
        let _ = self.load_time.set(load_time);
    }

    /// Counts a connection in, unless `limit` are open already.
    pub fn try_open(&self, limit: usize) -> bool {
        let step = |open: usize| (open < limit).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
    }

    /// Counts a connection out.
    pub fn close(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections that are open on the serving port.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The exposition in Prometheus' text format.
    pub fn render(&self, ready: bool) -> String {
        let mut total = shard::Totals::default();
        for shard in &self.shards {
            total.add(shard);
        }
        let started = self
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        text::render(&text::Scrape {
            total: &total,
            ready,
            open: self.open(),
            model: self.model.get(),
            load_time: self.load_time.get().copied(),
            started,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Decision;

    #[test]
    fn all_series_exist_at_zero_and_shards_are_merged() {
        let metrics = Metrics::new(2);
        let before = metrics.render(false);
        for line in [
            "fraud_decisions_total{decision=\"block\"} 0",
            "fraud_predictions_total{is_fraud=\"true\"} 0",
            "predictions_total{is_fraud=\"false\"} 0",
            "fraud_prediction_duration_seconds_bucket{le=\"0.00025\"} 0",
            "fraud_score_bucket{le=\"0.001\"} 0",
            "fraud_request_errors_total{kind=\"too_large\"} 0",
            "fraud_model_errors_total 0",
            "fraud_panics_total 0",
            "fraud_ready 0",
        ] {
            assert!(
                before.lines().any(|l| l == line),
                "{line} is missing in\n{before}"
            );
        }
        for worker in 0..2 {
            metrics
                .shard(worker)
                .answered(Decision::Block, Some(0.7), Duration::from_millis(3));
        }
        let after = metrics.render(true);
        for line in [
            "fraud_decisions_total{decision=\"block\"} 2",
            "fraud_predictions_total{is_fraud=\"true\"} 2",
            "fraud_prediction_duration_seconds_bucket{le=\"0.0025\"} 0",
            "fraud_prediction_duration_seconds_bucket{le=\"0.005\"} 2",
            "fraud_prediction_duration_seconds_sum 0.006",
            "fraud_score_bucket{le=\"0.5\"} 0",
            "fraud_score_bucket{le=\"0.8\"} 2",
            "fraud_score_bucket{le=\"+Inf\"} 2",
            "fraud_ready 1",
        ] {
            assert!(after.lines().any(|l| l == line), "{line} is missing in\n{after}");
        }
    }

    #[test]
    fn the_connection_limit_holds() {
        let metrics = Metrics::new(1);
        assert!(metrics.try_open(2) && metrics.try_open(2));
        assert!(!metrics.try_open(2));
        metrics.close();
        assert!(metrics.try_open(2));
        assert_eq!(metrics.open(), 2);
    }
}
