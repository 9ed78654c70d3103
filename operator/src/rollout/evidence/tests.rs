use proptest::prelude::*;

use super::*;

fn sample(pod: &str, started: i64, requests: u64, errors: u64) -> Sample {
    Sample {
        arm: Arm::Candidate,
        pod: pod.into(),
        started,
        counts: Counts {
            requests,
            errors,
            answers: requests,
            ..Counts::default()
        },
    }
}

fn counted(ledger: &Ledger) -> (u64, u64) {
    (ledger.candidate.requests, ledger.candidate.errors)
}

/// Folds visits one after the other; what is counted after each.
fn story(visits: &[&[Sample]]) -> Vec<(u64, u64)> {
    let mut ledger = Ledger::default();
    ledger.note(&[sample("a", 1, 100, 10)]);
    ledger.begin_step(50);
    let fold = |visit: &&[Sample]| {
        ledger.fold(visit, &BTreeMap::new());
        counted(&ledger)
    };
    visits.iter().map(fold).collect()
}

#[test]
fn each_request_is_counted_once_whatever_happens_to_the_pods() {
    let a = |requests, errors| sample("a", 1, requests, errors);
    for (told, visits, expected) in [
        (
            "what was before the step does not count",
            vec![vec![a(100, 10)]],
            vec![(0, 0)],
        ),
        (
            "increments",
            vec![vec![a(110, 11)], vec![a(130, 11)]],
            vec![(10, 1), (30, 1)],
        ),
        (
            "read twice",
            vec![vec![a(110, 11), a(110, 11)], vec![a(110, 11)]],
            vec![(10, 1), (10, 1)],
        ),
        (
            "a late answer",
            vec![vec![a(120, 12)], vec![a(110, 11)], vec![a(121, 12)]],
            vec![(20, 2), (20, 2), (21, 2)],
        ),
        (
            "not read in between",
            vec![vec![a(110, 10)], vec![], vec![a(130, 12)]],
            vec![(10, 0), (10, 0), (30, 2)],
        ),
        (
            "the container starts anew",
            vec![
                vec![a(110, 10)],
                vec![sample("a", 60, 5, 1)],
                vec![sample("a", 60, 7, 1)],
            ],
            vec![(10, 0), (15, 1), (17, 1)],
        ),
        (
            "a late answer of the process before it",
            vec![
                vec![sample("a", 60, 5, 1)],
                vec![a(140, 10)],
                vec![sample("a", 60, 6, 1)],
            ],
            vec![(5, 1), (5, 1), (6, 1)],
        ),
        (
            "a new pod",
            vec![vec![a(110, 10), sample("b", 70, 3, 0)]],
            vec![(13, 0)],
        ),
        (
            "an old pod that was never read",
            vec![vec![sample("c", 20, 900, 90)], vec![sample("c", 20, 905, 90)]],
            vec![(0, 0), (5, 0)],
        ),
        (
            "a pod that vanishes and comes back",
            vec![
                vec![sample("b", 70, 3, 0)],
                vec![a(100, 10)],
                vec![sample("b", 70, 5, 0)],
            ],
            vec![(3, 0), (3, 0), (5, 0)],
        ),
    ] {
        let visits: Vec<&[Sample]> = visits.iter().map(Vec::as_slice).collect();
        assert_eq!(story(&visits), expected, "{told}");
    }
}

#[test]
fn what_a_lying_process_says_stays_within_what_it_could_have_counted() {
    let mut ledger = Ledger::default();
    let mut lie = sample("a", 1, 10, 500);
    lie.counts.refused = u64::MAX;
    lie.counts.slow = u64::MAX;
    ledger.fold(&[lie], &BTreeMap::new());
    let Counts {
        requests,
        errors,
        refused,
        answers,
        slow,
    } = ledger.candidate;
    assert_eq!((requests, errors, refused, answers, slow), (10, 10, 0, 10, 10));
}

#[test]
fn the_arms_are_told_apart_and_a_step_begins_at_zero() {
    let mut ledger = Ledger::default();
    let stable = Sample {
        arm: Arm::Stable,
        ..sample("s", 1, 95, 0)
    };
    ledger.fold(&[sample("a", 1, 5, 1), stable], &BTreeMap::new());
    assert_eq!((ledger.candidate.requests, ledger.stable.requests), (5, 95));
    ledger.begin_step(10);
    assert_eq!(
        (ledger.candidate, ledger.stable),
        (Counts::default(), Counts::default())
    );
    ledger.fold(&[sample("a", 1, 7, 1)], &BTreeMap::new());
    assert_eq!(counted(&ledger), (2, 0));
}

#[test]
fn the_memory_is_bounded_and_what_was_forgotten_is_not_counted_again() {
    let mut ledger = Ledger::default();
    let pod = |i: i64| sample(&format!("p{i}"), i, 10, 0);
    for i in 1..=1000 {
        ledger.fold(&[pod(i)], &BTreeMap::new());
    }
    assert_eq!(ledger.processes.len(), MAX_PROCESSES);
    assert_eq!(counted(&ledger), (10_000, 0));
    ledger.fold(&[pod(1), pod(500)], &BTreeMap::new());
    assert_eq!(counted(&ledger), (10_000, 0));
}

/// A pod whose container may start anew, and whose answers may get lost or come twice.
#[derive(Clone, Debug)]
enum Move {
    Serve(usize, u64),
    Restart(usize),
    Read(Vec<bool>),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0_usize..3, 0_u64..20).prop_map(|(pod, n)| Move::Serve(pod, n)),
        (0_usize..3).prop_map(Move::Restart),
        prop::collection::vec(any::<bool>(), 3).prop_map(Move::Read),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// What is counted is what was served, but for what a process served between its last answer and its end.
    #[test]
    fn nothing_is_counted_twice_and_nothing_backwards(moves in moves()) {
        let mut ledger = Ledger::default();
        let mut pods = [(1_i64, 0_u64, 0_u64); 3]; // start, served since, read since
        let (mut served, mut lost, mut clock, mut before) = (0, 0, 2, 0);
        for step in moves.into_iter().chain([Move::Read(vec![true; 3])]) {
            clock += 1;
            match step {
                Move::Serve(pod, n) => {
                    pods[pod].1 += n;
                    served += n;
                }
                Move::Restart(pod) => {
                    lost += pods[pod].1 - pods[pod].2;
                    pods[pod] = (clock, 0, 0);
                }
                Move::Read(answers) => {
                    let mut samples = vec![];
                    for (i, answers) in answers.into_iter().enumerate() {
                        if answers {
                            pods[i].2 = pods[i].1;
                            samples.push(sample(&i.to_string(), pods[i].0, pods[i].1, 0));
                        }
                    }
                    ledger.fold(&samples, &BTreeMap::new());
                }
            }
            prop_assert!(ledger.candidate.requests >= before);
            before = ledger.candidate.requests;
        }
        prop_assert_eq!(ledger.candidate.requests, served - lost);
    }
}
