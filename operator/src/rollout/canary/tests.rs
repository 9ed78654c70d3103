use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Strategy, *};
use crate::rollout::{
    evidence::{Arm, Counts},
    gate::{Gate, Limits},
    strategy::WeightStep,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn strategy(weights: &[u8]) -> Strategy {
    let limits = Limits {
        ratio: 2.0,
        max_rate: 0.01,
        min_samples: 100,
    };
    Strategy {
        steps: weights
            .iter()
            .map(|weight| WeightStep {
                weight: *weight,
                min_duration: Duration::from_secs(30),
            })
            .collect(),
        gates: Gate::ALL.map(|gate| (gate, limits)).into_iter().collect(),
        alpha: 0.01,
        paused: false,
    }
}

/// All is well, and nobody has said anything yet.
fn well() -> Sight {
    Sight {
        ready: true,
        serving: true,
        routable: true,
        ..Sight::default()
    }
}

/// One process of each version, with what it counted since its start.
fn said(candidate: (u64, u64), stable: (u64, u64)) -> Sight {
    let sample = |arm, pod: &str, (requests, errors)| Sample {
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
    let samples = vec![
        sample(Arm::Candidate, "c", candidate),
        sample(Arm::Stable, "s", stable),
    ];
    Sight { samples, ..well() }
}

fn canary() -> Canary {
    Canary::new("b".into(), at(0))
}

/// A canary at its first step since second 0.
fn begun() -> Canary {
    let mut canary = canary();
    canary.advance(&strategy(&[5, 25, 50]), &said((0, 0), (0, 0)), at(0));
    assert_eq!((canary.step, canary.weight), (0, 5));
    canary
}

#[test]
fn every_turn_of_a_candidate_at_its_first_step_is_a_row_of_the_table() {
    let paused = Strategy {
        paused: true,
        ..strategy(&[5, 25, 50])
    };
    let steps = strategy(&[5, 25, 50]);
    let enough = said((200, 0), (3800, 0));
    let unread = Sight {
        unread: Some("1 of 2 pods could not be read".into()),
        ..enough.clone()
    };
    for (told, strategy, sight, second, turn, weight) in [
        (
            "too early",
            &steps,
            &enough,
            29,
            Turn::Hold(Hold::Duration(Duration::from_secs(1))),
            5,
        ),
        ("passed", &steps, &enough, 30, Turn::Step, 25),
        (
            "no traffic",
            &steps,
            &said((0, 0), (4000, 0)),
            90,
            Turn::Hold(Hold::Gates),
            5,
        ),
        (
            "too few requests",
            &steps,
            &said((99, 0), (4000, 0)),
            90,
            Turn::Hold(Hold::Gates),
            5,
        ),
        ("silence of all", &steps, &well(), 90, Turn::Hold(Hold::Gates), 5),
        (
            "a pod that does not answer",
            &steps,
            &unread,
            90,
            Turn::Hold(Hold::Gates),
            5,
        ),
        (
            "a pod is missing",
            &steps,
            &Sight {
                ready: false,
                ..enough.clone()
            },
            90,
            Turn::Hold(Hold::NotReady),
            5,
        ),
        (
            "watchers that have not settled",
            &steps,
            &Sight {
                routable: false,
                ..enough.clone()
            },
            90,
            Turn::Hold(Hold::Route),
            5,
        ),
        ("paused", &paused, &enough, 90, Turn::Hold(Hold::Paused), 5),
        (
            "all pods lost",
            &steps,
            &Sight {
                ready: false,
                serving: false,
                ..enough.clone()
            },
            90,
            Turn::Hold(Hold::Lost),
            0,
        ),
    ] {
        let mut canary = begun();
        assert_eq!(canary.advance(strategy, sight, at(second)).0, turn, "{told}");
        assert_eq!(canary.weight, weight, "{told}");
    }
}

#[test]
fn a_candidate_waits_without_traffic_until_it_may_begin() {
    let steps = strategy(&[5]);
    for (told, strategy, sight, hold) in [
        (
            "not ready",
            steps.clone(),
            Sight {
                ready: false,
                ..well()
            },
            Hold::Starting,
        ),
        (
            "without endpoints",
            steps.clone(),
            Sight {
                serving: false,
                ..well()
            },
            Hold::Starting,
        ),
        (
            "paused",
            Strategy {
                paused: true,
                ..steps.clone()
            },
            well(),
            Hold::Paused,
        ),
        (
            "no route yet",
            steps.clone(),
            Sight {
                routable: false,
                ..well()
            },
            Hold::Route,
        ),
    ] {
        let mut canary = canary();
        assert_eq!(
            canary.advance(&strategy, &sight, at(9)).0,
            Turn::Hold(hold),
            "{told}"
        );
        assert_eq!(canary.weight, 0, "{told}");
    }
}

#[test]
fn a_good_version_passes_every_step_with_numbers_of_that_step() {
    let (steps, mut canary) = (strategy(&[5, 25, 50]), begun());
    let mut seen = vec![];
    for (second, requests) in [(30, 150), (60, 200), (65, 260), (95, 360)] {
        let (turn, gates) = canary.advance(&steps, &said((requests, 0), (requests * 9, 0)), at(second));
        seen.push((turn, canary.weight, gates[0].samples));
    }
    assert_eq!(
        seen,
        [
            (Turn::Step, 25, 150),
            (Turn::Hold(Hold::Gates), 25, 50), // 200 requests, of which 50 at this step
            (Turn::Step, 50, 110),
            (Turn::Promote, 50, 100),
        ]
    );
}

#[test]
fn a_fail_takes_the_weight_away_at_once_whatever_else_is_true() {
    let bad = said((40, 20), (760, 0));
    for (told, strategy, sight) in [
        ("at once", strategy(&[5]), bad.clone()),
        (
            "paused",
            Strategy {
                paused: true,
                ..strategy(&[5])
            },
            bad.clone(),
        ),
        (
            "not settled",
            strategy(&[5]),
            Sight {
                routable: false,
                ..bad.clone()
            },
        ),
        (
            "pods lost",
            strategy(&[5]),
            Sight {
                serving: false,
                ready: false,
                ..bad.clone()
            },
        ),
        (
            "others silent",
            strategy(&[5]),
            Sight {
                unread: Some("x".into()),
                ..bad.clone()
            },
        ),
        ("steps changed", strategy(&[1]), bad.clone()),
    ] {
        let mut canary = begun();
        let (turn, _) = canary.advance(&strategy, &sight, at(1));
        let Turn::Reject(reason) = turn else {
            panic!("{told}: {turn:?}")
        };
        assert!(
            reason.starts_with("errorRatio failed: proven more than 2 times"),
            "{told}: {reason}"
        );
        assert_eq!(canary.weight, 0, "{told}");
    }
}

#[test]
fn a_candidate_that_loses_its_pods_three_times_is_given_up() {
    let (steps, mut canary) = (strategy(&[5, 25]), begun());
    let lost = Sight {
        ready: false,
        serving: false,
        ..well()
    };
    for losses in 1..3 {
        assert_eq!(canary.advance(&steps, &lost, at(1)).0, Turn::Hold(Hold::Lost));
        assert_eq!((canary.weight, canary.losses), (0, losses));
        assert_eq!(canary.advance(&steps, &well(), at(2)).0, Turn::Step);
    }
    assert!(
        matches!(canary.advance(&steps, &lost, at(3)).0, Turn::Reject(reason) if reason.contains("3 times"))
    );
}

#[test]
fn steps_that_change_on_the_way_never_raise_the_weight() {
    for (told, steps, expected) in [
        ("the same weight elsewhere", vec![1, 5, 90], (1, 5)),
        ("less weight", vec![2, 50], (0, 2)),
        ("more weight only: the first step", vec![10, 50], (0, 10)),
    ] {
        let mut canary = begun();
        canary.advance(&strategy(&steps), &said((50, 0), (50, 0)), at(1));
        assert_eq!((canary.step, canary.weight), expected, "{told}");
    }
}

#[test]
fn a_clock_that_was_set_back_starts_the_wait_anew() {
    let (steps, mut canary) = (strategy(&[5, 25]), begun());
    assert!(matches!(
        canary.advance(&steps, &said((200, 0), (0, 0)), at(-1000)).0,
        Turn::Hold(Hold::Duration(_))
    ));
    assert_eq!(
        canary.advance(&steps, &said((200, 0), (0, 0)), at(-970)).0,
        Turn::Step
    );
}

/// One visit: seconds that passed, requests and errors of the candidate, of stable, and what else is true.
type Visit = (i64, (u64, u64), u64, [bool; 4], bool);

fn visits() -> impl proptest::strategy::Strategy<Value = Vec<Visit>> {
    prop::collection::vec(
        (
            0_i64..40,
            (0_u64..400, 0_u64..3),
            0_u64..4000,
            any::<[bool; 4]>(),
            any::<bool>(),
        ),
        1..40,
    )
}

proptest! {
    #[test]
    fn the_weight_rises_only_on_a_pass_and_falls_on_a_fail(visits in visits()) {
        let weights = [5, 25, 50];
        let (mut canary, mut again) = (canary(), canary());
        let (mut clock, mut candidate, mut stable) = (0, (0, 0), 0);
        let mut passed = BTreeMap::new();
        for (seconds, (requests, errors), others, [ready, serving, routable, read], paused) in visits {
            clock += seconds;
            candidate = (candidate.0 + requests, candidate.1 + errors.min(requests));
            stable += others;
            let steps = Strategy { paused, ..strategy(&weights) };
            let sight = Sight {
                ready, serving, routable,
                unread: (!read).then(|| "silent".into()),
                ..said(candidate, (stable, 0))
            };
            let before = canary.clone();
            let (turn, gates) = canary.advance(&steps, &sight, at(clock));
            // Whoever begins again from what was persisted decides the same.
            prop_assert_eq!(&again.clone().advance(&steps, &sight, at(clock)), &(turn.clone(), gates.clone()));
            again = canary.clone();

            let pass = !gates.is_empty() && gates.iter().all(|gate| gate.verdict == Verdict::Pass);
            let fail = gates.iter().any(|gate| gate.verdict == Verdict::Fail);
            prop_assert!(!fail || (matches!(turn, Turn::Reject(_)) && canary.weight == 0), "a fail keeps its weight");
            if canary.weight > before.weight && before.weight > 0 || turn == Turn::Promote {
                prop_assert!(pass && ready && routable && read && !paused, "{turn:?} without a pass: {gates:?}");
                passed.insert(before.step, ());
            }
            if !read && serving && !fail {
                prop_assert!(canary.weight == before.weight || before.weight == 0, "silence changed the weight");
            }
            if canary.weight == 0 {
                passed.clear();
            }
            match turn {
                Turn::Promote => {
                    prop_assert_eq!(passed.len(), weights.len(), "promoted without a pass at every step");
                    break;
                }
                Turn::Reject(_) => break,
                Turn::Step | Turn::Hold(_) => {}
            }
        }
    }
}
