//! A counter that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts what its one writer sees. Two writers would lose counts; which thread writes is the owner's business.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// At zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the count: a load and a store. A locked addition would wait until every earlier store of the thread has
    /// reached the cache, and around it are stores that miss.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
