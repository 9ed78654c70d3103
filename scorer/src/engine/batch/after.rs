//! What follows a batch when its answers are on their way: the features' bins, and the companion's turn.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::Rng;

use super::{MAX_BATCH, turn::Turn};
use crate::engine::pair::{Companion, EVERY_ROW, Evidence, Recorder};

/// Time that the companion may take before other requests have their turn.
const SLICE: Duration = Duration::from_millis(2);

/// A companion that overdraws its slice rests so many times as long: it never takes more than a fiftieth of the thread.
const REST: u32 = 50;

/// Time between two lines of the log that say that the companion failed.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Counts payments, and scores them with the companion.
pub struct After {
    evidence: Option<(Recorder, Option<Pairing>)>,
}

impl After {
    pub fn new(width: usize, evidence: Option<Evidence>) -> Self {
        let evidence = evidence.map(|Evidence { recorder, companion }| {
            let pairing = companion.and_then(|companion| Pairing::new(width, companion));
            (recorder, pairing)
        });
        Self { evidence }
    }

    /// Does what the answered batch calls for; `waiting` rows of other requests wait meanwhile. True when more is to be done.
    pub fn work(&mut self, turn: &Turn, waiting: usize) -> bool {
        let Some((recorder, pairing)) = &mut self.evidence else {
            return false;
        };
        for (row, _) in turn.payments() {
            recorder.features(row);
        }
        let Some(pairing) = pairing else { return false };
        pairing.collect(turn, recorder);
        pairing.slice(recorder, waiting);
        !pairing.scores.is_empty()
    }
}

/// The companion, and the rows that wait for it.
struct Pairing {
    companion: Companion,
    width: usize,
    rows: Vec<f32>,
    /// What the model gave for these rows.
    scores: Vec<f32>,
    answers: Vec<f32>,
    /// Rows that fit into a slice, by what the last ones took.
    fitting: usize,
    rests_until: Option<Instant>,
    complained: Option<Instant>,
}

impl Pairing {
    fn new(width: usize, companion: Companion) -> Option<Self> {
        let found = companion.engine.width();
        if found != width {
            tracing::error!(
                width,
                companion = found,
                "the companion has another width and stays off"
            );
            return None;
        }
        Some(Self {
            companion,
            width,
            rows: Vec::new(),
            scores: Vec::new(),
            answers: Vec::new(),
            fitting: 1,
            rests_until: None,
            complained: None,
        })
    }

    /// Takes the sampled rows of a batch, as far as there is room.
    fn collect(&mut self, turn: &Turn, recorder: &Recorder) {
        let sample = self.companion.control.sample();
        if sample == 0 {
            return;
        }
        for (row, score) in turn.payments() {
            if sample < EVERY_ROW && rand::rng().random_range(0..EVERY_ROW) >= sample {
                continue;
            }
            if self.scores.len() == MAX_BATCH {
                recorder.skipped(1);
                continue;
            }
            self.rows.extend_from_slice(row);
            self.scores.push(score);
        }
    }

    /// Scores as many of the oldest rows as fit into a slice.
    fn slice(&mut self, recorder: &Recorder, waiting: usize) {
        if self.scores.is_empty() {
            return;
        }
        let start = Instant::now();
        // Pairs are the first to go when the thread is behind with its answers.
        if waiting > MAX_BATCH || self.rests_until.is_some_and(|until| start < until) {
            recorder.skipped(self.scores.len() as u64);
            self.rows.clear();
            self.scores.clear();
            return;
        }
        let count = self.scores.len().min(self.fitting);
        let outcome = self.call(count);
        self.pace(start.elapsed(), count);
        match outcome {
            Ok(()) => {
                for (ours, theirs) in self.scores.iter().zip(&self.answers) {
                    recorder.pair(*ours, *theirs);
                }
            }
            Err(error) => {
                recorder.failed(count as u64);
                self.complain(&error);
            }
        }
        self.rows.drain(..count * self.width);
        self.scores.drain(..count);
    }

    fn call(&mut self, count: usize) -> Result<(), String> {
        self.answers.clear();
        let rows = &self.rows[..count * self.width];
        let call = || self.companion.engine.score(rows, &mut self.answers);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(())) if self.answers.len() == count => Ok(()),
            Ok(Ok(())) => Err(format!("it gave {} scores for {count} rows", self.answers.len())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it panicked".to_owned()),
        }
    }

    fn pace(&mut self, took: Duration, count: usize) {
        let row = (took / count as u32).max(Duration::from_nanos(1));
        let fitting = SLICE.as_nanos() / row.as_nanos();
        self.fitting = usize::try_from(fitting).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH);
        self.rests_until = (took > SLICE).then(|| Instant::now() + took * REST);
    }

    fn complain(&mut self, error: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            tracing::error!(error, "the companion failed; answers are not touched by it");
        }
    }
}

#[cfg(test)]
mod tests;
