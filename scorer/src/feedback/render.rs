//! The metrics of feedback.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    item::{Label, Refusal, Source},
    ledger::{Ledger, Outcome, Version},
    tally::{THRESHOLDS, Tally, Totals},
};
use crate::{exposition::Exposition, metrics::SCORE_BOUNDS};

const ITEMS: &str = "fraudops_scorer_feedback_items_total";
const EVICTED: &str = "fraudops_scorer_feedback_evicted_total";
const UNSCORED: &str = "fraudops_scorer_labelled_unscored_total";

impl Ledger {
    /// Appends all families; every series is there from the start, at zero.
    pub fn render(&self, page: &mut Exposition<'_>) {
        page.counter(ITEMS, "Items of /feedback, by what became of them.");
        for (outcome, count) in Outcome::ALL.into_iter().zip(&self.outcomes) {
            page.sample(ITEMS, &[("result", outcome.as_str())], count.load(Relaxed));
        }
        for (code, count) in Refusal::CODES.into_iter().zip(&self.refusals) {
            page.sample(ITEMS, &[("result", code)], count.load(Relaxed));
        }
        page.counter(EVICTED, "Labelled receipts that were forgotten to make room.");
        page.sample(EVICTED, &[], self.evicted());
        let versions = self.versions();
        let versions: Vec<&Version> = versions.iter().flatten().map(AsRef::as_ref).collect();
        page.counter(
            UNSCORED,
            "Labels not counted for a version because it gave no score.",
        );
        for version in &versions {
            page.sample(
                UNSCORED,
                &[("version", &version.name)],
                version.unscored.load(Relaxed),
            );
        }
        let counted = read(&versions, |version| &version.counted);
        let corrected = read(&versions, |version| &version.corrected);
        for (totals, family, what) in [
            (&counted, "", "Labelled transactions"),
            (&corrected, "_corrected", "Labels taken back by a correction"),
        ] {
            labels(page, totals, family, what);
            predictions(page, totals, family, what);
            scores(page, totals, family, what);
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

fn labels(page: &mut Exposition<'_>, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraudops_scorer_labelled{family}_total");
    page.counter(&name, &format!("{what}, by source and label."));
    for (version, totals) in read {
        for (source, row) in Source::ALL.into_iter().zip(totals.labels) {
            for (label, count) in Label::ALL.into_iter().zip(row) {
                let labels = [
                    ("version", *version),
                    ("source", source.as_str()),
                    ("label", label.as_str()),
                ];
                page.sample(&name, &labels, count);
            }
        }
    }
}

fn predictions(page: &mut Exposition<'_>, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraudops_scorer_labelled_predictions{family}_total");
    page.counter(
        &name,
        &format!("{what}, by threshold, what the score predicts there, and label."),
    );
    for (version, totals) in read {
        for (threshold, table) in THRESHOLDS.into_iter().zip(totals.predictions) {
            for (predicted, row) in Label::ALL.into_iter().zip(table) {
                for (label, count) in Label::ALL.into_iter().zip(row) {
                    let labels = [
                        ("version", *version),
                        ("threshold", threshold),
                        ("predicted", predicted.as_str()),
                        ("label", label.as_str()),
                    ];
                    page.sample(&name, &labels, count);
                }
            }
        }
    }
}

fn scores(page: &mut Exposition<'_>, read: &Read<'_>, family: &str, what: &str) {
    let name = format!("fraudops_scorer_labelled_score{family}");
    page.histogram(&name, &format!("{what}, by score, for each label."));
    for (version, totals) in read {
        for ((label, bins), sum) in Label::ALL.into_iter().zip(totals.bins).zip(totals.nanos) {
            let labels = [("version", *version), ("label", label.as_str())];
            page.histogram_sample(&name, &labels, &SCORE_BOUNDS, &bins, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        decision::Thresholds,
        exposition::Format,
        feedback::{Arm, tally::Contribution},
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
        let mut text = String::new();
        ledger.render(&mut Exposition::new(&mut text, Format::Prometheus, "card-fraud"));
        text
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
        assert!(
            before
                .lines()
                .all(|l| l.starts_with('#') || l.ends_with(" 0") || l.ends_with(" 0.000000000"))
        );
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
            r#"fraudops_scorer_feedback_items_total{model="card-fraud",result="invalid_json"} 1"#,
            r#"fraudops_scorer_labelled_total{model="card-fraud",version="1",source="customer",label="fraud"} 1"#,
            r#"fraudops_scorer_labelled_predictions_total{model="card-fraud",version="1",threshold="block",predicted="fraud",label="fraud"} 1"#,
            r#"fraudops_scorer_labelled_score_bucket{model="card-fraud",version="1",label="fraud",le="0.5"} 0"#,
            r#"fraudops_scorer_labelled_score_bucket{model="card-fraud",version="1",label="fraud",le="0.8"} 1"#,
            r#"fraudops_scorer_labelled_score_sum{model="card-fraud",version="1",label="fraud"} 0.600000024"#,
            r#"fraudops_scorer_labelled_score_count{model="card-fraud",version="2",label="fraud"} 0"#,
        ] {
            assert!(after.lines().any(|l| l == line), "{line} is missing in\n{after}");
        }
    }
}
