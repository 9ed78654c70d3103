//! The counts of pairs and features, as families of metrics.

use super::{Arm, BINS, PairCounters, bins::ZERO, counters::Totals};
use crate::metrics::{Buckets, Collect, Exposition, SCORE_BOUNDS};

/// Names of the bins, as the label says them.
const BIN_NAMES: [&str; BINS] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "zero"];
const _: () = assert!(ZERO == BINS - 1);

impl Collect for PairCounters {
    fn collect(&self, out: &mut Exposition) {
        let totals = self.totals();
        pairs(out, &totals);
        scores(out, &totals);
        self.features(out, &totals);
    }
}

impl PairCounters {
    fn features(&self, out: &mut Exposition, totals: &Totals) {
        let help = "Values of a feature by the part of its training deciles, and zeros.";
        let mut bins = out.counter("fraud_feature_bin", help);
        let binned = self
            .features
            .iter()
            .zip(&totals.bins)
            .filter(|(f, _)| f.has_deciles());
        for (feature, counts) in binned {
            for (bin, count) in BIN_NAMES.iter().zip(counts) {
                bins.sample(&[("feature", &feature.name), ("bin", bin)], *count);
            }
        }
        for (name, help, counts) in [
            (
                "fraud_feature_missing",
                "Missing values that the model was given.",
                &totals.missing,
            ),
            (
                "fraud_feature_out_of_range",
                "Values outside the range of the training data.",
                &totals.out_of_range,
            ),
        ] {
            let mut counter = out.counter(name, help);
            for (feature, count) in self.features.iter().zip(counts) {
                counter.sample(&[("feature", &feature.name)], *count);
            }
        }
    }
}

fn pairs(out: &mut Exposition, totals: &Totals) {
    let help = "Payments scored by both models, by who reaches the threshold.";
    let mut pairs = out.counter("fraud_pairs", help);
    for (threshold, table) in ["review", "block"].into_iter().zip(&totals.tables) {
        for (cell, count) in table.iter().enumerate() {
            let bit = |set: usize| if set == 0 { "0" } else { "1" };
            let labels = [
                ("threshold", threshold),
                ("stable", bit(cell & 2)),
                ("candidate", bit(cell & 1)),
            ];
            pairs.sample(&labels, *count);
        }
    }
    let help = "Payments on which the companion failed.";
    out.counter("fraud_pairs_failed", help).sample(&[], totals.failed);
    let help = "Payments that were not paired because the thread had no time for it.";
    out.counter("fraud_pairs_skipped", help)
        .sample(&[], totals.skipped);
}

fn scores(out: &mut Exposition, totals: &Totals) {
    let help = "Scores of the payments that both models scored.";
    let mut histogram = out.histogram("fraud_pair_score", help);
    for (arm, (bins, sum)) in Arm::ALL.into_iter().zip(totals.scores.iter().zip(totals.sums)) {
        let buckets = Buckets {
            bounds: &SCORE_BOUNDS,
            counts: bins,
            sum,
            exemplars: &[],
        };
        histogram.sample(&[("arm", arm.as_str())], &buckets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decision::Thresholds, metrics::Format, model::Profile};

    fn page(format: Format) -> String {
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
        let mut out = Exposition::new(format, 0.0);
        counters.collect(&mut out);
        out.finish()
    }

    #[test]
    fn all_series_exist_from_the_start() {
        let page = page(Format::Text);
        for line in [
            "# TYPE fraud_pairs_total counter",
            "fraud_pairs_total{threshold=\"review\",stable=\"1\",candidate=\"1\"} 1",
            "fraud_pairs_total{threshold=\"block\",stable=\"0\",candidate=\"1\"} 1",
            "fraud_pairs_total{threshold=\"block\",stable=\"1\",candidate=\"0\"} 0",
            "fraud_pair_score_bucket{arm=\"stable\",le=\"0.2\"} 0",
            "fraud_pair_score_bucket{arm=\"stable\",le=\"0.5\"} 1",
            "fraud_pair_score_count{arm=\"candidate\"} 1",
            "fraud_feature_bin_total{feature=\"TX_\\\"AMOUNT\\\"\",bin=\"zero\"} 1",
            "fraud_feature_bin_total{feature=\"TX_\\\"AMOUNT\\\"\",bin=\"9\"} 0",
            "fraud_pairs_skipped_total 0",
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
        let page = page(Format::OpenMetrics);
        assert!(page.contains("# TYPE fraud_pairs counter\n"));
        assert!(page.contains("\nfraud_pairs_failed_total 0\n"));
    }
}
