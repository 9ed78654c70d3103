//! When a version that lost the traffic may be removed: when nothing reaches it any more, shown by counts where they can
//! be had. A proxy learns of a change by a watch of its own, which may come back long after ours.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A version without traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retiring {
    /// When something last reached it, or could have.
    pub since: Timestamp,
    /// Requests that its pods had taken by then; none where they did not say.
    pub requests: Option<u64>,
    /// Requests that the pods of the version after it had taken by then; none where they did not say.
    pub heir: Option<u64>,
}

/// What a visit sees of a version without traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether the list still names it.
    pub routed: bool,
    /// Requests that its pods have taken.
    pub requests: Option<u64>,
    /// Requests that the pods of the stable version have taken.
    pub heir: Option<u64>,
}

/// The pauses before a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// From the last sign of traffic to the removal.
    pub removal: Duration,
    /// Until all who watch the API server can be trusted to have seen what we see, also without a proof.
    pub unsettled: Duration,
}

/// The entry as it is to be remembered, and how long the version is to be kept from `now` on.
///
/// Requests that reach the version start its wait anew. It is shown to be done with when it took none for a while in
/// which the stable version took some: then the proxy knows the new list. Without such a proof it is kept until the
/// watches have settled.
pub fn look(before: Option<&Retiring>, look: Look, waits: Waits, now: Timestamp) -> (Retiring, Duration) {
    let entry = match before {
        Some(before) if !look.routed && before.requests == look.requests => *before,
        _ => Retiring {
            since: now,
            requests: look.requests,
            heir: look.heir,
        },
    };
    let taken_over = look
        .heir
        .zip(entry.heir)
        .is_some_and(|(taken, then)| taken > then);
    let proven = look.requests.is_some() && taken_over;
    let left = remaining(entry.since, waits.removal, now);
    (entry, if proven { left } else { left.max(waits.unsettled) })
}

fn remaining(since: Timestamp, delay: Duration, now: Timestamp) -> Duration {
    // A clock that was set back must not keep a version for ever, so a `since` in the future counts as now.
    let waited = now.duration_since(since).max(SignedDuration::ZERO).unsigned_abs();
    delay.saturating_sub(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits {
        removal: Duration::from_secs(5),
        unsettled: Duration::from_secs(60),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn entry(since: i64, requests: Option<u64>, heir: Option<u64>) -> Retiring {
        Retiring {
            since: at(since),
            requests,
            heir,
        }
    }

    fn seen(requests: Option<u64>, heir: Option<u64>) -> Look {
        Look {
            routed: false,
            requests,
            heir,
        }
    }

    #[test]
    fn a_version_is_kept_for_as_long_as_something_may_reach_it() {
        let rows = [
            (
                "it just lost the traffic",
                None,
                seen(Some(9), Some(0)),
                0,
                (entry(0, Some(9), Some(0)), 60),
            ),
            (
                "the proxy has not heard of it: requests still arrive",
                Some(entry(0, Some(9), Some(0))),
                seen(Some(12), Some(0)),
                4,
                (entry(4, Some(12), Some(0)), 60),
            ),
            (
                "they arrive at both, because one proxy of two has heard of it",
                Some(entry(0, Some(9), Some(0))),
                seen(Some(12), Some(3)),
                4,
                (entry(4, Some(12), Some(3)), 60),
            ),
            (
                "the heir takes them now: a short wait is enough",
                Some(entry(4, Some(12), Some(3))),
                seen(Some(12), Some(7)),
                6,
                (entry(4, Some(12), Some(3)), 3),
            ),
            (
                "and is over",
                Some(entry(4, Some(12), Some(3))),
                seen(Some(12), Some(9)),
                9,
                (entry(4, Some(12), Some(3)), 0),
            ),
            (
                "no traffic at all proves nothing",
                Some(entry(0, Some(9), Some(0))),
                seen(Some(9), Some(0)),
                30,
                (entry(0, Some(9), Some(0)), 60),
            ),
            (
                "pods that do not say prove nothing",
                Some(entry(0, None, Some(0))),
                seen(None, Some(5)),
                30,
                (entry(0, None, Some(0)), 60),
            ),
            (
                "a pod that restarted counts anew: look again",
                Some(entry(0, Some(9), Some(0))),
                seen(Some(0), Some(5)),
                30,
                (entry(30, Some(0), Some(5)), 60),
            ),
        ];
        for (told, before, look_at, now, (entry, left)) in rows {
            let found = look(before.as_ref(), look_at, WAITS, at(now));
            assert_eq!(found, (entry, Duration::from_secs(left)), "{told}");
        }
    }

    #[test]
    fn once_the_watches_have_settled_a_quiet_version_goes_without_a_proof() {
        let settled = Waits {
            unsettled: Duration::ZERO,
            ..WAITS
        };
        let quiet = entry(0, Some(9), Some(0));
        let found = look(Some(&quiet), seen(Some(9), Some(0)), settled, at(5));
        assert_eq!(found, (quiet, Duration::ZERO));
    }

    #[test]
    fn an_entry_from_the_future_waits_no_longer_than_one_from_now() {
        let future = entry(1000, Some(9), Some(0));
        let (_, left) = look(Some(&future), seen(Some(9), Some(1)), WAITS, at(0));
        assert_eq!(left, WAITS.removal);
    }
}
