//! Scoring of rows: the engine behind a thread, and the queue that lets waiting requests share one call.

mod batch;

pub use batch::{Batcher, Failure, MAX_BATCH};

/// Scores rows. One engine belongs to one thread.
pub trait Engine: Send {
    /// Columns of a row.
    fn width(&self) -> usize;

    /// Puts one score for each row into `scores`, which arrives empty. `rows` holds whole rows, one after the other.
    ///
    /// Does not promise that the scores are finite or in 0..1: the queue checks that.
    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError>;
}

/// Why an engine gave no scores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);
