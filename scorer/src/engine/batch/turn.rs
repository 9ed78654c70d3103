//! One turn of the drainer: the rows of a batch, the call of the engine, the answers.

use std::{
    iter::repeat_n,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Failure, Pulse, Purpose, Score, Waiting};
use crate::{engine::Engine, metrics::Shard};

/// Time between two lines of the log that say that the model failed: it may fail for every batch.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// The engine, and the batch that it is given. After `score` the batch stays until it is cleared.
pub struct Turn {
    engine: Box<dyn Engine>,
    shard: Arc<Shard>,
    pulse: Arc<Pulse>,
    width: usize,
    count: usize,
    rows: Vec<f32>,
    waiting: Vec<Waiting>,
    scores: Vec<f32>,
    /// One for each row, once the batch is scored.
    answers: Vec<Score>,
    /// What each answered request was for, and its rows; in the order of the rows.
    answered: Vec<(Purpose, usize)>,
    complained: Option<Instant>,
}

impl Turn {
    pub fn new(engine: Box<dyn Engine>, shard: Arc<Shard>, pulse: Arc<Pulse>) -> Self {
        Self {
            width: engine.width(),
            engine,
            shard,
            pulse,
            count: 0,
            rows: Vec::new(),
            waiting: Vec::new(),
            scores: Vec::new(),
            answers: Vec::new(),
            answered: Vec::new(),
            complained: None,
        }
    }

    pub fn clear(&mut self) {
        self.count = 0;
        self.rows.clear();
        self.waiting.clear();
        self.answers.clear();
        self.answered.clear();
    }

    /// Rows in the batch.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn push(&mut self, rows: &[f32], waiting: Waiting) {
        self.count += waiting.rows;
        self.rows.extend_from_slice(rows);
        self.waiting.push(waiting);
    }

    pub fn is_failing(&self) -> bool {
        self.pulse.is_failing()
    }

    /// The rows of payments that have a score, with it.
    pub fn payments(&self) -> impl Iterator<Item = (&[f32], f32)> {
        let purposes = self
            .answered
            .iter()
            .flat_map(|(purpose, rows)| repeat_n(*purpose, *rows));
        let rows = self.rows.chunks_exact(self.width);
        rows.zip(&self.answers)
            .zip(purposes)
            .filter(|(_, purpose)| *purpose == Purpose::Payment)
            .filter_map(|((row, answer), _)| Some((row, (*answer).ok()?)))
    }

    /// Scores the batch and answers everybody in it.
    pub fn score(&mut self) {
        if self.count == 0 {
            return;
        }
        self.shard.batch(self.count);
        match self.call(0..self.count) {
            Ok(()) => self.answers.extend(self.scores.iter().map(|s| probability(*s))),
            Err(error) => {
                self.complain(&error);
                self.score_apart();
            }
        }
        for answer in &self.answers {
            match answer {
                Ok(_) => self.pulse.succeeded(),
                Err(_) => self.pulse.failed(),
            }
        }
        let mut answers = self.answers.iter().copied();
        for waiting in self.waiting.drain(..) {
            self.answered.push((waiting.purpose, waiting.rows));
            waiting.reply.send(answers.by_ref().take(waiting.rows));
        }
    }

    /// Scores each request of a batch that failed on its own, so that one cannot spoil the others.
    fn score_apart(&mut self) {
        let (mut start, alone) = (0, self.waiting.len() == 1);
        for index in 0..self.waiting.len() {
            let rows = self.waiting[index].rows;
            if !alone && self.call(start..start + rows).is_ok() {
                self.answers.extend(self.scores.iter().map(|s| probability(*s)));
            } else {
                self.answers.extend(repeat_n(Err(Failure::Engine), rows));
            }
            start += rows;
        }
    }

    /// Scores some rows of the batch.
    fn call(&mut self, rows: Range<usize>) -> Result<(), String> {
        let count = rows.len();
        let rows = &self.rows[rows.start * self.width..rows.end * self.width];
        self.scores.clear();
        let call = || self.engine.score(rows, &mut self.scores);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(())) if self.scores.len() == count => Ok(()),
            Ok(Ok(())) => Err(format!("it gave {} scores for {count} rows", self.scores.len())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                self.shard.panicked();
                Err("it panicked".to_owned())
            }
        }
    }

    /// Scores a row of zeros, to see whether the model is well again.
    pub fn retry(&mut self) {
        self.clear();
        self.rows.resize(self.width, 0.0);
        if self.call(0..1).is_ok() && probability(self.scores[0]).is_ok() {
            self.pulse.succeeded();
        }
        self.clear();
    }

    fn complain(&mut self, error: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            tracing::error!(error, "the model failed");
        }
    }
}

/// How far a sum of shares may lie outside of 0..1: a forest adds up its trees in 32-bit floats, and its surest answer is
/// 1.0000001.
const ROUNDING: f32 = 1e-5;

fn probability(score: f32) -> Score {
    if (-ROUNDING..=1.0 + ROUNDING).contains(&score) {
        Ok(score.clamp(0.0, 1.0))
    } else {
        Err(Failure::NotAProbability)
    }
}
