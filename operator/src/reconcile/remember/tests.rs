use jiff::Timestamp;
use proptest::{collection::btree_map, prelude::*};

use super::*;

fn some_counts() -> impl Strategy<Value = Counts> {
    any::<[u64; 5]>().prop_map(|[requests, errors, refused, answers, slow]| Counts {
        requests,
        errors,
        refused,
        answers,
        slow,
    })
}

fn some_tests() -> impl Strategy<Value = Tests> {
    (any::<[i64; 7]>(), any::<[i64; 7]>()).prop_map(|(ratio, rate)| Tests {
        ratio: Sums(ratio),
        rate: Sums(rate),
    })
}

fn some_canary() -> impl Strategy<Value = Canary> {
    let processes = btree_map(
        "[0-9a-f]{16}",
        (any::<i64>(), some_counts()).prop_map(|(started, counts)| Process { started, counts }),
        0..5,
    );
    let tests = btree_map(prop::sample::select(Gate::ALL.to_vec()), some_tests(), 0..3);
    let ledger = (any::<i64>(), some_counts(), some_counts(), tests, processes);
    (1_u8..=100, 0_usize..10, 0_i64..2_000_000_000, 0_u32..3, ledger).prop_map(
        |(weight, step, since, losses, (from, candidate, stable, tests, processes))| Canary {
            version: "0123abcd".into(),
            step,
            weight,
            since: Timestamp::from_second(since).unwrap(),
            losses,
            ledger: Ledger {
                from,
                candidate,
                stable,
                tests,
                processes,
            },
        },
    )
}

fn version() -> ModelVersion {
    ModelVersion {
        version: "2".into(),
        digest: "sha256:1".into(),
        uri: "https://x/m".into(),
        hash: "0123abcd".into(),
        mtls: true,
    }
}

fn status(canary: &Canary) -> FraudModelStatus {
    FraudModelStatus {
        candidate: Some(candidate(&version(), Some(canary), vec![])),
        evidence: Some(evidence(canary)),
        ..FraudModelStatus::default()
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_through_json(canary in some_canary()) {
        let text = serde_json::to_string(&status(&canary)).unwrap();
        let back: FraudModelStatus = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(super::canary(&back), Some(canary));
    }
}

#[test]
fn evidence_that_is_not_ours_is_no_evidence() {
    let mut canary = Canary::new("0123abcd".into(), Timestamp::from_second(100).unwrap());
    canary.weight = 5;
    canary.ledger.candidate.requests = 9999;
    let good = status(&canary);
    let fresh = Ledger {
        from: 100_000,
        ..Ledger::default()
    };
    for spoil in [
        |e: &mut RolloutEvidence| e.hash = "ffffffff".into(),
        |e: &mut RolloutEvidence| e.processes = vec!["a b c".into()],
        |e: &mut RolloutEvidence| {
            e.tests = vec![TestSums {
                test: "errorRatio/ratio".into(),
                sums: vec![1],
            }]
        },
        |e: &mut RolloutEvidence| {
            e.tests = vec![TestSums {
                test: "x/y".into(),
                sums: vec![0; 7],
            }]
        },
    ] {
        let mut status = good.clone();
        spoil(status.evidence.as_mut().unwrap());
        assert_eq!(super::canary(&status).unwrap().ledger, fresh);
    }
    assert_eq!(super::canary(&FraudModelStatus::default()), None);
}

#[test]
fn a_rollout_of_two_hundred_pods_stays_small() {
    let mut canary = Canary::new("0123abcd".into(), Timestamp::from_second(1_800_000_000).unwrap());
    let counts = Counts {
        requests: 12_345_678,
        errors: 1234,
        refused: 12,
        answers: 12_345_678,
        slow: 4321,
    };
    for pod in 0..200 {
        let process = Process {
            started: 1_800_000_000_000,
            counts,
        };
        canary.ledger.processes.insert(format!("{pod:016x}"), process);
    }
    let size = serde_json::to_string(&status(&canary)).unwrap().len();
    assert!(size < 16 * 1024, "{size} bytes");
}

#[test]
fn a_retry_counts_once_and_only_for_the_digest_it_names() {
    let time = Time(Timestamp::UNIX_EPOCH);
    let rejected = ["sha256:1", "sha256:2"].map(|digest| RejectedVersion {
        digest: digest.into(),
        version: "1".into(),
        reason: String::new(),
        time: time.clone(),
    });
    for (told, annotation, honoured, left) in [
        ("nothing is asked for", None, None, 2),
        ("a new retry", Some("sha256:1"), None, 1),
        ("one that was honoured", Some("sha256:1"), Some("sha256:1"), 2),
        ("another one", Some("sha256:2"), Some("sha256:1"), 1),
        ("of a digest that is not refused", Some("sha256:3"), None, 2),
    ] {
        let mut model = crate::fixture::model();
        model
            .annotations_mut()
            .extend(annotation.map(|digest| (RETRY.into(), digest.into())));
        model.status = Some(FraudModelStatus {
            rejected: rejected.to_vec(),
            retried: honoured.map(Into::into),
            ..FraudModelStatus::default()
        });
        let (rejected, retried) = rejections(&model);
        assert_eq!((rejected.len(), retried.as_deref()), (left, annotation), "{told}");
    }
}

#[test]
fn the_summary_fits_a_column() {
    let judged = |gate, verdict, samples| Judgement {
        gate,
        verdict,
        value: None,
        stable_value: None,
        limit: 0.01,
        samples,
        message: String::new(),
    };
    let gates = [
        judged(Gate::ErrorRatio, Verdict::Pass, 600),
        judged(Gate::SlowRatio, Verdict::Inconclusive, 312),
    ];
    let needed = Gate::ALL.map(|gate| (gate, 500)).into();
    assert_eq!(
        summary(&gates, &needed).as_deref(),
        Some("errorRatio=pass slowRatio=inconclusive(312/500)")
    );
    assert_eq!(summary(&[], &needed), None);
}
