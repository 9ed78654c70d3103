//! Answers that took longer than 25 ms.
//!
//! Quantiles of several pods can't be put together; counts of a histogram's bucket can.

use crate::rollout::{evidence::Counts, sequential::Count};

pub(super) const NAME: &str = "slowRatio";
pub(super) const EVENTS: &str = "answers above 25 ms";

pub(super) fn counted(counts: Counts) -> Count {
    Count {
        exposures: counts.answers,
        events: counts.slow,
    }
}
