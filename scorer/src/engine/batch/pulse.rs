//! Whether the model still answers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Failures in a row after which an instance should leave service.
const LIMIT: u32 = 5;

/// Counts the failures in a row; shared by the threads of a process, each of which may push it over the limit.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU32);

impl Pulse {
    /// Whether the model has failed five times in a row, and has not answered since.
    pub fn is_failing(&self) -> bool {
        self.0.load(Relaxed) >= LIMIT
    }

    /// The model gave a probability.
    pub fn succeeded(&self) {
        // Nearly always zero already: then other threads keep their copy of the cache line.
        if self.0.load(Relaxed) > 0 {
            self.0.store(0, Relaxed);
        }
    }

    /// The model failed, or gave no probability.
    pub fn failed(&self) {
        let count = self.0.load(Relaxed);
        self.0.store(count.saturating_add(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_are_too_many_and_one_answer_ends_them() {
        let pulse = Pulse::default();
        for _ in 0..3 {
            for _ in 0..LIMIT - 1 {
                pulse.failed();
            }
            assert!(!pulse.is_failing());
            pulse.succeeded();
        }
        for _ in 0..LIMIT {
            pulse.failed();
        }
        assert!(pulse.is_failing());
        pulse.succeeded();
        assert!(!pulse.is_failing());
    }
}
