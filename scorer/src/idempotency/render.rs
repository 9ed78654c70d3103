//! The metrics of idempotency.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{Memory, Outcome};
use crate::metrics::{Collect, Exposition};

/// What the pod's memory counts, and who is connected to Redis.
#[derive(Debug)]
pub struct Counters {
    /// The pod's memory.
    pub memory: Arc<Memory>,
    /// Serving threads that are connected to Redis, where one is named.
    pub connections: Option<Arc<AtomicUsize>>,
}

impl Collect for Counters {
    fn collect(&self, out: &mut Exposition) {
        let counts = self.memory.counts();
        let help = "Requests with a transaction id, by what became of them.";
        let mut requests = out.counter("fraud_idempotency", help);
        for (outcome, count) in Outcome::ALL.into_iter().zip(counts.outcomes) {
            requests.sample(&[("outcome", outcome.as_str())], count);
        }
        let help = "Answers that were forgotten before their time to make room.";
        out.counter("fraud_idempotency_evicted", help)
            .sample(&[], counts.evicted);
        let whole = |count: usize| count as u64;
        out.gauge(
            "fraud_idempotency_entries",
            "Transactions in the memory of the pod.",
        )
        .sample(&[], whole(counts.entries));
        out.gauge("fraud_idempotency_bytes", "Bytes that they take.")
            .sample(&[], whole(counts.bytes));
        if let Some(connections) = &self.connections {
            let help = "Serving threads that are connected to Redis.";
            out.gauge("fraud_idempotency_redis_connections", help)
                .sample(&[], whole(connections.load(Relaxed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{idempotency::Limits, metrics::Format};

    #[test]
    fn every_series_is_there_from_the_start_at_zero() {
        let counters = Counters {
            memory: Arc::new(Memory::new(Limits::default())),
            connections: Some(Arc::default()),
        };
        let mut out = Exposition::new(Format::Text, 0.0);
        counters.collect(&mut out);
        let text = out.finish();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), 8);
        assert!(samples.iter().all(|line| line.ends_with(" 0")), "{text}");
        assert!(samples[3].contains("outcome=\"unavailable\""), "{text}");
    }
}
