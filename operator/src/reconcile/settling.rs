//! For how long the API server has been there without a gap, as far as this process knows.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Others who watch the API server come back within this after it was away: client-go waits up to 30 s between two tries,
/// and half as much again by chance.
const LATEST_RETURN: Duration = Duration::from_secs(45);

/// The last moment at which the API server was, or may have been, away. A process that just began leading does not know.
#[derive(Debug)]
pub struct Settling(Mutex<Instant>);

impl Settling {
    /// Begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// The API server could not be reached at `now`.
    pub fn disturbed(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// How long to wait from `now` on until everybody has come back.
    pub fn left(&self, now: Instant) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        LATEST_RETURN.saturating_sub(now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_starts_the_wait_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let settling = Settling::new(start);
        assert_eq!(settling.left(at(40)), Duration::from_secs(5));
        assert_eq!(settling.left(at(45)), Duration::ZERO);
        settling.disturbed(at(50));
        assert_eq!(settling.left(at(60)), Duration::from_secs(35));
    }
}
