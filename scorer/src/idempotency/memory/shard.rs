//! One lock's part of the memory.

use std::{
    collections::{HashMap, hash_map},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Counts, Digest, Found, Limits, Outcome, mix::Mix, ring::Ring};

type Waiting = Vec<oneshot::Sender<Bytes>>;

/// A transaction that is being scored.
struct Pending {
    digest: Digest,
    expires: Instant,
    waiting: Waiting,
}

/// What is being scored, which are as many as there are requests under way, and what was answered, which is bounded here.
pub struct Shard {
    limits: Limits,
    pending: HashMap<i64, Pending, Mix>,
    answered: Ring,
    outcomes: [u64; 4],
    evicted: u64,
}

impl Shard {
    pub fn new(limits: Limits, mix: Mix) -> Self {
        Self {
            limits,
            pending: HashMap::with_hasher(mix),
            answered: Ring::new(mix),
            outcomes: [0; 4],
            evicted: 0,
        }
    }

    pub fn begin(&mut self, id: i64, digest: Digest, now: Instant) -> Found {
        while self
            .answered
            .oldest_expires()
            .is_some_and(|expires| expires <= now)
        {
            self.answered.pop();
        }
        if let Some(known) = self.answered.find(id) {
            if known.digest != digest {
                self.count(Outcome::Conflict);
                return Found::Conflict;
            }
            let text = self.answered.text(known);
            self.count(Outcome::Replayed);
            return Found::Answer(text);
        }
        match self.pending.entry(id) {
            hash_map::Entry::Occupied(known) if known.get().digest != digest => {
                self.count(Outcome::Conflict);
                Found::Conflict
            }
            hash_map::Entry::Occupied(mut known) => {
                let (first, answer) = oneshot::channel();
                known.get_mut().waiting.push(first);
                Found::Pending(answer)
            }
            hash_map::Entry::Vacant(place) => {
                place.insert(Pending {
                    digest,
                    expires: now + self.limits.ttl,
                    waiting: Vec::new(),
                });
                Found::Nothing
            }
        }
    }

    /// Keeps the answer; those who wait for it.
    pub fn complete(&mut self, id: i64, answer: &[u8]) -> Waiting {
        let Some(Pending {
            digest,
            expires,
            waiting,
        }) = self.pending.remove(&id)
        else {
            return Vec::new();
        };
        self.answered.push(id, digest, expires, answer);
        while self.answered.len() > self.limits.entries || self.answered.bytes() > self.limits.bytes {
            self.answered.pop();
            self.evicted += 1;
        }
        waiting
    }

    /// Forgets a transaction that gets no answer. Who waits for it learns that by the end of the channel.
    pub fn abandon(&mut self, id: i64) {
        self.pending.remove(&id);
    }

    pub fn count(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    pub fn counts(&self) -> Counts {
        Counts {
            outcomes: self.outcomes,
            evicted: self.evicted,
            entries: self.answered.len(),
            bytes: self.answered.bytes(),
        }
    }
}
