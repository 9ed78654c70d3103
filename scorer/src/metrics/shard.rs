//! What one serving thread counts.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::histogram::{self, DURATION_BOUNDS, Histogram, SCORE_BOUNDS};
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
}

impl RequestError {
    /// All kinds, in the order of their slots.
    pub const ALL: [Self; 9] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::BodyTimeout,
        Self::BodyAborted,
        Self::Encoding,
        Self::NotReady,
        Self::Method,
        Self::CardNumber,
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
        }
    }
}

/// Counters of one thread, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    requests: AtomicU64,
    decisions: [AtomicU64; 3],
    errors: [AtomicU64; RequestError::ALL.len()],
    duration: Histogram,
    score: Histogram,
    model_errors: AtomicU64,
    panics: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    batches: AtomicU64,
    rows: AtomicU64,
}

impl Shard {
    /// A request came in, whatever it asks for.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// A prediction was answered; without a score the model failed and the policy decided.
    pub fn answered(&self, decision: Decision, score: Option<f32>, took: Duration) {
        self.decisions[decision as usize].fetch_add(1, Relaxed);
        self.duration.observe(&DURATION_BOUNDS, took.as_secs_f64());
        match score {
            Some(score) => self.score.observe(&SCORE_BOUNDS, f64::from(score)),
            None => {
                self.model_errors.fetch_add(1, Relaxed);
            }
        }
    }

    /// A request got no prediction.
    pub fn refused_request(&self, error: RequestError) {
        self.errors[error as usize].fetch_add(1, Relaxed);
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// A connection was accepted.
    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// A connection was turned away at the limit.
    pub fn refused_connection(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// A connection was closed because its client was too slow, or idle for too long.
    pub fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    /// One call of the model scored so many rows.
    pub fn batch(&self, rows: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows as u64, Relaxed);
    }
}

/// The counts of all shards together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub requests: u64,
    pub decisions: [u64; 3],
    pub errors: [u64; RequestError::ALL.len()],
    pub duration: histogram::Totals,
    pub score: histogram::Totals,
    pub model_errors: u64,
    pub panics: u64,
    pub accepted: u64,
    pub refused: u64,
    pub timed_out: u64,
    pub batches: u64,
    pub rows: u64,
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
            panics,
            accepted,
            refused,
            timed_out,
            batches,
            rows,
        } = shard;
        for (sum, value) in self.decisions.iter_mut().zip(decisions) {
            *sum += value.load(Relaxed);
        }
        for (sum, value) in self.errors.iter_mut().zip(errors) {
            *sum += value.load(Relaxed);
        }
        self.duration.add(duration);
        self.score.add(score);
        for (sum, value) in [
            (&mut self.requests, requests),
            (&mut self.model_errors, model_errors),
            (&mut self.panics, panics),
            (&mut self.accepted, accepted),
            (&mut self.refused, refused),
            (&mut self.timed_out, timed_out),
            (&mut self.batches, batches),
            (&mut self.rows, rows),
        ] {
            *sum += value.load(Relaxed);
        }
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
