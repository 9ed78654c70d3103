//! A candidate in steps, as a whole: who has the traffic, what is kept, what is remembered.

use proptest::collection::vec;

use super::*;
use crate::rollout::{
    evidence::{Arm, Counts, Sample},
    gate::{Gate, Limits, Verdict},
    strategy::WeightStep,
};

fn strategy(weights: &[u8]) -> Strategy {
    let limits = Limits {
        ratio: 2.0,
        max_rate: 0.01,
        min_samples: 100,
    };
    let step = |weight: &u8| WeightStep {
        weight: *weight,
        min_duration: Duration::from_secs(10),
    };
    Strategy {
        steps: weights.iter().map(step).collect(),
        gates: Gate::ALL.map(|gate| (gate, limits)).into(),
        alpha: 0.01,
        paused: false,
    }
}

/// What a visit sees when `wanted` has served `requests` with `errors`, and `a` nine times as many without.
fn seen(wanted: &str, requests: u64, errors: u64) -> Evidence {
    let sample = |arm, pod: &str, requests, errors| Sample {
        arm,
        pod: pod.into(),
        started: 1,
        counts: Counts {
            requests,
            errors,
            answers: requests,
            ..Counts::default()
        },
    };
    Evidence {
        strategy: Some(strategy(&[10, 50])),
        sight: Sight {
            ready: true,
            serving: true,
            routable: true,
            samples: vec![
                sample(Arm::Candidate, wanted, requests, errors),
                sample(Arm::Stable, "a", 9 * requests, 0),
            ],
            unread: None,
        },
        ..evidence(wanted, &["a", wanted], &["a", wanted], &["a"])
    }
}

/// The versions that have traffic, with their shares.
trait Weights {
    fn weights(&self) -> Vec<(&str, u8)>;
}

impl Weights for Step {
    fn weights(&self) -> Vec<(&str, u8)> {
        let all = ["a", "b", "c"].map(|version| (version, self.weight_of(version)));
        all.into_iter().filter(|(_, weight)| *weight > 0).collect()
    }
}

fn remember(step: &Step) -> Progress {
    Progress {
        stable: step.stable.clone(),
        canary: step.canary.clone(),
        giving_up: step.candidate.is_some() || step.stage == Stage::RollingBack,
        retiring: step.retiring.clone(),
    }
}

/// `b` at its first step beside `a`, at second 0.
fn begun() -> Progress {
    let step = next(&progress(Some("a"), &[]), &seen("b", 0, 0), WAITS, at(0));
    assert_eq!(
        (step.stage, step.weights(), step.moved),
        (Stage::Canary, vec![("a", 90), ("b", 10)], true)
    );
    assert_eq!((&step.ended, step.wait), (&None, Some(INTERVAL)));
    remember(&step)
}

#[test]
fn a_good_version_goes_through_its_steps_and_is_promoted() {
    let first = next(&begun(), &seen("b", 100, 0), WAITS, at(10));
    assert_eq!(
        (first.stage, first.weights(), first.moved),
        (Stage::Canary, vec![("a", 50), ("b", 50)], true)
    );
    let early = next(&remember(&first), &seen("b", 300, 0), WAITS, at(17));
    assert_eq!(
        (early.weights(), early.moved, early.hold.clone()),
        (
            vec![("a", 50), ("b", 50)],
            false,
            Some(Hold::Duration(Duration::from_secs(3)))
        )
    );
    assert_eq!(early.wait, Some(Duration::from_secs(3)));
    let last = next(&remember(&first), &seen("b", 300, 0), WAITS, at(20));
    assert_eq!(
        (last.stage, last.weights(), last.moved),
        (Stage::Promoting, vec![("b", 100)], true)
    );
    assert_eq!(
        (last.ended, last.canary, last.retiring),
        (Some(Ended::Promoted), None, progress(None, &[("a", 20)]).retiring)
    );
    assert!(last.judgements.iter().all(|gate| gate.verdict == Verdict::Pass));
}

#[test]
fn a_bad_version_loses_its_traffic_and_is_not_tried_again() {
    let step = next(&begun(), &seen("b", 40, 20), WAITS, at(1));
    assert_eq!(
        (step.stage, step.weights(), step.moved),
        (Stage::RollingBack, vec![("a", 100)], true)
    );
    let Some(Ended::RolledBack(reason)) = &step.ended else {
        panic!("{:?}", step.ended)
    };
    assert!(reason.contains("20 in 40"), "{reason}");
    assert_eq!((step.candidate.as_ref(), step.canary.as_ref()), (None, None));
    assert_eq!(step.retiring, progress(None, &[("b", 1)]).retiring);

    let rejected = Evidence {
        rejected: true,
        ..seen("b", 40, 20)
    };
    let waits = next(&remember(&step), &rejected, WAITS, at(3));
    assert_eq!(
        (waits.stage, waits.weights(), &waits.ended, waits.moved),
        (Stage::RollingBack, vec![("a", 100)], &None, false)
    );
    let removed = next(&remember(&waits), &rejected, WAITS, at(6));
    assert_eq!((removed.stage, removed.removed), (Stage::RolledBack, set(&["b"])));
    let rests = Evidence {
        existing: set(&["a"]),
        ..rejected
    };
    assert_eq!(
        next(&progress(Some("a"), &[]), &rests, WAITS, at(99)).stage,
        Stage::RolledBack
    );
}

#[test]
fn another_version_in_mid_rollout_takes_the_weight_of_the_first_and_begins_with_none() {
    let both = Evidence {
        existing: set(&["a", "b", "c"]),
        sight: Sight::default(),
        ..seen("c", 0, 0)
    };
    let step = next(&begun(), &both, WAITS, at(5));
    assert_eq!(
        (step.stage, step.weights(), step.moved),
        (Stage::Verifying, vec![("a", 100)], true)
    );
    assert_eq!(step.candidate.as_deref(), Some("c"));
    assert_eq!(step.retiring, progress(None, &[("b", 5)]).retiring);
    assert!(matches!(step.ended, Some(Ended::Superseded(told)) if told.contains("10 %")));
    let fresh = step.canary.unwrap();
    assert_eq!(
        (fresh.version.as_str(), fresh.weight, fresh.ledger.processes.len()),
        ("c", 0, 0)
    );
}

#[test]
fn going_back_to_the_stable_version_ends_the_rollout() {
    let back = Evidence {
        existing: set(&["a", "b"]),
        ..seen("a", 0, 0)
    };
    let step = next(&begun(), &back, WAITS, at(5));
    assert_eq!(
        (step.stage, step.weights(), step.moved),
        (Stage::RollingBack, vec![("a", 100)], true)
    );
    assert!(matches!(step.ended, Some(Ended::Aborted(_))));
    let gone = next(&remember(&step), &back, WAITS, at(10));
    assert_eq!((gone.stage, gone.removed), (Stage::Stable, set(&["b"])));
}

#[test]
fn the_first_version_and_one_without_steps_take_over_when_they_are_ready() {
    let first = next(&progress(None, &[]), &seen("b", 0, 0), WAITS, at(0));
    assert_eq!(
        (first.weights(), &first.ended),
        (vec![("b", 100)], &Some(Ended::Promoted))
    );
    let at_once = Evidence {
        strategy: None,
        ..seen("b", 0, 0)
    };
    let step = next(&begun(), &at_once, WAITS, at(1));
    assert_eq!(
        (step.weights(), &step.ended),
        (vec![("b", 100)], &Some(Ended::Promoted))
    );
}

#[test]
fn a_rejected_version_gets_nothing_even_without_steps_or_a_stable_version() {
    for stable in [None, Some("a")] {
        let evidence = Evidence {
            rejected: true,
            strategy: None,
            ..seen("b", 0, 0)
        };
        let step = next(&progress(stable, &[]), &evidence, WAITS, at(0));
        assert!(
            step.weights().iter().all(|(version, _)| *version != "b"),
            "{stable:?}"
        );
        assert_eq!(step.candidate, None);
    }
}

#[test]
fn a_pause_is_a_stage_of_its_own() {
    let paused = Evidence {
        strategy: Some(Strategy {
            paused: true,
            ..strategy(&[10, 50])
        }),
        ..seen("b", 500, 0)
    };
    let step = next(&begun(), &paused, WAITS, at(60));
    assert_eq!(
        (step.stage, step.weights()),
        (Stage::Paused, vec![("a", 90), ("b", 10)])
    );
    let waiting = next(&progress(Some("a"), &[]), &paused, WAITS, at(60));
    assert_eq!(
        (waiting.stage, waiting.weights()),
        (Stage::Paused, vec![("a", 100)])
    );
}

/// What changes from visit to visit: seconds, requests, errors, the wanted version, and what is true of it.
type Visit = (i64, u64, u64, &'static str, [bool; 5]);

fn visits() -> impl proptest::strategy::Strategy<Value = Vec<Visit>> {
    let wanted = select(vec!["a", "b", "b", "b", "c"]);
    let truths = [0.9, 0.9, 0.9, 0.9, 0.1].map(proptest::bool::weighted);
    vec((0_i64..20, 0_u64..300, 0_u64..2, wanted, truths), 1..60)
}

proptest! {
    #[test]
    fn the_traffic_is_always_whole_and_never_with_a_rejected_version(visits in visits()) {
        let (mut progress, mut rejected) = (progress(Some("a"), &[]), BTreeSet::new());
        let (mut clock, mut requests, mut errors) = (0, 0, 0);
        for (seconds, more, wrong, wanted, [ready, serving, routable, read, retry]) in visits {
            clock += seconds;
            requests += more;
            errors += wrong.min(more);
            if retry {
                rejected.clear();
            }
            let mut evidence = Evidence {
                rejected: rejected.contains(wanted),
                existing: set(&["a", "b", "c"]),
                ..seen(wanted, requests, errors)
            };
            (evidence.sight.ready, evidence.sight.serving, evidence.sight.routable) = (ready, serving, routable);
            evidence.sight.unread = (!read).then(|| "silent".into());
            let step = next(&progress, &evidence, WAITS, at(clock));
            let weights = step.weights();
            prop_assert_eq!(weights.iter().map(|(_, weight)| u32::from(*weight)).sum::<u32>(), 100);
            prop_assert!(weights.iter().all(|(version, _)| !step.removed.contains(*version)));
            prop_assert!(step.stable == progress.stable || step.ended == Some(Ended::Promoted));
            if progress.stable.as_deref() != Some(wanted) {
                prop_assert!(!evidence.rejected || weights.iter().all(|(version, _)| *version != wanted));
            }
            let others = weights.iter().filter(|(version, _)| Some(*version) != step.stable.as_deref());
            prop_assert!(others.into_iter().all(|(version, _)| *version == wanted), "weight on what the spec does not name");
            if step.judgements.iter().any(|gate| gate.verdict == Verdict::Fail) {
                prop_assert_eq!(&weights, &vec![(progress.stable.as_deref().unwrap_or_default(), 100)]);
                prop_assert!(matches!(step.ended, Some(Ended::RolledBack(_))));
            }
            if matches!(step.ended, Some(Ended::RolledBack(_))) {
                rejected.insert(wanted);
            }
            progress = remember(&step);
        }
    }
}
