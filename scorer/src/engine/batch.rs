//! Cooperative micro-batching on one thread.
//!
//! Requests push their rows and wait. A task of its own drains the queue: it yields once, so that every connection that is
//! ready gets parsed first, then scores what is there in one call. No timer and no other thread is involved, and because
//! no request drains for the others, a client that goes away at any point cannot leave the queue without a drainer.
//! Everything here must stay on one current-thread runtime, inside a `LocalSet`.
//!
//! - `score_row` scores one payment, `score_rows` a batch of them: the rows of a large one take turns with other requests.
//! - `score_extra` scores rows that are no payments, such as those that an explanation needs: they ride in the same
//!   batches, but are neither paired with the companion nor counted as traffic.
//! - A row whose deadline has passed when its turn comes is not scored: `Failure::Deadline`. Past the limit of waiting
//!   rows nothing is queued: `Failure::Overloaded`, for which the caller answers 503 with Retry-After.
//! - A row that makes the engine fail fails alone: the rest of its batch is scored again without it.
//! - What follows a batch (the features' bins, the companion's scores of the same rows) is done at the drainer's next
//!   turn, when the answers are on their way; see `pair`.
//! - `Pulse` tells whether the model has failed so often in a row that the instance should leave service.
//!
//! All futures may be dropped at any time.

mod after;
mod once;
mod pulse;
mod turn;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    iter::repeat_n,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_local, yield_now},
    time::timeout,
};

use after::After;
pub use pulse::Pulse;
use turn::Turn;

use super::{Engine, pair::Evidence};
use crate::metrics::Shard;

/// Rows that one call of the model scores at most.
pub const MAX_BATCH: usize = 64;

/// Rows that wait on one thread at most, unless the settings say otherwise.
pub const DEFAULT_QUEUE: usize = 2048;

/// While the model fails: time between two attempts to score a row of zeros.
const RETRY: Duration = Duration::from_secs(1);

/// Why a row has no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The engine failed, panicked, or gave the wrong number of scores.
    Engine,
    /// The score is not a probability.
    NotAProbability,
    /// The deadline had passed before the row's turn came; it was not scored.
    Deadline,
    /// Too many rows wait; it was not queued.
    Overloaded,
}

/// A probability, or why there is none.
pub type Score = Result<f32, Failure>;

/// How a queue works, beside its engine.
pub struct Settings {
    /// Rows that may wait.
    pub queue: usize,
    /// What is counted of scored payments, if anything.
    pub evidence: Option<Evidence>,
    /// Told of failures.
    pub pulse: Arc<Pulse>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE,
            evidence: None,
            pulse: Arc::default(),
        }
    }
}

/// The queue of one thread, and the task that drains it.
pub struct Batcher {
    queue: Rc<Queue>,
    drain: JoinHandle<()>,
}

/// What rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// They are payments.
    Payment,
    /// They explain one.
    Extra,
}

/// Rows that wait together for one answer.
struct Waiting {
    rows: usize,
    purpose: Purpose,
    deadline: Option<Instant>,
    reply: Reply,
}

enum Reply {
    One(once::Sender<Score>),
    Many(once::Sender<Vec<Score>>),
}

impl Reply {
    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Many(sender) => sender.is_closed(),
        }
    }

    /// Answers; that nobody may listen any more is no concern.
    fn send(self, mut scores: impl Iterator<Item = Score>) {
        match self {
            Self::One(sender) => sender.send(scores.next().unwrap_or(Err(Failure::Engine))),
            Self::Many(sender) => sender.send(scores.collect()),
        }
    }
}

struct Queue {
    width: usize,
    limit: usize,
    rows: RefCell<Vec<f32>>,
    waiting: RefCell<VecDeque<Waiting>>,
    /// Rows of all that wait.
    count: Cell<usize>,
    ready: Notify,
}

impl Batcher {
    /// Starts the draining task with the usual settings. Must be called inside a `LocalSet`.
    pub fn start(engine: Box<dyn Engine>, shard: Arc<Shard>) -> Self {
        Self::start_with(engine, shard, Settings::default())
    }

    /// Starts the draining task. Must be called inside a `LocalSet`.
    pub fn start_with(engine: Box<dyn Engine>, shard: Arc<Shard>, settings: Settings) -> Self {
        let queue = Rc::new(Queue {
            width: engine.width(),
            limit: settings.queue,
            rows: RefCell::default(),
            waiting: RefCell::default(),
            count: Cell::default(),
            ready: Notify::new(),
        });
        let turn = Turn::new(engine, shard, Arc::clone(&settings.pulse));
        let after = After::new(queue.width, settings.evidence);
        let drain = spawn_local(drain(Rc::clone(&queue), turn, after));
        Self { queue, drain }
    }

    /// Lets `fill` write a row at the end of the queue and scores it with whatever else waits.
    ///
    /// When `fill` fails nothing was queued; when too many rows wait it is not called.
    pub async fn score<E>(&self, fill: impl FnOnce(&mut [f32]) -> Result<(), E>) -> Result<Score, E> {
        let (sender, receiver) = once::channel();
        match self
            .queue
            .push(1, Purpose::Payment, None, Reply::One(sender), fill)?
        {
            Ok(()) => Ok(receiver.await.unwrap_or(Err(Failure::Engine))),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// Scores one payment. A row of another width than the engine's fails.
    pub async fn score_row(&self, row: &[f32], deadline: Option<Instant>) -> Score {
        if row.len() != self.queue.width {
            return Err(Failure::Engine);
        }
        let (sender, receiver) = once::channel();
        let reply = Reply::One(sender);
        self.queue.copy(row, Purpose::Payment, deadline, reply)?;
        receiver.await.unwrap_or(Err(Failure::Engine))
    }

    /// Scores payments; one answer for each row. `rows` holds whole rows, one after the other; a batch with half a row fails.
    pub async fn score_rows(&self, rows: &[f32], deadline: Option<Instant>) -> Vec<Score> {
        self.score_many(rows, Purpose::Payment, deadline).await
    }

    /// Scores rows that are no payments; one answer for each row. `rows` holds whole rows, one after the other.
    pub async fn score_extra(&self, rows: &[f32], deadline: Option<Instant>) -> Vec<Score> {
        self.score_many(rows, Purpose::Extra, deadline).await
    }

    /// Rows that wait at this moment.
    pub fn waiting(&self) -> usize {
        self.queue.count.get()
    }

    async fn score_many(&self, rows: &[f32], purpose: Purpose, deadline: Option<Instant>) -> Vec<Score> {
        let width = self.queue.width;
        let mut scores = Vec::with_capacity(rows.len() / width);
        // One batch after the other: so the rows of other requests come in between.
        for part in rows.chunks(MAX_BATCH * width) {
            let (sender, receiver) = once::channel();
            let answer = match self.queue.copy(part, purpose, deadline, Reply::Many(sender)) {
                Ok(()) => receiver.await.ok_or(Failure::Engine),
                Err(failure) => Err(failure),
            };
            let count = part.len().div_ceil(width);
            scores.extend(answer.unwrap_or_else(|failure| vec![Err(failure); count]));
        }
        scores
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.drain.abort();
    }
}

impl Queue {
    fn copy(
        &self,
        rows: &[f32],
        purpose: Purpose,
        deadline: Option<Instant>,
        reply: Reply,
    ) -> Result<(), Failure> {
        if rows.is_empty() || !rows.len().is_multiple_of(self.width) {
            return Err(Failure::Engine);
        }
        let fill = |place: &mut [f32]| -> Result<(), Infallible> {
            place.copy_from_slice(rows);
            Ok(())
        };
        let Ok(queued) = self.push(rows.len() / self.width, purpose, deadline, reply, fill);
        queued
    }

    fn push<E>(
        &self,
        count: usize,
        purpose: Purpose,
        deadline: Option<Instant>,
        reply: Reply,
        fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
    ) -> Result<Result<(), Failure>, E> {
        if self.count.get() + count > self.limit {
            return Ok(Err(Failure::Overloaded));
        }
        let mut rows = self.rows.borrow_mut();
        // Not `rows.len()`: a `fill` that failed or panicked earlier may have left its row behind.
        let start = self.count.get() * self.width;
        rows.truncate(start);
        rows.resize(start + count * self.width, 0.0);
        fill(&mut rows[start..])?;
        self.count.set(self.count.get() + count);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            self.ready.notify_one(); // with others here the drainer knows already
        }
        waiting.push_back(Waiting {
            rows: count,
            purpose,
            deadline,
            reply,
        });
        Ok(Ok(()))
    }

    /// Moves the oldest rows into the turn, without those whose client has gone or whose time has. False when nobody waits.
    fn take(&self, turn: &mut Turn) -> bool {
        let (mut rows, mut waiting) = (self.rows.borrow_mut(), self.waiting.borrow_mut());
        turn.clear();
        if waiting.is_empty() {
            return false;
        }
        let now = Instant::now();
        let mut taken = 0;
        while waiting
            .front()
            .is_some_and(|first| turn.count() + first.rows <= MAX_BATCH)
            && let Some(first) = waiting.pop_front()
        {
            let place = taken * self.width..(taken + first.rows) * self.width;
            taken += first.rows;
            if first.deadline.is_some_and(|deadline| deadline <= now) {
                first.reply.send(repeat_n(Err(Failure::Deadline), first.rows));
            } else if !first.reply.is_closed() {
                turn.push(&rows[place], first);
            }
        }
        rows.drain(..taken * self.width);
        self.count.set(self.count.get() - taken);
        true
    }
}

async fn drain(queue: Rc<Queue>, mut turn: Turn, mut after: After) {
    loop {
        if turn.is_failing() {
            // Out of service no request may come that could show that the model is well again.
            if timeout(RETRY, queue.ready.notified()).await.is_err() {
                turn.retry();
                continue;
            }
        } else {
            queue.ready.notified().await;
        }
        loop {
            yield_now().await;
            let more = after.work(&turn, queue.count.get());
            if queue.take(&mut turn) {
                turn.score();
            } else if !more {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
