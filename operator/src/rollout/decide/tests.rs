mod steps;

use proptest::{
    collection::btree_set,
    option,
    prelude::{prop_assert, prop_assert_eq, proptest},
    sample::select,
    strategy::Strategy as _,
};

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
        ..Progress::default()
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
        ..Progress::default()
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

fn versions() -> impl proptest::strategy::Strategy<Value = BTreeSet<String>> {
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
            retiring: existing.iter().map(|v| (v.clone(), since(begin))).collect(),
            ..Progress::default()
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
