//! What happened so far.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    answer::{Answer, Decision},
    connection::Failure,
    ledger::Labelled,
};
use crate::feed::Transaction;

/// Latencies up to this many microseconds are told apart; longer ones count as this one.
const LONGEST: u64 = 600_000_000;

/// What became of labels that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Feedback {
    /// Counted for the first time.
    pub counted: u64,
    /// Sent before: duplicates and corrections.
    #[serde(default)]
    pub repeated: u64,
    /// Refused by the scorer, by its receipt or its time.
    pub refused: u64,
    /// Not taken: no answer, or not one with counts.
    #[serde(default)]
    pub failed: u64,
}

/// Flagged and labelled transactions at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flagged {
    /// Labelled transactions that were flagged.
    pub all: u64,
    /// Frauds among them.
    pub frauds: u64,
}

impl Flagged {
    /// Share of frauds among what was flagged; none when nothing was.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        ratio(self.frauds, self.all)
    }

    /// Share of what was flagged among `frauds`; none when there were none.
    #[must_use]
    pub fn recall(&self, frauds: u64) -> Option<f64> {
        ratio(self.frauds, frauds)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counters, from the start.
#[derive(Clone, Debug)]
pub struct Stats {
    /// When the first transaction was due.
    pub started: Instant,
    /// When the last one was done with.
    pub ended: Option<Instant>,
    /// Transactions sent, without retries.
    pub sent: u64,
    /// Frauds among them.
    pub frauds: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Answers, by [`Decision`].
    pub decisions: [u64; 3],
    /// Answers in whose place the model failed.
    pub model_errors: u64,
    /// Transactions without a decision, by [`Failure::kind`].
    pub failures: BTreeMap<String, u64>,
    /// From when they were due to their decision, microseconds.
    pub latency: Histogram<u64>,
    /// How late transactions were sent at most.
    pub behind: Duration,
    /// Unix time in the simulation.
    pub simulated: Option<i64>,
    /// Labels that came for answered transactions: genuine, fraud.
    pub labels: [u64; 2],
    /// At review (review or block), and at block.
    pub flagged: [Flagged; 2],
    /// What became of them.
    pub feedback: Feedback,
    /// Since when there was nothing but failures, and when the newest was.
    pub failing: Option<(Instant, Instant)>,
    /// The newest failure ever.
    pub last_failure: Option<Failure>,
}

/// What all tasks of a stream count in.
pub type Shared = Arc<Mutex<Stats>>;

/// Counts go on after a panic: each is right by itself.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stats {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            ended: None,
            sent: 0,
            frauds: 0,
            retries: 0,
            decisions: [0; 3],
            model_errors: 0,
            failures: BTreeMap::new(),
            latency: Histogram::new_with_max(LONGEST, 3).expect("the bounds are in order"),
            behind: Duration::ZERO,
            simulated: None,
            labels: [0; 2],
            flagged: [Flagged::default(); 2],
            feedback: Feedback::default(),
            failing: None,
            last_failure: None,
        }
    }

    /// A transaction goes out, which was due at `due`.
    pub fn sent(&mut self, transaction: &Transaction, due: Instant, now: Instant) {
        if self.sent == 0 {
            self.started = due;
        }
        self.sent += 1;
        self.frauds += u64::from(transaction.scenario > 0);
        self.behind = self.behind.max(now.saturating_duration_since(due));
        self.simulated = Some(transaction.epoch + i64::from(transaction.seconds));
    }

    /// It got a decision.
    pub fn answered(&mut self, answer: &Answer, due: Instant, now: Instant) {
        let micros = now.saturating_duration_since(due).as_micros();
        self.latency
            .saturating_record(u64::try_from(micros).unwrap_or(LONGEST));
        self.decisions[answer.decision as usize] += 1;
        self.model_errors += u64::from(answer.is_model_error);
        self.failing = None;
    }

    /// It got none.
    pub fn failed(&mut self, failure: Failure, now: Instant) {
        *self.failures.entry(failure.kind()).or_default() += 1;
        let since = self.failing.map_or(now, |(since, _)| since);
        self.failing = Some((since, now));
        self.last_failure = Some(failure);
    }

    /// Its label came.
    pub fn labelled(&mut self, labelled: &Labelled) {
        self.labels[usize::from(labelled.is_fraud)] += 1;
        let flagged = [
            labelled.decision != Decision::Approve,
            labelled.decision == Decision::Block,
        ];
        for (at, is_flagged) in self.flagged.iter_mut().zip(flagged) {
            at.all += u64::from(is_flagged);
            at.frauds += u64::from(is_flagged && labelled.is_fraud);
        }
    }

    /// Labels were sent.
    pub fn fed_back(&mut self, feedback: Feedback) {
        let Feedback {
            counted,
            repeated,
            refused,
            failed,
        } = feedback;
        self.feedback.counted += counted;
        self.feedback.repeated += repeated;
        self.feedback.refused += refused;
        self.feedback.failed += failed;
    }

    /// Transactions that got a decision.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.decisions.iter().sum()
    }

    /// The last failure, when for this long there was nothing else. One failure alone is never long enough: where
    /// transactions are rare, it may be all that happens for a while.
    #[must_use]
    pub fn given_up(&self, after: Duration) -> Option<&Failure> {
        let (since, newest) = self.failing?;
        let is_long = newest.saturating_duration_since(since) >= after;
        self.last_failure.as_ref().filter(|_| is_long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(decision: Decision) -> Answer {
        Answer {
            decision,
            receipt: None,
            is_model_error: false,
        }
    }

    #[test]
    fn latency_counts_from_when_a_transaction_was_due() {
        let due = Instant::now();
        let mut stats = Stats::new(due);
        stats.answered(&answer(Decision::Approve), due, due + Duration::from_millis(40));
        assert_eq!(stats.latency.max() / 100, 400);
        assert_eq!((stats.decisions, stats.answers()), ([1, 0, 0], 1));
    }

    #[test]
    fn it_gives_up_only_when_nothing_but_failures_came_for_long_enough() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut stats = Stats::new(start);
        assert_eq!(stats.given_up(second), None);
        stats.failed(Failure::Status(503), start);
        assert_eq!(stats.given_up(second), None);
        stats.failed(Failure::Timeout, start + second);
        assert_eq!(stats.given_up(2 * second), None);
        assert_eq!(stats.given_up(second), Some(&Failure::Timeout));
        stats.answered(&answer(Decision::Block), start, start + second);
        assert_eq!(stats.given_up(second), None);
        stats.failed(Failure::Timeout, start + 60 * second);
        assert_eq!(stats.given_up(second), None);
        assert_eq!((stats.failures["http_503"], stats.failures["timeout"]), (1, 2));
    }

    #[test]
    fn labels_are_judged_at_both_thresholds() {
        let mut stats = Stats::new(Instant::now());
        for (decision, is_fraud) in [
            (Decision::Block, true),
            (Decision::Review, true),
            (Decision::Review, false),
            (Decision::Approve, true),
            (Decision::Approve, false),
        ] {
            stats.labelled(&Labelled {
                decision,
                receipt: None,
                is_fraud,
            });
        }
        assert_eq!(stats.labels, [2, 3]);
        assert_eq!(
            stats.flagged,
            [Flagged { all: 3, frauds: 2 }, Flagged { all: 1, frauds: 1 }]
        );
    }
}
