//! What is counted of labels, for one version: sums in whole numbers, so that they are exact and can be added.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::item::{Label, Source};
use crate::{decision::Thresholds, metrics::SCORE_BOUNDS};

/// Bins of the score.
pub const BINS: usize = SCORE_BOUNDS.len() + 1;
/// The two thresholds, in the order of their slots.
pub const THRESHOLDS: [&str; 2] = ["review", "block"];

/// One contribution: a label of a transaction that has this score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// What it was.
    pub label: Label,
    /// Who says so.
    pub source: Source,
    /// 0..1.
    pub score: f32,
}

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Tally {
    labels: [[AtomicU64; 2]; 4],
    predictions: [[[AtomicU64; 2]; 2]; 2],
    bins: [[AtomicU64; BINS]; 2],
    nanos: [AtomicU64; 2],
}

impl Tally {
    /// Adds a contribution; `thresholds` say what the version predicts at this score.
    pub fn add(&self, thresholds: Thresholds, Contribution { label, source, score }: Contribution) {
        let (label, wide) = (label as usize, f64::from(score));
        self.labels[source as usize][label].fetch_add(1, Relaxed);
        let limits = [thresholds.review(), thresholds.block()];
        for (cells, limit) in self.predictions.iter().zip(limits) {
            cells[usize::from(wide >= limit)][label].fetch_add(1, Relaxed);
        }
        let bin = SCORE_BOUNDS.iter().position(|bound| wide <= *bound);
        self.bins[label][bin.unwrap_or(SCORE_BOUNDS.len())].fetch_add(1, Relaxed);
        self.nanos[label].fetch_add((wide * 1e9).round() as u64, Relaxed);
    }

    /// The counts of this moment.
    pub fn totals(&self) -> Totals {
        let read = |cell: &AtomicU64| cell.load(Relaxed);
        Totals {
            labels: array::from_fn(|s| array::from_fn(|l| read(&self.labels[s][l]))),
            predictions: array::from_fn(|t| {
                array::from_fn(|p| array::from_fn(|l| read(&self.predictions[t][p][l])))
            }),
            bins: array::from_fn(|l| array::from_fn(|b| read(&self.bins[l][b]))),
            nanos: array::from_fn(|l| read(&self.nanos[l])),
        }
    }
}

/// Counts, as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By source and label.
    pub labels: [[u64; 2]; 4],
    /// By threshold, prediction (genuine, fraud) and label.
    pub predictions: [[[u64; 2]; 2]; 2],
    /// By label and bin of the score.
    pub bins: [[u64; BINS]; 2],
    /// Sum of the scores by label, in units of 1e-9.
    pub nanos: [u64; 2],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds() -> Thresholds {
        Thresholds::new(0.1, 0.5).unwrap()
    }

    #[test]
    fn a_contribution_is_in_one_cell_of_each_table() {
        let tally = Tally::default();
        let score = 0.25;
        tally.add(
            thresholds(),
            Contribution {
                label: Label::Fraud,
                source: Source::Customer,
                score,
            },
        );
        let totals = tally.totals();
        assert_eq!(totals.labels, [[0, 0], [0, 0], [0, 1], [0, 0]]);
        // At review it is a true positive, at block a false negative.
        assert_eq!(totals.predictions, [[[0, 0], [0, 1]], [[0, 1], [0, 0]]]);
        assert_eq!((totals.bins[1][8], totals.nanos), (1, [0, 250_000_000]));
    }

    #[test]
    fn a_score_on_a_threshold_is_a_positive_and_on_a_bound_belongs_to_it() {
        let tally = Tally::default();
        let at = Thresholds::new(0.5, 1.0).unwrap();
        for score in [0.5, 1.0, 0.0] {
            tally.add(
                at,
                Contribution {
                    label: Label::Genuine,
                    source: Source::Other,
                    score,
                },
            );
        }
        let totals = tally.totals();
        assert_eq!(totals.predictions, [[[1, 0], [2, 0]], [[2, 0], [1, 0]]]);
        assert_eq!(
            (totals.bins[0][0], totals.bins[0][8], totals.bins[0][11]),
            (1, 1, 1)
        );
    }

    proptest! {
        #[test]
        fn every_table_adds_up(scores in prop::collection::vec((0.0_f32..=1.0, any::<bool>()), 0..60)) {
            let tally = Tally::default();
            let n = scores.len() as u64;
            for (score, fraud) in scores {
                let label = if fraud { Label::Fraud } else { Label::Genuine };
                tally.add(thresholds(), Contribution { label, source: Source::Other, score });
            }
            let totals = tally.totals();
            prop_assert_eq!(totals.labels.iter().flatten().sum::<u64>(), n);
            for table in totals.predictions {
                prop_assert_eq!(table.iter().flatten().sum::<u64>(), n);
            }
            prop_assert_eq!(totals.bins.iter().flatten().sum::<u64>(), n);
            prop_assert!(totals.nanos.iter().sum::<u64>() <= n * 1_000_000_000);
        }
    }
}
