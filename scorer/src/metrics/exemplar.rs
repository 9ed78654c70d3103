//! Exemplars: for a bucket, the trace of a request that it counted.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// A counted request that was traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Id of its trace.
    pub trace: [u8; 16],
    /// The value that was observed.
    pub value: f64,
    /// When.
    pub at: SystemTime,
}

/// As OpenMetrics writes it.
impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{trace_id=\"")?;
        for byte in self.trace {
            write!(f, "{byte:02x}")?;
        }
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(f, "\"}} {} {}", self.value, at.as_millis() as f64 / 1e3)
    }
}

/// Room for the latest exemplar of one bucket of one thread.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Option<Exemplar>>);

impl Slot {
    /// Keeps it, unless a scrape is reading: a request never waits.
    pub fn put(&self, exemplar: Exemplar) {
        if let Ok(mut slot) = self.0.try_lock() {
            *slot = Some(exemplar);
        }
    }

    /// The latest one.
    pub fn get(&self) -> Option<Exemplar> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the later of two.
pub fn keep_latest(kept: &mut Option<Exemplar>, other: Option<Exemplar>) {
    if other.is_some_and(|other| kept.is_none_or(|kept| other.at > kept.at)) {
        *kept = other;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exemplar(second: u64) -> Exemplar {
        Exemplar {
            trace: [second as u8; 16],
            value: 1.0,
            at: UNIX_EPOCH + Duration::from_secs(second),
        }
    }

    #[test]
    fn a_scrape_that_reads_never_holds_a_request_up() {
        let slot = Slot::default();
        slot.put(exemplar(1));
        let reading = slot.0.lock().unwrap();
        slot.put(exemplar(2));
        drop(reading);
        assert_eq!(slot.get(), Some(exemplar(1)));
        slot.put(exemplar(3));
        assert_eq!(slot.get(), Some(exemplar(3)));
    }

    #[test]
    fn the_latest_of_all_shards_is_shown() {
        let mut kept = None;
        for other in [None, Some(exemplar(2)), Some(exemplar(1)), None] {
            keep_latest(&mut kept, other);
        }
        assert_eq!(kept, Some(exemplar(2)));
    }
}
