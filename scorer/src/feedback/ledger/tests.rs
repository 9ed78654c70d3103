use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    decision::Decision,
    feedback::tally::Totals,
    receipt::{ReceiptError, Scope},
};

const NOW: u64 = 1_795_000_000_000;
const OURS: &str = "00000001";
const OTHER: &str = "00000002";

fn version(hash: &str) -> Version {
    Version::new(
        format!("v-{hash}"),
        hash.parse().unwrap(),
        Thresholds::new(0.1, 0.5).unwrap(),
    )
}

fn ledger() -> Ledger {
    let ledger = Ledger::default();
    ledger.set(Arm::Answering, Some(version(OURS)));
    ledger.set(Arm::Companion, Some(version(OTHER)));
    ledger
}

fn sealer() -> (TempDir, Sealer) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k"), STANDARD.encode([1; 32])).unwrap();
    let scope = Scope {
        namespace: "a".to_owned(),
        model: "b".to_owned(),
    };
    let sealer = Sealer::from_dir(dir.path(), scope).unwrap();
    (dir, sealer)
}

fn receipt(score: Option<f32>) -> Receipt<'static> {
    Receipt {
        row: Cow::Borrowed(&[1.0, 2.0]),
        score,
        version: OURS.parse().unwrap(),
        decision: Decision::Review,
        time: NOW - 1000,
        transaction: Some(1),
        customer: 2,
    }
}

fn judged(id: u8, label: Label, source: Source) -> Judged {
    Judged {
        id: ReceiptId([id; 16]),
        receipt: receipt(Some(0.25)),
        label,
        source,
    }
}

/// The other version scores every row with 0.75; ours is never asked, because the receipt has its score.
fn other(version: &Version, row: &[f32]) -> Option<f32> {
    assert_eq!((version.hash.to_string().as_str(), row), (OTHER, &[1.0, 2.0][..]));
    Some(0.75)
}

fn net(ledger: &Ledger, arm: Arm) -> (Totals, Totals) {
    let version = ledger.versions()[arm as usize].clone().unwrap();
    (version.counted.totals(), version.corrected.totals())
}

#[test]
fn a_label_counts_for_the_version_that_answered_and_for_the_other_with_its_own_score() {
    let ledger = ledger();
    assert_eq!(
        ledger.apply(&judged(1, Label::Fraud, Source::Chargeback), &other),
        Outcome::Counted
    );
    let (ours, _) = net(&ledger, Arm::Answering);
    assert_eq!((ours.labels[0], ours.nanos), ([0, 1], [0, 250_000_000]));
    assert_eq!(ours.predictions[1], [[0, 1], [0, 0]], "missed at block");
    let (theirs, _) = net(&ledger, Arm::Companion);
    assert_eq!(theirs.nanos, [0, 750_000_000]);
    assert_eq!(theirs.predictions[1], [[0, 0], [0, 1]], "caught at block");
}

#[test]
fn the_same_label_again_changes_nothing() {
    let ledger = ledger();
    ledger.apply(&judged(1, Label::Fraud, Source::Chargeback), &other);
    let before = net(&ledger, Arm::Answering);
    assert_eq!(
        ledger.apply(&judged(1, Label::Fraud, Source::Customer), &other),
        Outcome::Duplicate
    );
    assert_eq!(net(&ledger, Arm::Answering), before);
}

#[test]
fn a_corrected_label_is_taken_back_where_it_was_counted() {
    let ledger = ledger();
    ledger.apply(&judged(1, Label::Fraud, Source::Investigator), &other);
    assert_eq!(
        ledger.apply(&judged(1, Label::Genuine, Source::Chargeback), &other),
        Outcome::Corrected
    );
    for arm in Arm::ALL {
        let (counted, corrected) = net(&ledger, arm);
        assert_eq!(counted.labels, [[1, 0], [0, 1], [0, 0], [0, 0]]);
        assert_eq!(corrected.labels, [[0, 0], [0, 1], [0, 0], [0, 0]]);
        assert_eq!(counted.nanos[1], corrected.nanos[1]);
    }
}

#[test]
fn a_version_without_a_score_has_no_label_and_can_get_it_later() {
    let ledger = ledger();
    let failing = |_: &Version, _: &[f32]| None;
    assert_eq!(
        ledger.apply(&judged(1, Label::Fraud, Source::Other), &failing),
        Outcome::Counted
    );
    let companion = || ledger.versions()[1].clone().unwrap();
    assert_eq!(companion().unscored.load(Relaxed), 1);
    assert_eq!(net(&ledger, Arm::Companion).0, Totals::default());
    assert_eq!(
        ledger.apply(&judged(1, Label::Fraud, Source::Other), &other),
        Outcome::Duplicate
    );
    assert_eq!(net(&ledger, Arm::Companion).0.labels[3], [0, 1]);
    assert_eq!(net(&ledger, Arm::Answering).0.labels[3], [0, 1]);
    for impossible in [f32::NAN, -0.1, 1.1] {
        ledger.apply(&judged(2, Label::Fraud, Source::Other), &|_, _| Some(impossible));
    }
    assert_eq!(companion().unscored.load(Relaxed), 4);
}

#[test]
fn another_version_in_a_place_starts_from_zero_and_takes_nothing_back() {
    let ledger = ledger();
    ledger.apply(&judged(1, Label::Fraud, Source::Other), &other);
    ledger.set(Arm::Companion, Some(version(OTHER)));
    assert_eq!(
        ledger.apply(&judged(1, Label::Genuine, Source::Other), &other),
        Outcome::Corrected
    );
    let (counted, corrected) = net(&ledger, Arm::Companion);
    assert_eq!((counted.labels[3], corrected), ([1, 0], Totals::default()));
    ledger.set(Arm::Companion, None);
    assert_eq!(
        ledger.apply(&judged(2, Label::Genuine, Source::Other), &other),
        Outcome::Counted
    );
}

#[test]
fn a_receipt_of_a_version_that_is_not_loaded_is_scored_by_all_that_are() {
    let ledger = ledger();
    let mut foreign = judged(1, Label::Fraud, Source::Other);
    foreign.receipt.version = "0000000f".parse().unwrap();
    let scores = |version: &Version, _: &[f32]| {
        Some(if version.hash.to_string() == OURS {
            0.05
        } else {
            0.95
        })
    };
    ledger.apply(&foreign, &scores);
    assert_eq!(net(&ledger, Arm::Answering).0.nanos, [0, 50_000_001]);
    assert_eq!(net(&ledger, Arm::Companion).0.bins[1][10], 1);
}

#[test]
fn a_receipt_without_a_score_is_scored_again_by_its_own_version() {
    let ledger = ledger();
    let mut failed = judged(1, Label::Fraud, Source::Other);
    failed.receipt.score = None;
    ledger.apply(&failed, &|_, _| Some(0.5));
    assert_eq!(net(&ledger, Arm::Answering).0.nanos, [0, 500_000_000]);
}

#[test]
fn judging_opens_the_receipt_and_checks_the_time_of_the_label() {
    let ((_dir, sealer), ledger) = (sealer(), ledger());
    let sealed = sealer.seal(&receipt(Some(0.25)));
    let item = |receipt: &str, time: i64| Item {
        receipt: Cow::Owned(receipt.to_owned()),
        label: Label::Fraud,
        time: jiff::Timestamp::from_millisecond(time).unwrap(),
        source: Source::Customer,
    };
    let judge = |receipt: &str, time: i64| ledger.judge(&sealer, &item(receipt, time), NOW).map(|j| j.label);
    let now = NOW as i64;
    assert_eq!(judge(&sealed, now), Ok(Label::Fraud));
    assert_eq!(judge(&sealed, now + 300_000), Ok(Label::Fraud));
    assert_eq!(judge(&sealed, now + 300_001), Err(Refusal::TimeInFuture));
    assert_eq!(judge(&sealed, now - 301_001), Err(Refusal::TimeBeforeTransaction));
    assert_eq!(judge(&sealed, -1), Err(Refusal::TimeBeforeTransaction));
    assert_eq!(judge("AAAA", now), Err(Refusal::Receipt(ReceiptError::Malformed)));
}

#[test]
fn notes_are_read_as_they_were_written() {
    for label in Label::ALL {
        for source in Source::ALL {
            for arms in [0, Arm::Answering.bit(), Arm::Companion.bit(), 0x30] {
                let memory = Memory { label, source, arms };
                assert_eq!(Memory::from_note(memory.to_note()), memory);
                assert_ne!(memory.to_note().get() & !0x30, 0, "clearing arms leaves a note");
            }
        }
    }
}

proptest! {
    #[test]
    fn after_any_history_the_difference_is_the_last_label(history in prop::collection::vec((0_u8..6, any::<bool>(), 0_usize..4), 0..50)) {
        let ledger = ledger();
        let mut last = std::collections::HashMap::new();
        for (id, fraud, source) in history {
            let label = if fraud { Label::Fraud } else { Label::Genuine };
            ledger.apply(&judged(id, label, Source::ALL[source]), &other);
            // The same label from another source is a duplicate: the first source keeps it.
            let entry = last.entry(id).or_insert((label, source));
            if entry.0 != label {
                *entry = (label, source);
            }
        }
        for arm in Arm::ALL {
            let (counted, corrected) = net(&ledger, arm);
            for (s, _) in Source::ALL.iter().enumerate() {
                for (l, label) in Label::ALL.into_iter().enumerate() {
                    let expected = last.values().filter(|kept| **kept == (label, s)).count() as u64;
                    prop_assert_eq!(counted.labels[s][l] - corrected.labels[s][l], expected);
                }
            }
            for table in 0..2 {
                let sum = |t: &Totals| t.predictions[table].iter().flatten().sum::<u64>();
                prop_assert_eq!(sum(&counted) - sum(&corrected), last.len() as u64);
            }
        }
    }
}
