//! The pod's memory of answers: bounded in entries, bytes and time, shared by all threads.

mod mix;
mod ring;
mod shard;

use std::{
    fmt,
    hash::BuildHasher as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::{mix::Mix, shard::Shard};
use super::{Digest, Outcome};

/// Locks that requests of different ids share out among them.
const SHARDS: usize = 16;

/// Bounds of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions that are remembered at most.
    pub entries: usize,
    /// Bytes that they may take, our own bookkeeping included.
    pub bytes: usize,
    /// How long an answer is kept.
    pub ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            bytes: 16 * 1024 * 1024,
            ttl: super::TTL,
        }
    }
}

/// What is known of a transaction.
#[derive(Debug)]
pub enum Found {
    /// Nothing: it is the caller's to answer.
    Nothing,
    /// It was answered.
    Answer(Bytes),
    /// Its id was used with another content.
    Conflict,
    /// It is being scored; the answer comes here, or an error when that was given up.
    Pending(oneshot::Receiver<Bytes>),
}

/// Counts of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By [`Outcome`].
    pub outcomes: [u64; 4],
    /// Entries that were given up before their time.
    pub evicted: u64,
    /// Answers.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: usize,
}

/// The memory.
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    mix: Mix,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("counts", &self.counts()).finish()
    }
}

impl Memory {
    /// An empty memory.
    pub fn new(limits: Limits) -> Self {
        Self::with_shards(limits, SHARDS)
    }

    fn with_shards(limits: Limits, shards: usize) -> Self {
        let each = Limits {
            entries: limits.entries.div_ceil(shards),
            bytes: limits.bytes.div_ceil(shards),
            ttl: limits.ttl,
        };
        let mix = Mix::random();
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(each, mix))).collect(),
            mix,
        }
    }

    fn shard(&self, id: i64) -> MutexGuard<'_, Shard> {
        // Bits from the middle: the map of a shard uses both ends.
        let index = (self.mix.hash_one(id) >> 32) as usize % self.shards.len();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a transaction up; where nothing is known it is now being answered by the caller.
    pub(super) fn begin(&self, id: i64, digest: Digest, now: Instant) -> Found {
        self.shard(id).begin(id, digest, now)
    }

    /// Keeps the answer of a transaction that is the caller's, and gives it to all who wait for it.
    pub(super) fn complete(&self, id: i64, answer: &Bytes, outcome: Outcome) {
        let waiting = {
            let mut shard = self.shard(id);
            shard.count(outcome);
            shard.complete(id, answer)
        };
        for first in waiting {
            let _ = first.send(answer.clone());
        }
    }

    /// Forgets a transaction that is the caller's and gets no answer; who waits for it begins again.
    pub(super) fn abandon(&self, id: i64) {
        self.shard(id).abandon(id);
    }

    /// Counts an outcome.
    pub(super) fn count(&self, id: i64, outcome: Outcome) {
        self.shard(id).count(outcome);
    }

    /// The counts of all shards together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for shard in &self.shards {
            let one = shard.lock().unwrap_or_else(PoisonError::into_inner).counts();
            for (sum, count) in all.outcomes.iter_mut().zip(one.outcomes) {
                *sum += count;
            }
            all.evicted += one.evicted;
            all.entries += one.entries;
            all.bytes += one.bytes;
        }
        all
    }
}

#[cfg(test)]
mod tests;
