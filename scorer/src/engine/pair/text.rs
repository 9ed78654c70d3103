//! The counts of pairs and features in the text formats of Prometheus and OpenMetrics.

use std::fmt::Write as _;

use super::{Arm, BINS, PairCounters, bins::ZERO, counters::Totals};
use crate::metrics::SCORE_BOUNDS;

/// Names of the bins, as the label says them.
const BIN_NAMES: [&str; BINS] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "zero"];
const _: () = assert!(ZERO == BINS - 1);

impl PairCounters {
    /// Appends all families. `labels` are those that every series has, such as `model="card",version="1"`; may be empty.
    pub fn write_text(&self, page: &mut String, labels: &str, open_metrics: bool) {
        let totals = self.totals();
        let mut page = Page {
            page,
            labels,
            open_metrics,
        };
        pairs(&mut page, &totals);
        scores(&mut page, &totals);
        self.features(&mut page, &totals);
    }

    fn features(&self, page: &mut Page<'_>, totals: &Totals) {
        let name = "fraudops_scorer_feature_bin";
        page.counter(
            name,
            "Values of a feature by the part of its training deciles, and zeros.",
        );
        for (feature, counts) in self
            .features
            .iter()
            .zip(&totals.bins)
            .filter(|(f, _)| f.has_deciles())
        {
            for (bin, count) in BIN_NAMES.iter().zip(counts) {
                page.total(name, &[("feature", &feature.name), ("bin", bin)], *count);
            }
        }
        for (name, help, counts) in [
            (
                "fraudops_scorer_feature_missing",
                "Missing values that the model was given.",
                &totals.missing,
            ),
            (
                "fraudops_scorer_feature_out_of_range",
                "Values outside the range of the training data.",
                &totals.out_of_range,
            ),
        ] {
            page.counter(name, help);
            for (feature, count) in self.features.iter().zip(counts) {
                page.total(name, &[("feature", &feature.name)], *count);
            }
        }
    }
}

fn pairs(page: &mut Page<'_>, totals: &Totals) {
    let name = "fraudops_scorer_pairs";
    page.counter(
        name,
        "Payments scored by both models, by who reaches the threshold.",
    );
    for (threshold, table) in ["review", "block"].into_iter().zip(&totals.tables) {
        for (cell, count) in table.iter().enumerate() {
            let bit = |set: usize| if set == 0 { "0" } else { "1" };
            let labels = [
                ("threshold", threshold),
                ("stable", bit(cell & 2)),
                ("candidate", bit(cell & 1)),
            ];
            page.total(name, &labels, *count);
        }
    }
    for (name, help, count) in [
        (
            "fraudops_scorer_pairs_failed",
            "Payments on which the companion failed.",
            totals.failed,
        ),
        (
            "fraudops_scorer_pairs_skipped",
            "Payments that were not paired because the thread had no time for it.",
            totals.skipped,
        ),
    ] {
        page.counter(name, help);
        page.total(name, &[], count);
    }
}

fn scores(page: &mut Page<'_>, totals: &Totals) {
    let name = "fraudops_scorer_pair_score";
    page.family(
        name,
        "histogram",
        "Scores of the payments that both models scored.",
    );
    for (arm, (bins, sum)) in Arm::ALL.into_iter().zip(totals.scores.iter().zip(totals.sums)) {
        let mut count = 0;
        for (bin, bound) in bins
            .iter()
            .zip(SCORE_BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]))
        {
            count += bin;
            page.series(
                &format!("{name}_bucket"),
                &[("arm", arm.as_str()), ("le", &bound)],
                count,
            );
        }
        page.series(&format!("{name}_sum"), &[("arm", arm.as_str())], sum);
        page.series(&format!("{name}_count"), &[("arm", arm.as_str())], count);
    }
}

struct Page<'a> {
    page: &'a mut String,
    labels: &'a str,
    open_metrics: bool,
}

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Begins a counter; only OpenMetrics leaves `_total` out of the family's name.
    fn counter(&mut self, name: &str, help: &str) {
        if self.open_metrics {
            self.family(name, "counter", help);
        } else {
            self.family(&format!("{name}_total"), "counter", help);
        }
    }

    fn total(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        self.series(&format!("{name}_total"), labels, count);
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let mut all = self.labels.to_owned();
        for (label, value) in labels {
            let separator = if all.is_empty() { "" } else { "," };
            let _ = write!(all, "{separator}{label}=\"{}\"", escape(value));
        }
        let _ = if all.is_empty() {
            writeln!(self.page, "{name} {value}")
        } else {
            writeln!(self.page, "{name}{{{all}}} {value}")
        };
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decision::Thresholds, model::Profile};

    fn page(labels: &str, open_metrics: bool) -> String {
        let profile = Profile {
            name: "TX_\"AMOUNT\"".into(),
            deciles: Some([1.0; 9]),
            ..Profile::default()
        };
        let thresholds = Thresholds::new(0.1, 0.5).unwrap();
        let counters = PairCounters::new(&[profile, Profile::default()], thresholds, Arm::Candidate, 2);
        let recorder = counters.recorder(1);
        recorder.features(&[0.0, 1.0]);
        recorder.pair(0.6, 0.2);
        let mut page = String::new();
        counters.write_text(&mut page, labels, open_metrics);
        page
    }

    #[test]
    fn all_series_exist_from_the_start_and_carry_the_common_labels() {
        let page = page("model=\"m\",version=\"1\"", false);
        for line in [
            "# TYPE fraudops_scorer_pairs_total counter",
            "fraudops_scorer_pairs_total{model=\"m\",version=\"1\",threshold=\"review\",stable=\"1\",candidate=\"1\"} 1",
            "fraudops_scorer_pairs_total{model=\"m\",version=\"1\",threshold=\"block\",stable=\"0\",candidate=\"1\"} 1",
            "fraudops_scorer_pairs_total{model=\"m\",version=\"1\",threshold=\"block\",stable=\"1\",candidate=\"0\"} 0",
            "fraudops_scorer_pair_score_bucket{model=\"m\",version=\"1\",arm=\"stable\",le=\"0.2\"} 0",
            "fraudops_scorer_pair_score_bucket{model=\"m\",version=\"1\",arm=\"stable\",le=\"0.5\"} 1",
            "fraudops_scorer_pair_score_count{model=\"m\",version=\"1\",arm=\"candidate\"} 1",
            "fraudops_scorer_feature_bin_total{model=\"m\",version=\"1\",feature=\"TX_\\\"AMOUNT\\\"\",bin=\"zero\"} 1",
            "fraudops_scorer_feature_bin_total{model=\"m\",version=\"1\",feature=\"TX_\\\"AMOUNT\\\"\",bin=\"9\"} 0",
            "fraudops_scorer_pairs_skipped_total{model=\"m\",version=\"1\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
        }
        assert_eq!(
            page.matches("feature_bin_total{").count(),
            BINS,
            "features without deciles have no bins"
        );
    }

    #[test]
    fn open_metrics_names_families_without_total() {
        let page = page("", true);
        assert!(page.contains("# TYPE fraudops_scorer_pairs counter\n"));
        assert!(page.contains("\nfraudops_scorer_pairs_failed_total 0\n"));
    }
}
