//! The metrics of idempotency.

use super::{Memory, Outcome};
use crate::exposition::Exposition;

const REQUESTS: &str = "fraudops_scorer_idempotency_total";
const EVICTED: &str = "fraudops_scorer_idempotency_evicted_total";
const ENTRIES: &str = "fraudops_scorer_idempotency_entries";
const BYTES: &str = "fraudops_scorer_idempotency_bytes";
const CONNECTIONS: &str = "fraudops_scorer_idempotency_redis_connections";

impl Memory {
    /// Appends all families. `connections`: serving threads that are connected to Redis, where one is named.
    pub fn render(&self, page: &mut Exposition<'_>, version: &str, connections: Option<usize>) {
        let counts = self.counts();
        let version = ("version", version);
        page.counter(
            REQUESTS,
            "Requests with a transaction id, by what became of them.",
        );
        for (outcome, count) in Outcome::ALL.into_iter().zip(counts.outcomes) {
            page.sample(REQUESTS, &[version, ("outcome", outcome.as_str())], count);
        }
        page.counter(
            EVICTED,
            "Answers that were forgotten before their time to make room.",
        );
        page.sample(EVICTED, &[version], counts.evicted);
        page.gauge(ENTRIES, "Transactions in the memory of the pod.");
        page.sample(ENTRIES, &[version], counts.entries);
        page.gauge(BYTES, "Bytes that they take.");
        page.sample(BYTES, &[version], counts.bytes);
        if let Some(connections) = connections {
            page.gauge(CONNECTIONS, "Serving threads that are connected to Redis.");
            page.sample(CONNECTIONS, &[version], connections);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exposition::Format, idempotency::Limits};

    #[test]
    fn every_series_is_there_from_the_start_at_zero() {
        let (memory, mut text) = (Memory::new(Limits::default()), String::new());
        let mut page = Exposition::new(&mut text, Format::Prometheus, "m");
        memory.render(&mut page, "1", Some(0));
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), 8);
        assert!(samples.iter().all(|line| line.ends_with(" 0")), "{text}");
        assert!(samples[3].contains("outcome=\"unavailable\""), "{text}");
    }
}
