//! Keeps the operator from fighting another field manager over one object: after a few repairs it stops, and says so.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::build::Kind;

/// Repairs of one object within [`WINDOW`] before somebody has to look.
const REPAIRS: usize = 2;
/// How long a repair counts.
pub const WINDOW: Duration = Duration::from_secs(600);

/// Namespace, kind and name of an object.
type Key = (String, Kind, String);

/// Repairs of this process. A restart forgets them: then the limit begins anew.
#[derive(Debug, Default)]
pub struct Truce(Mutex<HashMap<Key, Vec<Instant>>>);

impl Truce {
    /// Whether the object may be put right once more at `now`; if so, that counts as a repair.
    pub fn may_repair(&self, namespace: &str, kind: Kind, name: &str, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, repairs| {
            repairs.retain(|at| now.saturating_duration_since(*at) < WINDOW);
            !repairs.is_empty()
        });
        let repairs = all.entry((namespace.into(), kind, name.into())).or_default();
        let may = repairs.len() < REPAIRS;
        if may {
            repairs.push(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_repair_waits_until_the_first_is_forgotten() {
        let (truce, start) = (Truce::default(), Instant::now());
        let may = |seconds| truce.may_repair("a", Kind::Service, "b", start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 2, 599].map(may), [true, true, false, false]);
        assert!(may(600));
        assert!(!may(600), "the repair of second 1 still counts");
    }

    #[test]
    fn objects_are_counted_one_by_one() {
        let (truce, now) = (Truce::default(), Instant::now());
        for name in ["a", "b", "c", "a", "b", "c"] {
            assert!(truce.may_repair("ns", Kind::Service, name, now));
        }
        assert!(truce.may_repair("other", Kind::Service, "a", now));
        assert!(truce.may_repair("ns", Kind::Deployment, "a", now));
    }
}
