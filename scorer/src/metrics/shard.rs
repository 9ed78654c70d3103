//! What one serving thread counts.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use super::{
    Answered, Count, Exemplar, Imputation, ModelFailure, Source,
    exemplar::{Slot, keep_latest},
    histogram::{self, BINS, DURATION_BOUNDS, Histogram, SCORE_BOUNDS},
};
use crate::decision::Decision;

/// Why a request got no prediction: label `kind` of `fraud_request_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The body is not JSON.
    InvalidJson,
    /// A field is missing, wrong or there twice.
    InvalidRequest,
    /// The body is larger than the limit.
    TooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The client went away while it sent.
    BodyAborted,
    /// The body is compressed, which is not accepted.
    Encoding,
    /// No model is ready.
    NotReady,
    /// The path exists for another method only.
    Method,
    /// A text holds a card number.
    CardNumber,
    /// The same TRANSACTION_ID was answered with another content.
    Conflict,
    /// Too many transactions wait.
    Overloaded,
}

impl RequestError {
    /// All kinds, in the order of their slots.
    pub const ALL: [Self; 11] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::BodyTimeout,
        Self::BodyAborted,
        Self::Encoding,
        Self::NotReady,
        Self::Method,
        Self::CardNumber,
        Self::Conflict,
        Self::Overloaded,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyAborted => "body_aborted",
            Self::Encoding => "encoding",
            Self::NotReady => "not_ready",
            Self::Method => "method",
            Self::CardNumber => "card_number",
            Self::Conflict => "conflict",
            Self::Overloaded => "overloaded",
        }
    }
}

/// Counters of one thread, on cache lines of their own. Only that thread writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    requests: Count,
    decisions: [[Count; Source::ALL.len()]; Decision::ALL.len()],
    errors: [Count; RequestError::ALL.len()],
    duration: Histogram,
    score: Histogram,
    model_errors: [Count; ModelFailure::ALL.len()],
    exposures: Count,
    panics: Count,
    shadowed: Count,
    accepted: Count,
    refused: Count,
    timed_out: Count,
    batches: Count,
    rows: Count,
    /// By feature, and within a feature by kind; there once the features are known.
    imputed: OnceLock<Box<[Count]>>,
    traced_decisions: [Slot; Decision::ALL.len()],
    traced_durations: [Slot; BINS],
}

impl Shard {
    /// A request came in, whatever it asks for.
    pub fn request(&self) {
        self.requests.add(1);
    }

    /// A prediction was answered; without a score the model failed and the policy decided.
    pub fn answered(&self, decision: Decision, score: Option<f32>, took: Duration) {
        self.decided(&Answered {
            decision,
            source: if score.is_some() {
                Source::Model
            } else {
                Source::Fallback
            },
            scored: Some(score.ok_or(ModelFailure::Engine)),
            took,
            trace: None,
        });
    }

    /// A transaction was answered.
    pub fn decided(&self, answered: &Answered) {
        let &Answered {
            decision,
            source,
            scored,
            took,
            trace,
        } = answered;
        let took = took.as_secs_f64();
        self.decisions[decision as usize][source as usize].add(1);
        let bin = self.duration.observe(&DURATION_BOUNDS, took);
        if let Some(scored) = scored {
            self.exposures.add(1);
            match scored {
                Ok(score) => {
                    self.score.observe(&SCORE_BOUNDS, f64::from(score));
                }
                Err(failure) => {
                    self.model_errors[failure as usize].add(1);
                }
            }
        }
        if let Some(trace) = trace {
            let at = SystemTime::now();
            let exemplar = |value| Exemplar { trace, value, at };
            self.traced_durations[bin].put(exemplar(took));
            self.traced_decisions[decision as usize].put(exemplar(1.0));
        }
    }

    /// A request got no prediction.
    pub fn refused_request(&self, error: RequestError) {
        self.errors[error as usize].add(1);
    }

    /// A request was marked as shadow: it is scored and counted, and its answer is not used.
    pub fn shadowed(&self) {
        self.shadowed.add(1);
    }

    /// A feature was missing, and something stood in for it. Columns that the model does not have are not counted.
    pub fn imputed(&self, column: usize, kind: Imputation) {
        let slots = self.imputed.get();
        if let Some(slot) = slots.and_then(|slots| slots.get(column * Imputation::ALL.len() + kind as usize))
        {
            slot.add(1);
        }
    }

    /// Makes room for so many features; the first call counts.
    pub(super) fn make_room(&self, features: usize) {
        let room = || {
            (0..features * Imputation::ALL.len())
                .map(|_| Count::new())
                .collect()
        };
        self.imputed.get_or_init(room);
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.add(1);
    }

    /// A connection was accepted.
    pub fn accepted(&self) {
        self.accepted.add(1);
    }

    /// A connection was turned away at the limit.
    pub fn refused_connection(&self) {
        self.refused.add(1);
    }

    /// A connection was closed because its client was too slow, or idle for too long.
    pub fn timed_out(&self) {
        self.timed_out.add(1);
    }

    /// One call of the model scored so many rows.
    pub fn batch(&self, rows: usize) {
        self.batches.add(1);
        self.rows.add(rows as u64);
    }
}

/// The counts of all shards together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub requests: u64,
    pub decisions: [[u64; Source::ALL.len()]; Decision::ALL.len()],
    pub errors: [u64; RequestError::ALL.len()],
    pub duration: histogram::Totals,
    pub score: histogram::Totals,
    pub model_errors: [u64; ModelFailure::ALL.len()],
    pub exposures: u64,
    pub panics: u64,
    pub shadowed: u64,
    pub accepted: u64,
    pub refused: u64,
    pub timed_out: u64,
    pub batches: u64,
    pub rows: u64,
    pub imputed: Vec<u64>,
    pub traced_decisions: [Option<Exemplar>; Decision::ALL.len()],
    pub traced_durations: [Option<Exemplar>; BINS],
}

impl Totals {
    pub fn add(&mut self, shard: &Shard) {
        let Shard {
            requests,
            decisions,
            errors,
            duration,
            score,
            model_errors,
            exposures,
            panics,
            shadowed,
            accepted,
            refused,
            timed_out,
            batches,
            rows,
            imputed,
            traced_decisions,
            traced_durations,
        } = shard;
        add_all(self.decisions.as_flattened_mut(), decisions.as_flattened());
        add_all(&mut self.errors, errors);
        add_all(&mut self.model_errors, model_errors);
        self.duration.add(duration);
        self.score.add(score);
        if let Some(imputed) = imputed.get() {
            self.imputed.resize(imputed.len(), 0);
            add_all(&mut self.imputed, imputed);
        }
        for (sum, value) in [
            (&mut self.requests, requests),
            (&mut self.exposures, exposures),
            (&mut self.panics, panics),
            (&mut self.shadowed, shadowed),
            (&mut self.accepted, accepted),
            (&mut self.refused, refused),
            (&mut self.timed_out, timed_out),
            (&mut self.batches, batches),
            (&mut self.rows, rows),
        ] {
            *sum += value.get();
        }
        let slots = traced_decisions.iter().chain(traced_durations);
        let kept = self.traced_decisions.iter_mut().chain(&mut self.traced_durations);
        for (kept, slot) in kept.zip(slots) {
            keep_latest(kept, slot.get());
        }
    }
}

fn add_all(sums: &mut [u64], values: &[Count]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_own_slot_and_name() {
        for (slot, error) in RequestError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, slot);
        }
        let mut names: Vec<_> = RequestError::ALL.iter().map(|e| e.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RequestError::ALL.len());
    }
}
