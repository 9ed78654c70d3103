//! Two models on the same payments: the one that answers, and its companion.
//!
//! The companion scores rows after their answers are on the way, on the same thread, in slices of two milliseconds. It
//! is the first to yield: under load, when it is slow and when it fails its pairs are dropped and counted, and no answer
//! waits for it. `Control` switches it on, off or to a sample while the process runs; off costs one load of an atomic for
//! each batch. What pairs and features amount to is counted by `PairCounters`.

mod bins;
mod control;
mod counters;
mod text;

use std::sync::Arc;

pub use bins::{BINS, FeatureBins};
pub use control::{Control, EVERY_ROW};
pub use counters::{Arm, PairCounters, Recorder, SCORE_BINS, Totals};

use super::Engine;

/// What one thread counts of the payments that it scores.
pub struct Evidence {
    /// Counts the features of payments, and pairs.
    pub recorder: Recorder,
    /// The second model, if there is one.
    pub companion: Option<Companion>,
}

/// A second model for one thread. One of another width than the first is never asked, and the log says so.
pub struct Companion {
    /// Scores the rows again.
    pub engine: Box<dyn Engine>,
    /// Says which of them.
    pub control: Arc<Control>,
}
