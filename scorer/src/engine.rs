//! Scoring of rows: the engines, and the queue that lets waiting requests share one call.

mod batch;
pub mod pair;
pub mod tree;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use batch::{Batcher, DEFAULT_QUEUE, Failure, MAX_BATCH, Pulse, Score, Settings};

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

/// Which engine is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// The tree engine where it gives ONNX Runtime's scores, else ONNX Runtime.
    #[default]
    Auto,
    /// ONNX Runtime.
    Onnxruntime,
    /// The tree engine, or nothing.
    Tree,
}

impl Choice {
    /// As the flag is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Onnxruntime => "onnxruntime",
            Self::Tree => "tree",
        }
    }
}

/// Which engine serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Our own walk through the trees.
    Tree,
    /// ONNX Runtime.
    OnnxRuntime,
}

impl Kind {
    /// As it is written in the model's card and in `check`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::OnnxRuntime => "onnxruntime",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
