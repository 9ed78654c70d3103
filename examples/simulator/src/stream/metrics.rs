//! The stream's own metrics, for Prometheus.

use std::{fmt, io, net::SocketAddr, sync::atomic::AtomicU64};

use axum::{Router, extract::State, http::header, routing::get};
use hdrhistogram::Histogram;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::net::TcpListener;

use super::{
    answer::Decision,
    stats::{Feedback, Shared, Stats, lock},
};

/// Upper bounds of the latency's buckets, microseconds: those of the scorer's own, and longer ones.
const BUCKETS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Opens the port.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers `GET /metrics` until it is dropped.
pub async fn serve(listener: TcpListener, stats: Shared) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(scrape)).with_state(stats);
    axum::serve(listener, router).await
}

async fn scrape(
    State(stats): State<Shared>,
) -> Result<([(header::HeaderName, &'static str); 1], String), http::StatusCode> {
    let stats = lock(&stats).clone();
    let text = render(&stats).map_err(|_| http::StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text))
}

type Label = [(&'static str, String); 1];

/// All metrics in the text format of OpenMetrics.
pub fn render(stats: &Stats) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("fraud_simulator");
    let Feedback {
        counted,
        repeated,
        refused,
        failed,
    } = stats.feedback;
    let [genuine, fraud] = stats.labels;
    let decisions =
        Decision::ALL.map(|decision| (decision.as_str().to_owned(), stats.decisions[decision as usize]));
    let failures = stats.failures.iter().map(|(kind, count)| (kind.clone(), *count));
    let results = [
        ("counted", counted),
        ("repeated", repeated),
        ("refused", refused),
        ("failed", failed),
    ];
    let flagged = [("review", stats.flagged[0]), ("block", stats.flagged[1])];
    let named = |(name, count): (&str, u64)| (name.to_owned(), count);

    let truth = [("genuine", stats.sent - stats.frauds), ("fraud", stats.frauds)].map(named);
    counters(
        &mut registry,
        "transactions",
        "Transactions sent, by what they are",
        "truth",
        truth,
    );
    counters(&mut registry, "decisions", "Answers", "decision", decisions);
    counters(
        &mut registry,
        "failures",
        "Transactions without a decision",
        "kind",
        failures,
    );
    let labels = [("genuine", genuine), ("fraud", fraud)].map(named);
    counters(
        &mut registry,
        "labels",
        "Labels that came for answered transactions",
        "label",
        labels,
    );
    counters(
        &mut registry,
        "feedback",
        "What became of labels that were sent",
        "result",
        results.map(named),
    );
    let all = flagged.map(|(threshold, flagged)| named((threshold, flagged.all)));
    counters(
        &mut registry,
        "flagged",
        "Labelled transactions that were flagged",
        "threshold",
        all,
    );
    let hits = flagged.map(|(threshold, flagged)| named((threshold, flagged.frauds)));
    counters(
        &mut registry,
        "flagged_frauds",
        "Frauds among them",
        "threshold",
        hits,
    );
    shares(
        &mut registry,
        "precision_ratio",
        "Share of frauds among labelled transactions that were flagged, from the start; NaN before there are any",
        flagged.map(|(threshold, flagged)| (threshold, flagged.precision())),
    );
    shares(
        &mut registry,
        "recall_ratio",
        "Share of flagged transactions among labelled frauds, from the start; NaN before there are any",
        flagged.map(|(threshold, flagged)| (threshold, flagged.recall(fraud))),
    );
    counter(&mut registry, "retries", "Requests sent again", stats.retries);
    counter(
        &mut registry,
        "model_errors",
        "Answers in whose place the model failed",
        stats.model_errors,
    );
    let simulated: Gauge = Gauge::default();
    simulated.set(stats.simulated.unwrap_or_default());
    registry.register(
        "simulated_time_seconds",
        "Where the simulation is, Unix time",
        simulated,
    );
    registry.register_collector(Box::new(Durations(stats.latency.clone())));

    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    counts: impl IntoIterator<Item = (String, u64)>,
) {
    let family = Family::<Label, Counter>::default();
    for (value, count) in counts {
        family.get_or_create(&[(label, value)]).inc_by(count);
    }
    registry.register(name, help, family);
}

fn shares(registry: &mut Registry, name: &str, help: &str, shares: [(&'static str, Option<f64>); 2]) {
    let family = Family::<Label, Gauge<f64, AtomicU64>>::default();
    for (threshold, share) in shares {
        let label = [("threshold", threshold.to_owned())];
        family.get_or_create(&label).set(share.unwrap_or(f64::NAN));
    }
    registry.register(name, help, family);
}

fn counter(registry: &mut Registry, name: &str, help: &str, count: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(count);
    registry.register(name, help, counter);
}

#[derive(Debug)]
struct Durations(Histogram<u64>);

impl Collector for Durations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(latency) = self;
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = BUCKETS
            .map(|micros| {
                let until = latency.count_between(0, micros);
                (micros as f64 / 1e6, until - std::mem::replace(&mut below, until))
            })
            .to_vec();
        buckets.push((f64::INFINITY, latency.len() - below));
        let sum = latency.mean() * latency.len() as f64 / 1e6;
        let help = "From when a transaction was due to its decision";
        encoder
            .encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, latency.len(), &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::stream::{answer::Answer, connection::Failure, ledger::Labelled};

    #[test]
    fn the_page_has_counters_and_the_latency_in_seconds() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        stats.sent = 3;
        stats.frauds = 1;
        stats.failed(Failure::Status(503), start);
        for millis in [2, 700] {
            let answer = Answer {
                decision: Decision::Review,
                receipt: None,
                is_model_error: false,
            };
            stats.answered(&answer, start, start + Duration::from_millis(millis));
        }
        for is_fraud in [true, true, false] {
            stats.labelled(&Labelled {
                decision: if is_fraud {
                    Decision::Review
                } else {
                    Decision::Approve
                },
                receipt: None,
                is_fraud,
            });
        }
        let page = render(&stats).unwrap();
        for line in [
            "fraud_simulator_labels_total{label=\"fraud\"} 2",
            "fraud_simulator_flagged_frauds_total{threshold=\"review\"} 2",
            "fraud_simulator_precision_ratio{threshold=\"review\"} 1.0",
            "fraud_simulator_precision_ratio{threshold=\"block\"} NaN",
            "fraud_simulator_recall_ratio{threshold=\"block\"} 0.0",
            "fraud_simulator_transactions_total{truth=\"genuine\"} 2",
            "fraud_simulator_decisions_total{decision=\"review\"} 2",
            "fraud_simulator_decisions_total{decision=\"block\"} 0",
            "fraud_simulator_failures_total{kind=\"http_503\"} 1",
            "fraud_simulator_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "fraud_simulator_request_duration_seconds_bucket{le=\"0.0025\"} 1",
            "fraud_simulator_request_duration_seconds_bucket{le=\"1.0\"} 2",
            "fraud_simulator_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "fraud_simulator_request_duration_seconds_count 2",
            "fraud_simulator_retries_total 0",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} in {page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
