//! What became of traces and logs on their way to the collector.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::metrics::{Collect, Exposition};

/// Counters of one signal.
#[derive(Debug, Default)]
pub struct Signal {
    /// Taken, neither exported nor given up yet.
    pending: AtomicUsize,
    exported: AtomicU64,
    queue_full: AtomicU64,
    export_failed: AtomicU64,
}

impl Signal {
    /// Whether one more may wait for its export; a refusal is counted.
    pub fn admit(&self, limit: usize) -> bool {
        let free = self.pending.fetch_add(1, Relaxed) < limit;
        if !free {
            self.pending.fetch_sub(1, Relaxed);
            self.queue_full.fetch_add(1, Relaxed);
        }
        free
    }

    /// So many were sent, or given up.
    pub fn settle(&self, count: usize, sent: bool) {
        let counter = if sent { &self.exported } else { &self.export_failed };
        counter.fetch_add(count as u64, Relaxed);
        self.pending.fetch_sub(count, Relaxed);
    }

    #[cfg(test)]
    pub fn dropped(&self) -> u64 {
        self.queue_full.load(Relaxed) + self.export_failed.load(Relaxed)
    }

    #[cfg(test)]
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }
}

/// Counters of what goes to the collector. Registered also when there is none, so that the series exist.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) spans: Signal,
    pub(super) logs: Signal,
    /// Requests whose sampled parent was over the limit.
    pub(super) limited: AtomicU64,
}

impl Collect for Counts {
    fn collect(&self, out: &mut Exposition) {
        let signals = [("spans", &self.spans), ("logs", &self.logs)];
        let help = "Spans and log records that a collector took.";
        let mut family = out.counter("fraud_telemetry_exported", help);
        for (name, signal) in signals {
            family.sample(&[("signal", name)], signal.exported.load(Relaxed));
        }
        let help = "Spans and log records that were given up, by why.";
        let mut family = out.counter("fraud_telemetry_dropped", help);
        for (name, signal) in signals {
            family
                .sample(
                    &[("signal", name), ("reason", "queue_full")],
                    signal.queue_full.load(Relaxed),
                )
                .sample(
                    &[("signal", name), ("reason", "export_failed")],
                    signal.export_failed.load(Relaxed),
                );
        }
        let help = "Requests that were not traced although their caller is, because there were too many.";
        out.counter("fraud_traces_limited", help)
            .sample(&[], self.limited.load(Relaxed));
    }
}
