//! For how long the API server has been there without a gap, as far as this process knows.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When the API server was, or may have been, away for the last time. A process that just began does not know.
///
/// Others who watch it come back later than we do: client-go waits up to 30 s between two tries and half as much again by
/// chance. Traefik was seen to take 63 s.
#[derive(Debug)]
pub struct Settling {
    delay: Duration,
    since: Mutex<Instant>,
}

impl Settling {
    /// Begins at `now`; everybody is back after `delay`.
    pub fn new(delay: Duration, now: Instant) -> Self {
        Self {
            delay,
            since: Mutex::new(now),
        }
    }

    /// The API server could not be reached at `now`.
    pub fn disturbed(&self, now: Instant) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// How long to wait from `now` on until everybody has come back.
    pub fn left(&self, now: Instant) -> Duration {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.delay.saturating_sub(now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_starts_the_wait_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let settling = Settling::new(Duration::from_secs(90), start);
        assert_eq!(settling.left(at(85)), Duration::from_secs(5));
        assert_eq!(settling.left(at(90)), Duration::ZERO);
        settling.disturbed(at(100));
        assert_eq!(settling.left(at(110)), Duration::from_secs(80));
    }
}
