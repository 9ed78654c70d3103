//! The decision of one visit.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// What earlier visits decided: the part of `status` that the next decision builds on. Versions are named by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The version that takes the traffic.
    pub stable: Option<String>,
    /// Versions without traffic, and since when.
    pub retiring: BTreeMap<String, Timestamp>,
}

/// What is true now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The version that the spec names.
    pub wanted: String,
    /// Versions whose pods are all there, verified and behind their Service.
    pub ready: BTreeSet<String>,
    /// Versions that have objects in the cluster.
    pub existing: BTreeSet<String>,
    /// Versions that the route names as it stands in the cluster.
    pub routed: BTreeSet<String>,
    /// How long to wait until everybody who watches the API server can be trusted to have seen what we see.
    pub unsettled: Duration,
}

/// Where the replacement stands after this visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The candidate is not ready.
    Verifying,
    /// The wanted version has the traffic, versions before it are still there.
    Promoting,
    /// One version.
    Stable,
}

/// What this visit decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the replacement stands.
    pub stage: Stage,
    /// The version that is to have the traffic.
    pub stable: Option<String>,
    /// The version that is being started.
    pub candidate: Option<String>,
    /// Versions that are kept although they have no traffic, and since when.
    pub retiring: BTreeMap<String, Timestamp>,
    /// Versions whose objects go now.
    pub removed: BTreeSet<String>,
    /// Whether the traffic moves in this visit.
    pub promoted: bool,
    /// When to look again although nothing changed.
    pub wait: Option<Duration>,
}

/// Decides one visit: promotes the wanted version when it is ready, and removes what has been without traffic, and
/// without an entry in the route, for `removal_delay`.
///
/// Not guaranteed: that a version is removed exactly then; it is removed by the first visit after it.
pub fn next(progress: &Progress, evidence: &Evidence, removal_delay: Duration, now: Timestamp) -> Step {
    let wanted = &evidence.wanted;
    let due = progress.stable.as_ref() != Some(wanted) && evidence.ready.contains(wanted);
    // The proxy learns of endpoints and of the route by separate watches: after an outage of the API server it may hear of
    // the route first, and would answer 404. Where nothing serves yet there is nothing to lose.
    let promoted = due && (progress.stable.is_none() || evidence.unsettled.is_zero());
    let stable = if promoted {
        Some(wanted.clone())
    } else {
        progress.stable.clone()
    };
    let candidate = (stable.as_ref() != Some(wanted)).then(|| wanted.clone());

    let (mut retiring, mut removed) = (BTreeMap::new(), BTreeSet::new());
    let mut wait = (due && !promoted).then_some(evidence.unsettled);
    for version in &evidence.existing {
        if Some(version) == stable.as_ref() || Some(version) == candidate.as_ref() {
            continue;
        }
        // What the route still names starts its wait when the route has let go of it.
        let since = match progress.retiring.get(version) {
            Some(since) if !evidence.routed.contains(version) => *since,
            _ => now,
        };
        let left = remaining(since, removal_delay, now);
        if left.is_zero() && !evidence.routed.contains(version) {
            removed.insert(version.clone());
        } else {
            retiring.insert(version.clone(), since);
            let left = left.max(Duration::from_millis(100));
            wait = Some(wait.map_or(left, |w| w.min(left)));
        }
    }
    let stage = match (&candidate, retiring.is_empty()) {
        (Some(_), _) => Stage::Verifying,
        (None, false) => Stage::Promoting,
        (None, true) => Stage::Stable,
    };
    Step {
        stage,
        stable,
        candidate,
        retiring,
        removed,
        promoted,
        wait,
    }
}

fn remaining(since: Timestamp, delay: Duration, now: Timestamp) -> Duration {
    // A clock that was set back must not keep a version for ever, so a `since` in the future counts as now.
    let waited = now.duration_since(since).max(SignedDuration::ZERO).unsigned_abs();
    delay.saturating_sub(waited)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, option, prelude::*, sample::select};

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn evidence(wanted: &str, ready: &[&str], existing: &[&str], routed: &[&str]) -> Evidence {
        Evidence {
            wanted: wanted.into(),
            ready: set(ready),
            existing: set(existing),
            routed: set(routed),
            unsettled: Duration::ZERO,
        }
    }

    fn progress(stable: Option<&str>, retiring: &[(&str, i64)]) -> Progress {
        Progress {
            stable: stable.map(Into::into),
            retiring: retiring.iter().map(|(v, s)| (v.to_string(), at(*s))).collect(),
        }
    }

    /// (what is told, progress, evidence, now) -> (stage, stable, candidate, retiring, removed)
    #[test]
    fn every_transition_is_a_row_of_the_table() {
        type Row<'a> = (
            &'a str,
            Progress,
            Evidence,
            i64,
            (
                Stage,
                Option<&'a str>,
                Option<&'a str>,
                &'a [(&'a str, i64)],
                &'a [&'a str],
            ),
        );
        let rows: [Row; 10] = [
            (
                "nothing is there yet",
                progress(None, &[]),
                evidence("a", &[], &[], &[]),
                0,
                (Stage::Verifying, None, Some("a"), &[], &[]),
            ),
            (
                "the first version is ready",
                progress(None, &[]),
                evidence("a", &["a"], &["a"], &[]),
                0,
                (Stage::Stable, Some("a"), None, &[], &[]),
            ),
            (
                "stable and wanted are one",
                progress(Some("a"), &[]),
                evidence("a", &["a"], &["a"], &["a"]),
                0,
                (Stage::Stable, Some("a"), None, &[], &[]),
            ),
            (
                "stable loses its pods and stays stable",
                progress(Some("a"), &[]),
                evidence("a", &[], &["a"], &["a"]),
                0,
                (Stage::Stable, Some("a"), None, &[], &[]),
            ),
            (
                "a new version is not ready",
                progress(Some("a"), &[]),
                evidence("b", &["a"], &["a", "b"], &["a"]),
                0,
                (Stage::Verifying, Some("a"), Some("b"), &[], &[]),
            ),
            (
                "a new version is ready",
                progress(Some("a"), &[]),
                evidence("b", &["a", "b"], &["a", "b"], &["a"]),
                0,
                (Stage::Promoting, Some("b"), None, &[("a", 0)], &[]),
            ),
            (
                "the old version waits",
                progress(Some("b"), &[("a", 0)]),
                evidence("b", &["b"], &["a", "b"], &["b"]),
                4,
                (Stage::Promoting, Some("b"), None, &[("a", 0)], &[]),
            ),
            (
                "the old version goes",
                progress(Some("b"), &[("a", 0)]),
                evidence("b", &["b"], &["a", "b"], &["b"]),
                5,
                (Stage::Stable, Some("b"), None, &[], &["a"]),
            ),
            (
                "the route did not let go yet: the wait begins anew",
                progress(Some("b"), &[("a", 0)]),
                evidence("b", &["b"], &["a", "b"], &["a"]),
                9,
                (Stage::Promoting, Some("b"), None, &[("a", 9)], &[]),
            ),
            (
                "back to a version that is still there",
                progress(Some("b"), &[("a", 0)]),
                evidence("a", &["a", "b"], &["a", "b"], &["b"]),
                3,
                (Stage::Promoting, Some("a"), None, &[("b", 3)], &[]),
            ),
        ];
        for (told, progress, evidence, now, (stage, stable, candidate, retiring, removed)) in rows {
            let step = next(&progress, &evidence, DELAY, at(now));
            assert_eq!(step.stage, stage, "{told}");
            assert_eq!(step.stable.as_deref(), stable, "{told}");
            assert_eq!(step.candidate.as_deref(), candidate, "{told}");
            let expected: BTreeMap<_, _> = retiring.iter().map(|(v, s)| (v.to_string(), at(*s))).collect();
            assert_eq!(step.retiring, expected, "{told}");
            assert_eq!(step.removed, set(removed), "{told}");
        }
    }

    #[test]
    fn a_superseded_candidate_is_removed_after_the_delay() {
        let first = next(
            &progress(Some("a"), &[]),
            &evidence("c", &["a"], &["a", "b", "c"], &["a"]),
            DELAY,
            at(0),
        );
        assert_eq!(first.retiring, progress(None, &[("b", 0)]).retiring);
        assert_eq!(first.wait, Some(DELAY));
        let later = Progress {
            stable: first.stable,
            retiring: first.retiring,
        };
        let second = next(
            &later,
            &evidence("c", &["a"], &["a", "b", "c"], &["a"]),
            DELAY,
            at(6),
        );
        assert_eq!(second.removed, set(&["b"]));
    }

    #[test]
    fn traffic_moves_only_when_the_watchers_have_settled() {
        let unsettled = Evidence {
            unsettled: Duration::from_secs(30),
            ..evidence("b", &["a", "b"], &["a", "b"], &["a"])
        };
        let step = next(&progress(Some("a"), &[]), &unsettled, DELAY, at(0));
        assert_eq!(
            (step.stable.as_deref(), step.candidate.as_deref()),
            (Some("a"), Some("b"))
        );
        assert_eq!(step.wait, Some(Duration::from_secs(30)));
        let first = Evidence {
            unsettled: Duration::from_secs(30),
            ..evidence("b", &["b"], &["b"], &[])
        };
        assert_eq!(
            next(&progress(None, &[]), &first, DELAY, at(0)).stable.as_deref(),
            Some("b")
        );
    }

    fn versions() -> impl Strategy<Value = BTreeSet<String>> {
        btree_set(select(vec!["a", "b", "c", "d"]).prop_map(String::from), 0..4)
    }

    proptest! {
        #[test]
        fn no_version_with_traffic_is_ever_removed(
            stable in option::of(select(vec!["a", "b", "c", "d"]).prop_map(String::from)),
            wanted in select(vec!["a", "b", "c", "d"]).prop_map(String::from),
            ready in versions(), existing in versions(), routed in versions(),
            since in 0_i64..100, now in 0_i64..100,
        ) {
            let progress = Progress {
                stable: stable.clone(),
                retiring: existing.iter().map(|v| (v.clone(), at(since))).collect(),
            };
            let evidence = Evidence { wanted: wanted.clone(), ready: ready.clone(), existing: existing.clone(), routed: routed.clone(), unsettled: Duration::ZERO };
            let step = next(&progress, &evidence, DELAY, at(now));
            prop_assert!(step.removed.is_disjoint(&routed));
            prop_assert!(step.stable.as_ref().is_none_or(|s| !step.removed.contains(s)));
            prop_assert!(step.candidate.as_ref().is_none_or(|c| !step.removed.contains(c)));
            prop_assert!(step.stable == stable || (step.stable == Some(wanted.clone()) && ready.contains(&wanted)),
                "traffic moves only to the wanted version, and only when it is ready");
            prop_assert!(step.stable.is_some() || stable.is_none(), "a stable version is never lost");
            for version in &existing {
                let places = usize::from(step.stable.as_ref() == Some(version))
                    + usize::from(step.candidate.as_ref() == Some(version))
                    + usize::from(step.retiring.contains_key(version))
                    + usize::from(step.removed.contains(version));
                prop_assert_eq!(places, 1, "{} is in exactly one place", version);
            }
        }
    }
}
