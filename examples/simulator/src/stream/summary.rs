//! What happened so far, for people and programs.

use std::{collections::BTreeMap, fmt, time::Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    answer::Decision,
    stats::{Feedback, Flagged, Stats},
};

/// A report. Shares are none where their divisor is zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Since the first transaction.
    pub elapsed_seconds: f64,
    /// Where the simulation is.
    pub simulated_time: Option<Timestamp>,
    /// Transactions sent.
    pub sent: u64,
    /// Transactions a second, from the start.
    pub rate: f64,
    /// Frauds among them.
    pub frauds: u64,
    /// Answers by decision.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Answers in whose place the model failed.
    pub model_errors: u64,
    /// Transactions without a decision, by what happened.
    pub failures: BTreeMap<String, u64>,
    /// Requests sent again.
    pub retries: u64,
    /// From due to decision, milliseconds.
    pub latency_ms: Option<Latency>,
    /// How late transactions were sent at most, milliseconds: what all connections being busy costs, or this machine.
    pub behind_ms: f64,
    /// Labels that came for answered transactions.
    pub labels: Labels,
    /// What became of those that were sent.
    pub feedback: Feedback,
    /// Of labelled transactions: review or block.
    pub review: Quality,
    /// Of labelled transactions: block.
    pub block: Quality,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Labels by what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Labels {
    pub genuine: u64,
    pub fraud: u64,
}

/// How good decisions were, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Share of frauds among what was flagged.
    pub precision: Option<f64>,
    /// Share of what was flagged among frauds.
    pub recall: Option<f64>,
}

impl Summary {
    /// Sums up, until now or the end.
    #[must_use]
    pub fn of(stats: &Stats, now: Instant) -> Self {
        let now = stats.ended.unwrap_or(now);
        let elapsed = now.saturating_duration_since(stats.started).as_secs_f64();
        let [genuine, fraud] = stats.labels;
        let [review, block] = stats.flagged.map(|flagged| quality(flagged, fraud));
        let decisions = Decision::ALL.map(|decision| (decision.as_str(), stats.decisions[decision as usize]));
        Self {
            elapsed_seconds: rounded(elapsed),
            simulated_time: stats.simulated.and_then(|at| Timestamp::from_second(at).ok()),
            sent: stats.sent,
            rate: if elapsed > 0.0 {
                rounded(stats.sent as f64 / elapsed)
            } else {
                0.0
            },
            frauds: stats.frauds,
            decisions: decisions.into_iter().collect(),
            model_errors: stats.model_errors,
            failures: stats.failures.clone(),
            retries: stats.retries,
            latency_ms: (!stats.latency.is_empty()).then(|| latency(stats)),
            behind_ms: rounded(stats.behind.as_secs_f64() * 1_000.0),
            labels: Labels { genuine, fraud },
            feedback: stats.feedback,
            review,
            block,
        }
    }

    /// Transactions without a decision.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

fn latency(stats: &Stats) -> Latency {
    let at = |quantile| stats.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: stats.latency.max() as f64 / 1_000.0,
    }
}

fn quality(flagged: Flagged, frauds: u64) -> Quality {
    Quality {
        precision: flagged.precision().map(rounded),
        recall: flagged.recall(frauds).map(rounded),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, seconds, rate, frauds) = (self.sent, self.elapsed_seconds, self.rate, self.frauds);
        writeln!(
            f,
            "sent       {sent} in {seconds:.1} s, {rate:.0}/s; {frauds} of them fraud"
        )?;
        if let Some(time) = self.simulated_time {
            writeln!(f, "simulated  until {time}")?;
        }
        if let Some(Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        }) = self.latency_ms
        {
            writeln!(
                f,
                "latency    p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms, from when due; \
                 sent {:.2} ms late at most",
                self.behind_ms
            )?;
        }
        if self.decisions.values().any(|count| *count > 0) {
            let [approve, review, block] = Decision::ALL.map(|decision| self.decisions[decision.as_str()]);
            writeln!(
                f,
                "decisions  {approve} approve, {review} review, {block} block; {} by model error",
                self.model_errors
            )?;
        }
        if self.failed() > 0 || self.retries > 0 {
            let failures = self
                .failures
                .iter()
                .map(|(kind, count)| format!(", {kind} {count}"));
            writeln!(
                f,
                "failed     {}{}; {} retries",
                self.failed(),
                failures.collect::<String>(),
                self.retries
            )?;
        }
        let Labels { genuine, fraud } = self.labels;
        if genuine + fraud > 0 {
            let Feedback {
                counted,
                repeated,
                refused,
                failed,
            } = self.feedback;
            writeln!(
                f,
                "labels     {fraud} fraud, {genuine} genuine; feedback: {counted} counted, {repeated} repeated, \
                 {refused} refused, {failed} failed"
            )?;
            writeln!(f, "quality    {} at review, {} at block", self.review, self.block)?;
        }
        Ok(())
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
        write!(
            f,
            "precision {} recall {}",
            text(self.precision),
            text(self.recall)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stream::{answer::Answer, connection::Failure, ledger::Labelled};

    #[test]
    fn people_and_programs_are_told_the_same() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        let answer = Answer {
            decision: Decision::Block,
            receipt: None,
            is_model_error: false,
        };
        stats.answered(&answer, start, start + Duration::from_millis(2));
        stats.failed(Failure::Status(503), start);
        stats.labelled(&Labelled {
            decision: Decision::Block,
            receipt: None,
            is_fraud: true,
        });
        stats.sent = 20;
        let summary = Summary::of(&stats, start + Duration::from_secs(10));
        assert_eq!(summary.rate, 2.0);
        assert_eq!(summary.block.recall, Some(1.0));
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["failures"]["http_503"], 1);
        assert_eq!(json["decisions"]["block"], 1);
        let text = summary.to_string();
        assert!(text.contains("sent       20 in 10.0 s, 2/s"), "{text}");
        assert!(text.contains("failed     1, http_503 1; 0 retries"), "{text}");
        assert!(text.contains("precision 1.000 recall 1.000 at block"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_a_number() {
        let now = Instant::now();
        let summary = Summary::of(&Stats::new(now), now);
        assert_eq!(
            (summary.latency_ms, summary.review.precision, summary.rate),
            (None, None, 0.0)
        );
        assert_eq!(
            summary.to_string(),
            "sent       0 in 0.0 s, 0/s; 0 of them fraud\n"
        );
    }
}
