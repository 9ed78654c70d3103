//! Trying again: only after errors that may pass, with growing and jittered pauses.

use std::{cmp::min, time::Duration};

use rand::Rng;
use tokio::time::sleep;

use super::error::FetchError;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Runs `attempt` until it succeeds, fails for good, or was repeated `retries` times.
pub async fn run<T>(
    retries: u32,
    mut attempt: impl AsyncFnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut tried = 0;
    loop {
        match attempt().await {
            Err(error) if error.transient && tried < retries => {
                let pause = pause(tried, rand::rng().random_range(0.5..=1.0));
                tracing::warn!(%error, ?pause, "trying again");
                sleep(pause).await;
                tried += 1;
            }
            Err(error) if tried > 0 => {
                let message = format!("{} (tried {} times)", error.message, tried + 1);
                return Err(FetchError { message, ..error });
            }
            outcome => return outcome,
        }
    }
}

/// Doubles with each failure; `jitter` in 0.5..=1 spreads pods that started together.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
    min(doubled, LONGEST_PAUSE).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::artifact::{FetchReason, error::try_again};

    async fn attempts(retries: u32, error: FetchError, succeed_at: u32) -> (u32, Result<(), FetchError>) {
        let count = Cell::new(0);
        let outcome = run(retries, async || {
            count.set(count.get() + 1);
            if count.get() == succeed_at {
                Ok(())
            } else {
                Err(error.clone())
            }
        });
        let outcome = outcome.await;
        (count.get(), outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn passing_errors_are_retried_up_to_the_limit() {
        assert_eq!(attempts(5, try_again("busy"), 3).await, (3, Ok(())));
        let (count, outcome) = attempts(2, try_again("busy"), 99).await;
        assert_eq!(
            (count, outcome.unwrap_err().message.as_str()),
            (3, "busy (tried 3 times)")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn errors_that_stay_are_not_retried() {
        let error = FetchError {
            reason: FetchReason::NotFound,
            message: "gone".into(),
            transient: false,
        };
        assert_eq!(attempts(5, error.clone(), 3).await, (1, Err(error)));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause(0, 1.0), Duration::from_millis(500));
        assert_eq!(pause(2, 0.5), Duration::from_secs(1));
        assert_eq!(pause(31, 1.0), LONGEST_PAUSE);
    }
}
