//! The decision of one visit.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::retire::{self, Retiring, Waits};

/// Shortest pause between two looks at a version without traffic.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What earlier visits decided: the part of `status` that the next decision builds on. Versions are named by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The version that takes the traffic.
    pub stable: Option<String>,
    /// Versions without traffic.
    pub retiring: BTreeMap<String, Retiring>,
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
    /// Versions that the weighted list names as it stands in the cluster.
    pub routed: BTreeSet<String>,
    /// The version that the route falls back to as it stands in the cluster.
    pub fallback: Option<String>,
    /// Requests that the ready pods of a version have taken since they started; absent where a pod did not say.
    pub requests: BTreeMap<String, u64>,
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
    /// The version that answers where the proxy cannot use the list, because it has not heard of a Service in it yet.
    pub fallback: Option<String>,
    /// Versions that are kept although they have no traffic.
    pub retiring: BTreeMap<String, Retiring>,
    /// Versions whose objects go now.
    pub removed: BTreeSet<String>,
    /// Whether the traffic moves in this visit.
    pub promoted: bool,
    /// When to look again although nothing changed.
    pub wait: Option<Duration>,
}

/// Decides one visit: promotes the wanted version when it is ready, and removes what nothing reaches any more.
///
/// Not guaranteed: that a version is removed exactly then; it is removed by the first visit after it.
pub fn next(progress: &Progress, evidence: &Evidence, waits: Waits, now: Timestamp) -> Step {
    let wanted = &evidence.wanted;
    let promoted = progress.stable.as_ref() != Some(wanted) && evidence.ready.contains(wanted);
    let stable = if promoted {
        Some(wanted.clone())
    } else {
        progress.stable.clone()
    };
    let candidate = (stable.as_ref() != Some(wanted)).then(|| wanted.clone());

    let (mut retiring, mut removed) = (BTreeMap::new(), BTreeSet::new());
    let mut wait: Option<Duration> = None;
    let heir = stable
        .as_ref()
        .and_then(|stable| evidence.requests.get(stable).copied());
    for version in &evidence.existing {
        if Some(version) == stable.as_ref() || Some(version) == candidate.as_ref() {
            continue;
        }
        let look = retire::Look {
            routed: evidence.routed.contains(version),
            requests: evidence.requests.get(version).copied(),
            heir,
        };
        let (entry, left) = retire::look(progress.retiring.get(version), look, waits, now);
        if left.is_zero() && !look.routed {
            removed.insert(version.clone());
        } else {
            retiring.insert(version.clone(), entry);
            // A proof that nothing reaches it may be there long before the longest wait is over.
            let look_again = left.min(waits.removal).max(LOOK_AGAIN);
            wait = Some(wait.map_or(look_again, |w| w.min(look_again)));
        }
    }
    let kept = evidence
        .fallback
        .clone()
        .filter(|version| retiring.contains_key(version));
    let stage = match (&candidate, retiring.is_empty()) {
        (Some(_), _) => Stage::Verifying,
        (None, false) => Stage::Promoting,
        (None, true) => Stage::Stable,
    };
    Step {
        stage,
        fallback: stable.as_ref().map(|stable| kept.unwrap_or(stable).clone()),
        stable,
        candidate,
        retiring,
        removed,
        promoted,
        wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, option, prelude::*, sample::select};

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);
    const WAITS: Waits = Waits {
        removal: DELAY,
        unsettled: Duration::ZERO,
    };

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
            ..Evidence::default()
        }
    }

    fn since(second: i64) -> Retiring {
        Retiring {
            since: at(second),
            requests: None,
            heir: None,
        }
    }

    fn progress(stable: Option<&str>, retiring: &[(&str, i64)]) -> Progress {
        Progress {
            stable: stable.map(Into::into),
            retiring: retiring.iter().map(|(v, s)| (v.to_string(), since(*s))).collect(),
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
            let step = next(&progress, &evidence, WAITS, at(now));
            assert_eq!(step.stage, stage, "{told}");
            assert_eq!(step.stable.as_deref(), stable, "{told}");
            assert_eq!(step.candidate.as_deref(), candidate, "{told}");
            let expected: BTreeMap<_, _> = retiring.iter().map(|(v, s)| (v.to_string(), since(*s))).collect();
            assert_eq!(step.retiring, expected, "{told}");
            assert_eq!(step.removed, set(removed), "{told}");
        }
    }

    #[test]
    fn a_superseded_candidate_is_removed_after_the_delay() {
        let first = next(
            &progress(Some("a"), &[]),
            &evidence("c", &["a"], &["a", "b", "c"], &["a"]),
            WAITS,
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
            WAITS,
            at(6),
        );
        assert_eq!(second.removed, set(&["b"]));
    }

    #[test]
    fn the_route_falls_back_to_the_version_before_until_that_is_removed() {
        let promoting = Evidence {
            fallback: Some("a".into()),
            ..evidence("b", &["a", "b"], &["a", "b"], &["a"])
        };
        let step = next(&progress(Some("a"), &[]), &promoting, WAITS, at(0));
        assert_eq!(step.stable.as_deref(), Some("b"));
        assert_eq!(step.fallback.as_deref(), Some("a"));
        let due = Evidence {
            fallback: Some("a".into()),
            ..evidence("b", &["a", "b"], &["a", "b"], &["b"])
        };
        let step = next(&progress(Some("b"), &[("a", 0)]), &due, WAITS, at(5));
        assert_eq!(step.removed, set(&["a"]));
        assert_eq!(step.fallback.as_deref(), Some("b"));
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
            begin in 0_i64..100, now in 0_i64..100, fallback in option::of(select(vec!["a", "b", "c", "d"]).prop_map(String::from)),
        ) {
            let progress = Progress {
                stable: stable.clone(),
                retiring: existing.iter().map(|v| (v.clone(), super::tests::since(begin))).collect(),
            };
            let evidence = Evidence { wanted: wanted.clone(), ready: ready.clone(), existing: existing.clone(), routed: routed.clone(), fallback, ..Evidence::default() };
            let step = next(&progress, &evidence, WAITS, at(now));
            prop_assert!(step.removed.is_disjoint(&routed));
            prop_assert!(step.fallback.as_ref().is_none_or(|f| !step.removed.contains(f)));
            prop_assert!(step.fallback.is_some() == step.stable.is_some());
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
