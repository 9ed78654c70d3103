//! What can go wrong in a visit, one variant per stage, and how long to wait then.

use std::time::Duration;

use thiserror::Error;

use crate::reconcile::{apply::ApplyError, keys::KeysError, observe::ObserveError, status::StatusError};

/// A visit failed; it is repeated.
#[derive(Debug, Error)]
pub enum Error {
    /// A read failed.
    #[error("observe: {0}")]
    Observe(#[from] ObserveError),
    /// The key of receipts could not be made.
    #[error("keys: {0}")]
    Keys(#[from] KeysError),
    /// A write failed.
    #[error("apply: {0}")]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("status: {0}")]
    Status(#[from] StatusError),
    /// The visit took too long.
    #[error("the visit took longer than {} s", .0.as_secs())]
    Deadline(Duration),
    /// The visit panicked: a fault of ours.
    #[error("panicked: {0}")]
    Panic(String),
}

impl Error {
    /// One word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Keys(_) => "keys",
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
            Self::Deadline(_) => "deadline",
            Self::Panic(_) => "panic",
        }
    }

    /// Whether another writer was faster: then a new look helps at once.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Apply(e) => is_conflict(e.cause()),
            Self::Status(e) => is_conflict(e.cause()),
            Self::Observe(_) | Self::Keys(_) | Self::Deadline(_) | Self::Panic(_) => false,
        }
    }

    /// Whether the API server could not be reached, so that nobody knows what its other watchers have missed.
    pub fn is_outage(&self) -> bool {
        let cause = match self {
            Self::Observe(e) => e.cause(),
            Self::Keys(e) => e.cause(),
            Self::Apply(e) => e.cause(),
            Self::Status(e) => e.cause(),
            Self::Deadline(_) => return true,
            Self::Panic(_) => return false,
        };
        !matches!(cause, kube::Error::Api(_))
    }

    /// What the API server does not let us do (403), in its own words: somebody has to grant it.
    pub fn refusal(&self) -> Option<String> {
        let cause = match self {
            Self::Observe(e) => e.cause(),
            Self::Keys(e) => e.cause(),
            Self::Apply(e) => e.cause(),
            Self::Status(_) | Self::Deadline(_) | Self::Panic(_) => return None,
        };
        match cause {
            kube::Error::Api(status) if status.is_forbidden() => Some(format!("{self}: {}", status.message)),
            _ => None,
        }
    }
}

fn is_conflict(cause: &kube::Error) -> bool {
    matches!(cause, kube::Error::Api(status) if status.is_conflict())
}

/// Pause before a visit that failed `failures` times in a row is repeated: 1 s, doubling, to 5 min. `jitter` is in 0..1
/// and takes up to a quarter off, so that many models do not come back in one moment.
pub fn backoff(error: &Error, failures: u32, jitter: f64) -> Duration {
    if error.is_conflict() && failures <= 3 {
        return Duration::from_millis(200);
    }
    let doubled = Duration::from_secs(1_u64 << failures.saturating_sub(1).min(9));
    doubled
        .min(Duration::from_secs(300))
        .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let error = Error::Panic("x".into());
        let pauses: Vec<u64> = [1, 2, 3, 9, 10, 100]
            .map(|n| backoff(&error, n, 0.0).as_secs())
            .into();
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300]);
        assert_eq!(backoff(&error, 3, 1.0), Duration::from_secs(3));
    }
}
