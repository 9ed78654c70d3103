//! The metrics of feedback.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    item::{Label, Refusal, Source},
    ledger::{Ledger, Outcome, Version},
    tally::{THRESHOLDS, Tally, Totals},
};
use crate::metrics::{Buckets, Collect, Exposition, SCORE_BOUNDS};

impl Collect for Ledger {
    fn collect(&self, out: &mut Exposition) {
        let help = "Items of /feedback, by what became of them.";
        let mut items = out.counter("fraud_feedback_items", help);
        for (outcome, count) in Outcome::ALL.into_iter().zip(&self.outcomes) {
            items.sample(&[("result", outcome.as_str())], count.load(Relaxed));
        }
        for (code, count) in Refusal::CODES.into_iter().zip(&self.refusals) {
            items.sample(&[("result", code)], count.load(Relaxed));
        }
        let help = "Labelled receipts that were forgotten to make room.";
        out.counter("fraud_feedback_evicted", help)
            .sample(&[], self.evicted());
        let versions = self.versions();
        let versions: Vec<&Version> = versions.iter().flatten().map(AsRef::as_ref).collect();
        let help = "Labels not counted for a version because it gave no score.";
        let mut unscored = out.counter("fraud_labelled_unscored", help);
        for version in &versions {
            unscored.sample(&[("scored_by", &version.name)], version.unscored.load(Relaxed));
        }
        let counted = read(&versions, |version| &version.counted);
        let corrected = read(&versions, |version| &version.corrected);
        for (totals, family, what) in [
            (&counted, "", "Labelled transactions"),
            (&corrected, "_corrected", "Labels taken back by a correction"),
        ] {
            labels(out, totals, family, what);
            predictions(out, totals, family, what);
            scores(out, totals, family, what);
        }
    }
}

type Read<'a> = Vec<(&'a str, Totals)>;

fn read<'a>(versions: &[&'a Version], tally: fn(&Version) -> &Tally) -> Read<'a> {
    let totals = versions
        .iter()
        .map(|version| (version.name.as_str(), tally(version).totals()));
    totals.collect()
}

fn labels(out: &mut Exposition, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraud_labelled{family}");
    let mut counter = out.counter(&name, &format!("{what}, by source and label."));
    for (version, totals) in read {
        for (source, row) in Source::ALL.into_iter().zip(totals.labels) {
            for (label, count) in Label::ALL.into_iter().zip(row) {
                let labels = [
                    ("scored_by", *version),
                    ("source", source.as_str()),
                    ("label", label.as_str()),
                ];
                counter.sample(&labels, count);
            }
        }
    }
}

fn predictions(out: &mut Exposition, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraud_labelled_predictions{family}");
    let help = format!("{what}, by threshold, what the score predicts there, and label.");
    let mut counter = out.counter(&name, &help);
    for (version, totals) in read {
        for (threshold, table) in THRESHOLDS.into_iter().zip(totals.predictions) {
            for (predicted, row) in Label::ALL.into_iter().zip(table) {
                for (label, count) in Label::ALL.into_iter().zip(row) {
                    let labels = [
                        ("scored_by", *version),
                        ("threshold", threshold),
                        ("predicted", predicted.as_str()),
                        ("label", label.as_str()),
                    ];
                    counter.sample(&labels, count);
                }
            }
        }
    }
}

fn scores(out: &mut Exposition, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraud_labelled_score{family}");
    let mut histogram = out.histogram(&name, &format!("{what}, by score, for each label."));
    for (version, totals) in read {
        for ((label, bins), nanos) in Label::ALL.into_iter().zip(&totals.bins).zip(totals.nanos) {
            let labels = [("scored_by", *version), ("label", label.as_str())];
            let buckets = Buckets {
                bounds: &SCORE_BOUNDS,
                counts: bins,
                sum: nanos as f64 / 1e9,
                exemplars: &[],
            };
            histogram.sample(&labels, &buckets);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        decision::Thresholds,
        feedback::{Arm, tally::Contribution},
        metrics::Format,
    };

    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        let version = |name: &str, hash: &str| {
            Some(Version::new(
                name.to_owned(),
                hash.parse().unwrap(),
                Thresholds::new(0.1, 0.5).unwrap(),
            ))
        };
        ledger.set(Arm::Answering, version("1", "00000001"));
        ledger.set(Arm::Companion, version("2", "00000002"));
        ledger
    }

    fn page(ledger: &Ledger) -> String {
        let mut out = Exposition::new(Format::Text, 0.0);
        ledger.collect(&mut out);
        out.finish()
    }

    #[test]
    fn every_series_is_there_from_the_start_at_zero_and_stays() {
        let ledger = ledger();
        let names = |text: &str| -> Vec<String> {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples
                .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
                .collect()
        };
        let before = page(&ledger);
        assert!(before.lines().all(|l| l.starts_with('#') || l.ends_with(" 0")));
        let all = names(&before);
        assert_eq!(
            all.iter().collect::<HashSet<_>>().len(),
            all.len(),
            "a series is there twice"
        );
        // 17 of the process; for each version 1 + 2 · (8 labels + 8 predictions + 2 · 14 of the histogram).
        assert_eq!(all.len(), 17 + 2 * (1 + 2 * (8 + 8 + 28)));
        let version = ledger.versions()[0].clone().unwrap();
        version.counted.add(
            version.thresholds,
            Contribution {
                label: Label::Fraud,
                source: Source::Customer,
                score: 0.6,
            },
        );
        ledger.refused(Refusal::NotJson);
        let after = page(&ledger);
        assert_eq!(names(&after), all);
        for line in [
            r#"fraud_feedback_items_total{result="invalid_json"} 1"#,
            r#"fraud_labelled_total{scored_by="1",source="customer",label="fraud"} 1"#,
            r#"fraud_labelled_predictions_total{scored_by="1",threshold="block",predicted="fraud",label="fraud"} 1"#,
            r#"fraud_labelled_score_bucket{scored_by="1",label="fraud",le="0.5"} 0"#,
            r#"fraud_labelled_score_bucket{scored_by="1",label="fraud",le="0.8"} 1"#,
            r#"fraud_labelled_score_sum{scored_by="1",label="fraud"} 0.600000024"#,
            r#"fraud_labelled_score_count{scored_by="2",label="fraud"} 0"#,
        ] {
            assert!(after.lines().any(|l| l == line), "{line} is missing in\n{after}");
        }
    }
}
