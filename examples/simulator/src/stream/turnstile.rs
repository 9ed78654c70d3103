//! One transaction after the other, each when it is due, to whoever is free.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{pace::Pace, timer::Timer};
use crate::feed::{Feed, Step};

/// A transaction that is due.
#[derive(Debug)]
pub struct Due {
    /// The labels that came before it, and the transaction.
    pub step: Step,
    /// When it should have been sent.
    pub at: Instant,
}

/// Hands out the feed. Whoever asks first waits for the next transaction, the others wait behind.
#[derive(Debug)]
pub struct Turnstile {
    queue: Mutex<Queue>,
    pace: Pace,
    limit: u64,
    duration: Duration,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Queue {
    feed: Feed,
    timer: Timer,
    number: u64,
    /// When the first transaction was due, and its time in the simulation.
    origin: Option<(Instant, u32)>,
}

impl Turnstile {
    /// Ends when the feed does, after `limit` transactions, after `duration` or when `stop` says so.
    pub fn new(
        feed: Feed,
        pace: Pace,
        limit: Option<u64>,
        duration: Option<Duration>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Queue {
                feed,
                timer: Timer::new()?,
                number: 0,
                origin: None,
            }),
            pace,
            limit: limit.unwrap_or(u64::MAX),
            duration: duration.unwrap_or(Duration::MAX),
            stop,
        })
    }

    /// Whether transactions have times at which they are due.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.pace != Pace::Unlimited
    }

    /// The next transaction, when it is due. The time runs from the first call.
    pub async fn next(&self) -> io::Result<Option<Due>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(None),
            due = self.wait() => due,
        }
    }

    async fn wait(&self) -> io::Result<Option<Due>> {
        let mut queue = self.queue.lock().await;
        let Some(seconds) = queue.feed.next_seconds().filter(|_| queue.number < self.limit) else {
            return Ok(None);
        };
        let now = Instant::now();
        let (start, first) = *queue.origin.get_or_insert((now, seconds));
        let offset = self.pace.offset(queue.number, seconds - first);
        let offset = offset.unwrap_or_else(|| now.duration_since(start));
        let (at, end) = (start.checked_add(offset), start.checked_add(self.duration));
        if offset >= self.duration {
            if let Some(end) = end {
                queue.timer.until(end).await?;
            }
            return Ok(None);
        }
        let Some(at) = at else {
            self.stop.cancelled().await;
            return Ok(None);
        };
        queue.timer.until(at).await?;
        queue.number += 1;
        Ok(queue.feed.next().map(|step| Due { step, at }))
    }
}
