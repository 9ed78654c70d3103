//! Requests that ended in an error.

use crate::rollout::{evidence::Counts, sequential::Count};

pub(super) const NAME: &str = "errorRatio";
pub(super) const EVENTS: &str = "errors";

/// Bad requests reach both versions alike, so that a version that refuses more of them than the other is at fault itself:
/// its features are not those that callers send.
pub(super) fn compared(counts: Counts) -> Count {
    Count {
        exposures: counts.requests,
        events: counts.errors.saturating_add(counts.refused),
    }
}

/// Bad requests are the callers' fault, so they are no part of the highest rate.
pub(super) fn bounded(counts: Counts) -> Count {
    Count {
        exposures: counts.requests,
        events: counts.errors,
    }
}
