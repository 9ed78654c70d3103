//! Waiting to the microsecond. The runtime's own timers round up to a millisecond, which is as long as ten answers.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    time::Instant,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::io::unix::AsyncFd;

/// A timer for one waiter at a time. Needs the runtime that it was made in.
#[derive(Debug)]
pub struct Timer(AsyncFd<Clock>);

#[derive(Debug)]
struct Clock(TimerFd);

impl AsRawFd for Clock {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// Asks the system for a timer.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; the descriptor is the clock's own, and the same until it is dropped"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let registered = AsyncFd::new(Clock(clock));
        registered.map(Self)
    }

    /// Returns at `due`, or at once when that has passed. May be dropped and called again.
    pub async fn until(&mut self, due: Instant) -> io::Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
            self.0.get_ref().0.set(expiration, TimerSetTimeFlags::empty())?;
            let mut ready = self.0.readable().await?;
            // Not ready after all: a timer that was set before, for a waiter that has gone.
            let _ = ready.try_io(|clock| clock.get_ref().0.wait().map_err(io::Error::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_wakes_early_and_is_usable_again_after_a_waiter_has_gone() {
        let mut timer = Timer::new().unwrap();
        let far = Instant::now() + Duration::from_secs(60);
        let gone = tokio::time::timeout(Duration::from_millis(5), timer.until(far)).await;
        assert!(gone.is_err());
        for micros in [0, 1, 300, 2_000] {
            let due = Instant::now() + Duration::from_micros(micros);
            timer.until(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
    }
}
