//! From a signal of the kubelet to an orderly end.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Time for the work to end by itself: the kubelet kills after 30 s, and the Lease is released in between.
const DRAIN: Duration = Duration::from_secs(20);
/// Exit code after a second signal: 128 + SIGTERM, as a shell would show it.
const FORCED: i32 = 143;

/// A token that is cancelled by SIGTERM or SIGINT. A second signal ends the process on the spot.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut either =
            async || tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        let first = either().await;
        info!(signal = first, "shutting down: finishing what is under way");
        cancelled.cancel();
        let second = either().await;
        warn!(signal = second, "ending at once");
        std::process::exit(FORCED);
    });
    Ok(token)
}

/// Runs `work`, which ends by itself after `shutdown`; what takes too long then is dropped.
pub async fn drain<F: Future<Output = ()>>(shutdown: CancellationToken, work: F) {
    let too_late = async {
        shutdown.cancelled().await;
        sleep(DRAIN).await;
    };
    tokio::select! {
        biased;
        () = work => {}
        () = too_late => warn!(seconds = DRAIN.as_secs(), "what was under way did not end: leaving it"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_is_awaited() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let start = Instant::now();
        drain(shutdown, sleep(DRAIN / 2)).await;
        assert_eq!(start.elapsed(), DRAIN / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_left_after_the_shutdown_and_not_before() {
        let shutdown = CancellationToken::new();
        let start = Instant::now();
        let signal = async {
            sleep(Duration::from_secs(100)).await;
            shutdown.cancel();
        };
        tokio::join!(drain(shutdown.clone(), std::future::pending()), signal);
        assert_eq!(start.elapsed(), Duration::from_secs(100) + DRAIN);
    }
}
