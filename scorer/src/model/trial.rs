//! A model is first tried out in a process of its own: what crashes or hangs there does not harm the one that serves.
//!
//! The parent has looked into the file (`verify`); the child loads ONNX Runtime, makes a session, compares the engines and
//! replays the golden vectors, within limits of memory and time, and says what it found in one line. The parent then loads
//! from the bytes that it verified itself. Where the tree engine serves, ONNX Runtime never enters the serving process.

mod child;
mod parent;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::{Deserialize, Serialize};

pub use child::run;
pub use parent::Trial;

use crate::engine::{Choice, Kind};

/// Arguments of the hidden subcommand `trial`.
#[derive(Args, Clone, Debug)]
pub struct TrialArgs {
    /// The model file.
    pub file: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long)]
    pub onnxruntime: Option<PathBuf>,
    /// Engine that is wanted.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub engine: Choice,
    /// Review threshold at which the engines must decide alike.
    #[arg(long, requires = "block")]
    pub review: Option<f64>,
    /// Block threshold at which the engines must decide alike.
    #[arg(long, requires = "review")]
    pub block: Option<f64>,
}

/// What a trial may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Address space in bytes, beside eight times the file.
    pub memory: u64,
    /// CPU time, whole seconds.
    pub cpu: Duration,
    /// Time until it is given up.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            cpu: Duration::from_secs(20),
            patience: Duration::from_secs(60),
        }
    }
}

/// What the child says of a model that may be served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// SHA-256 of the file that it tried.
    pub sha256: String,
    /// The engine that should serve.
    pub engine: Kind,
    /// Why this one.
    pub why: String,
    /// Largest difference of the golden vectors.
    pub golden_difference: f32,
}

/// The child's line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Line {
    Found(Report),
    Refused { reason: String, message: String },
}
