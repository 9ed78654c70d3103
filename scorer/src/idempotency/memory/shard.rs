//! One lock's part of the memory.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Counts, Digest, Found, Limits, Outcome, mix::Mix};

/// What an entry takes beside its answer: its places in the map and in the queue, and the allocation of the answer.
pub const OVERHEAD: usize = 224;

type Waiting = Vec<oneshot::Sender<Bytes>>;

enum State {
    /// Being scored; these wait for it.
    Pending(Waiting),
    Answered(Bytes),
}

struct Entry {
    ticket: u64,
    digest: Digest,
    state: State,
}

impl Entry {
    fn cost(&self) -> usize {
        match &self.state {
            State::Pending(_) => OVERHEAD,
            State::Answered(answer) => OVERHEAD + answer.len(),
        }
    }
}

/// An entry's place in the order. It may be gone: the ticket tells. When it expires is said here again, so that nobody has to
/// fetch the oldest entry, which no cache holds any more, to see that it may stay.
struct Turn {
    id: i64,
    ticket: u64,
    expires: Instant,
}

/// Entries by id, and the order in which they were made. All live equally long, so the oldest is the next to expire.
pub struct Shard {
    limits: Limits,
    entries: HashMap<i64, Entry, Mix>,
    order: VecDeque<Turn>,
    bytes: usize,
    next: u64,
    outcomes: [u64; 4],
    evicted: u64,
}

impl Shard {
    pub fn new(limits: Limits, mix: Mix) -> Self {
        Self {
            limits,
            entries: HashMap::with_hasher(mix),
            order: VecDeque::new(),
            bytes: 0,
            next: 0,
            outcomes: [0; 4],
            evicted: 0,
        }
    }

    pub fn begin(&mut self, id: i64, digest: Digest, now: Instant) -> Found {
        self.expire(now);
        let ticket = self.next;
        match self.entries.entry(id) {
            hash_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                known if known.digest != digest => {
                    self.outcomes[Outcome::Conflict as usize] += 1;
                    Found::Conflict
                }
                Entry {
                    state: State::Answered(answer),
                    ..
                } => {
                    self.outcomes[Outcome::Replayed as usize] += 1;
                    Found::Answer(answer.clone())
                }
                Entry {
                    state: State::Pending(waiting),
                    ..
                } => {
                    let (first, answer) = oneshot::channel();
                    waiting.push(first);
                    Found::Pending(answer)
                }
            },
            hash_map::Entry::Vacant(place) => {
                let entry = place.insert(Entry {
                    ticket,
                    digest,
                    state: State::Pending(Vec::new()),
                });
                self.bytes += entry.cost();
                self.next += 1;
                self.order.push_back(Turn {
                    id,
                    ticket,
                    expires: now + self.limits.ttl,
                });
                self.shrink();
                Found::Nothing { ticket }
            }
        }
    }

    /// Those who wait for the answer. An entry that was given up meanwhile stays gone.
    pub fn complete(&mut self, id: i64, ticket: u64, answer: &Bytes) -> Waiting {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.ticket == ticket) else {
            return Vec::new();
        };
        let State::Pending(waiting) = &mut entry.state else {
            return Vec::new();
        };
        let waiting = std::mem::take(waiting);
        entry.state = State::Answered(answer.clone());
        self.bytes += answer.len();
        self.shrink();
        waiting
    }

    pub fn abandon(&mut self, id: i64, ticket: u64) {
        let hash_map::Entry::Occupied(entry) = self.entries.entry(id) else {
            return;
        };
        if entry.get().ticket == ticket && matches!(entry.get().state, State::Pending(_)) {
            self.bytes -= entry.remove().cost();
            if self.order.back().is_some_and(|turn| turn.ticket == ticket) {
                self.order.pop_back();
            }
        }
    }

    pub fn count(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    pub fn counts(&self) -> Counts {
        Counts {
            outcomes: self.outcomes,
            evicted: self.evicted,
            entries: self.entries.len(),
            bytes: self.bytes,
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|turn| turn.expires <= now) {
            self.pop();
        }
    }

    fn shrink(&mut self) {
        // The queue is what is bounded: it holds every entry, and those that were abandoned.
        while self.order.len() > self.limits.entries || self.bytes > self.limits.bytes {
            match self.pop() {
                Some(true) => self.evicted += 1,
                Some(false) => {}
                None => return,
            }
        }
    }

    /// Removes the oldest; whether it was still there.
    fn pop(&mut self) -> Option<bool> {
        let Turn { id, ticket, .. } = self.order.pop_front()?;
        let hash_map::Entry::Occupied(entry) = self.entries.entry(id) else {
            return Some(false);
        };
        let live = entry.get().ticket == ticket;
        if live {
            self.bytes -= entry.remove().cost();
        }
        Some(live)
    }
}
