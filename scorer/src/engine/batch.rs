//! Cooperative micro-batching on one thread.
//!
//! Requests push their row and wait. A task of its own drains the queue: it yields once, so that every connection that is
//! ready gets parsed first, then scores what is there in one call. No timer and no other thread is involved, and because
//! no request drains for the others, a client that goes away at any point cannot leave the queue without a drainer.
//! Everything here must stay on one current-thread runtime.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, oneshot},
    task::{JoinHandle, spawn_local, yield_now},
};

use super::Engine;
use crate::metrics::Shard;

/// Rows that one call of the model scores at most.
pub const MAX_BATCH: usize = 64;

/// Why a row has no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The engine failed, panicked, or gave the wrong number of scores.
    Engine,
    /// The score is not a probability.
    NotAProbability,
}

type Score = Result<f32, Failure>;

/// The queue of one thread, and the task that drains it.
pub struct Batcher {
    queue: Rc<Queue>,
    drain: JoinHandle<()>,
}

struct Queue {
    width: usize,
    rows: RefCell<Vec<f32>>,
    waiting: RefCell<Vec<oneshot::Sender<Score>>>,
    ready: Notify,
}

impl Batcher {
    /// Starts the draining task. Must be called inside a `LocalSet`.
    pub fn start(engine: Box<dyn Engine>, shard: Arc<Shard>) -> Self {
        let queue = Rc::new(Queue {
            width: engine.width(),
            rows: RefCell::default(),
            waiting: RefCell::default(),
            ready: Notify::new(),
        });
        let drain = spawn_local(drain(Rc::clone(&queue), engine, shard));
        Self { queue, drain }
    }

    /// Lets `fill` write a row at the end of the queue and scores it with whatever else waits.
    ///
    /// When `fill` fails nothing was queued. The future may be dropped at any time.
    pub async fn score<E>(&self, fill: impl FnOnce(&mut [f32]) -> Result<(), E>) -> Result<Score, E> {
        let receiver = self.queue.push(fill)?;
        Ok(receiver.await.unwrap_or(Err(Failure::Engine)))
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.drain.abort();
    }
}

impl Queue {
    fn push<E>(&self, fill: impl FnOnce(&mut [f32]) -> Result<(), E>) -> Result<oneshot::Receiver<Score>, E> {
        let (mut rows, mut waiting) = (self.rows.borrow_mut(), self.waiting.borrow_mut());
        // Not `rows.len()`: a `fill` that failed or panicked earlier may have left its row behind.
        let start = waiting.len() * self.width;
        rows.truncate(start);
        rows.resize(start + self.width, 0.0);
        fill(&mut rows[start..])?;
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        self.ready.notify_one();
        Ok(receiver)
    }

    /// Moves the oldest rows into the batch, without those whose client has gone. False when nobody waits.
    fn take(&self, batch: &mut Batch) -> bool {
        batch.rows.clear();
        batch.waiting.clear();
        let (mut rows, mut waiting) = (self.rows.borrow_mut(), self.waiting.borrow_mut());
        let count = waiting.len().min(MAX_BATCH);
        for (row, sender) in rows.chunks_exact(self.width).zip(waiting.drain(..count)) {
            if !sender.is_closed() {
                batch.rows.extend_from_slice(row);
                batch.waiting.push(sender);
            }
        }
        rows.drain(..count * self.width);
        count > 0
    }
}

#[derive(Default)]
struct Batch {
    rows: Vec<f32>,
    scores: Vec<f32>,
    waiting: Vec<oneshot::Sender<Score>>,
    complained: Option<Instant>,
}

impl Batch {
    /// Logs that the model failed, at most once a second: it may fail for every batch.
    fn complain(&mut self, error: &str) {
        if self
            .complained
            .is_none_or(|at| at.elapsed() >= Duration::from_secs(1))
        {
            self.complained = Some(Instant::now());
            tracing::error!(error, "the model failed");
        }
    }
}

async fn drain(queue: Rc<Queue>, mut engine: Box<dyn Engine>, shard: Arc<Shard>) {
    let mut batch = Batch::default();
    loop {
        queue.ready.notified().await;
        loop {
            yield_now().await;
            if !queue.take(&mut batch) {
                break;
            }
            answer(&mut batch, engine.as_mut(), &shard);
        }
    }
}

fn answer(batch: &mut Batch, engine: &mut dyn Engine, shard: &Shard) {
    let rows = batch.waiting.len();
    if rows == 0 {
        return;
    }
    batch.scores.clear();
    shard.batch(rows);
    let call = || engine.score(&batch.rows, &mut batch.scores);
    let outcome = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) if batch.scores.len() == rows => Ok(()),
        Ok(Ok(())) => Err(format!("it gave {} scores for {rows} rows", batch.scores.len())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            shard.panicked();
            Err("it panicked".to_owned())
        }
    };
    let scored = outcome.is_ok();
    if let Err(error) = outcome {
        batch.complain(&error);
    }
    for (index, sender) in batch.waiting.drain(..).enumerate() {
        let score = if scored {
            probability(batch.scores[index])
        } else {
            Err(Failure::Engine)
        };
        let _ = sender.send(score);
    }
}

/// How far a sum of shares may lie outside of 0..1: a forest adds up its trees in 32-bit floats, and its surest answer is 1.0000001.
const ROUNDING: f32 = 1e-5;

fn probability(score: f32) -> Score {
    if (-ROUNDING..=1.0 + ROUNDING).contains(&score) {
        Ok(score.clamp(0.0, 1.0))
    } else {
        Err(Failure::NotAProbability)
    }
}

#[cfg(test)]
mod tests;
