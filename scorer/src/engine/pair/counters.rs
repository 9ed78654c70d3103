//! What pairs of scores and the values of features amount to: atomics in a shard for each thread, merged when read.

use std::{array, sync::Arc};

use super::bins::{BINS, FeatureBins};
use crate::{
    decision::{Decision, Thresholds},
    metrics::{Count, SCORE_BOUNDS},
    model::Profile,
};

/// Bins of the score histograms.
pub const SCORE_BINS: usize = SCORE_BOUNDS.len() + 1;

/// Counters of one feature: its bins, missing values, values out of range.
const SLOTS: usize = BINS + 2;
const MISSING: usize = BINS;
const OUT_OF_RANGE: usize = BINS + 1;

/// The two sides of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The version that is trusted.
    Stable,
    /// The version that is judged.
    Candidate,
}

impl Arm {
    /// Both, in the order of their slots.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Candidate];

    /// As the label says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
        }
    }
}

/// Counts of pairs and features of one model and its companion.
#[derive(Debug)]
pub struct PairCounters {
    pub(super) features: Vec<FeatureBins>,
    thresholds: Thresholds,
    main: Arm,
    shards: Vec<Shard>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// By threshold (review, block), then by what stable and candidate say: 2 * stable + candidate.
    tables: [[Count; 4]; 2],
    scores: [Scores; 2],
    failed: Count,
    skipped: Count,
    /// `SLOTS` counters for each feature.
    features: Box<[Count]>,
}

#[derive(Debug, Default)]
struct Scores {
    bins: [Count; SCORE_BINS],
    /// In units of 1e-9.
    sum: Count,
}

impl PairCounters {
    /// Counters for `workers` threads. `main` is the arm of the model that answers.
    pub fn new(profiles: &[Profile], thresholds: Thresholds, main: Arm, workers: usize) -> Arc<Self> {
        let shard = || Shard {
            tables: array::from_fn(|_| array::from_fn(|_| Count::default())),
            scores: array::from_fn(|_| Scores::default()),
            failed: Count::default(),
            skipped: Count::default(),
            features: (0..profiles.len() * SLOTS).map(|_| Count::default()).collect(),
        };
        Arc::new(Self {
            features: profiles.iter().map(FeatureBins::of).collect(),
            thresholds,
            main,
            shards: (0..workers.max(1)).map(|_| shard()).collect(),
        })
    }

    /// The recorder of one thread.
    pub fn recorder(self: &Arc<Self>, worker: usize) -> Recorder {
        Recorder {
            shard: worker % self.shards.len(),
            counters: Arc::clone(self),
        }
    }

    /// All shards together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::new(self.features.len());
        for shard in &self.shards {
            totals.add(shard);
        }
        totals
    }
}

/// Counts what one thread sees. Only that thread may use it: two writers of one shard would lose counts.
#[derive(Clone, Debug)]
pub struct Recorder {
    counters: Arc<PairCounters>,
    shard: usize,
}

impl Recorder {
    fn shard(&self) -> &Shard {
        &self.counters.shards[self.shard]
    }

    /// Counts the features of a scored payment.
    pub fn features(&self, row: &[f32]) {
        let counters = self.shard().features.chunks_exact(SLOTS);
        for ((value, bins), slots) in row.iter().zip(&self.counters.features).zip(counters) {
            let place = bins.place(*value);
            if let Some(bin) = place.bin {
                slots[bin].add(1);
            }
            if place.missing {
                slots[MISSING].add(1);
            }
            if place.out_of_range {
                slots[OUT_OF_RANGE].add(1);
            }
        }
    }

    /// Counts the scores that both models gave for one payment. One that is no probability counts as a failure.
    pub fn pair(&self, main: f32, companion: f32) {
        if !(0.0..=1.0).contains(&companion) {
            self.failed(1);
            return;
        }
        let (stable, candidate) = match self.counters.main {
            Arm::Stable => (main, companion),
            Arm::Candidate => (companion, main),
        };
        let shard = self.shard();
        let decisions = [stable, candidate].map(|score| self.counters.thresholds.decide(score));
        for (table, level) in shard.tables.iter().zip([Decision::Review, Decision::Block]) {
            let [stable, candidate] = decisions.map(|decision| usize::from(decision as u8 >= level as u8));
            table[2 * stable + candidate].add(1);
        }
        for (scores, score) in shard.scores.iter().zip([stable, candidate].map(f64::from)) {
            let bin = SCORE_BOUNDS
                .iter()
                .map(|bound| usize::from(*bound < score))
                .sum::<usize>();
            scores.bins[bin].add(1);
            scores.sum.add((score * 1e9).round() as u64);
        }
    }

    /// Counts rows on which the companion failed.
    pub fn failed(&self, rows: u64) {
        self.shard().failed.add(rows);
    }

    /// Counts rows that were not paired because the thread had no time for it.
    pub fn skipped(&self, rows: u64) {
        self.shard().skipped.add(rows);
    }
}

/// The counts of all threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// By threshold (review, block), then by what stable and candidate say: 2 * stable + candidate.
    pub tables: [[u64; 4]; 2],
    /// Scores of the paired rows in the bins of the reference histogram; stable, then candidate.
    pub scores: [[u64; SCORE_BINS]; 2],
    /// Sums of these scores.
    pub sums: [f64; 2],
    /// Rows on which the companion failed.
    pub failed: u64,
    /// Rows that were not paired because there was no time for it.
    pub skipped: u64,
    /// By feature, the counts of its bins.
    pub bins: Vec<[u64; BINS]>,
    /// By feature, missing values.
    pub missing: Vec<u64>,
    /// By feature, values outside the range of the training data.
    pub out_of_range: Vec<u64>,
}

impl Totals {
    fn new(features: usize) -> Self {
        Self {
            bins: vec![[0; BINS]; features],
            missing: vec![0; features],
            out_of_range: vec![0; features],
            ..Self::default()
        }
    }

    fn add(&mut self, shard: &Shard) {
        let Shard {
            tables,
            scores,
            failed,
            skipped,
            features,
        } = shard;
        for (sums, counters) in self.tables.iter_mut().flatten().zip(tables.iter().flatten()) {
            *sums += counters.get();
        }
        for (arm, counters) in scores.iter().enumerate() {
            for (sum, counter) in self.scores[arm].iter_mut().zip(&counters.bins) {
                *sum += counter.get();
            }
            self.sums[arm] += counters.sum.get() as f64 / 1e9;
        }
        self.failed += failed.get();
        self.skipped += skipped.get();
        for (feature, slots) in features.chunks_exact(SLOTS).enumerate() {
            for (sum, counter) in self.bins[feature].iter_mut().zip(slots) {
                *sum += counter.get();
            }
            self.missing[feature] += slots[MISSING].get();
            self.out_of_range[feature] += slots[OUT_OF_RANGE].get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(main: Arm) -> Arc<PairCounters> {
        let profile = Profile {
            name: "A".into(),
            min: Some(0.0),
            max: Some(10.0),
            deciles: Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
            ..Profile::default()
        };
        PairCounters::new(&[profile], Thresholds::new(0.1, 0.5).unwrap(), main, 2)
    }

    #[test]
    fn a_pair_goes_into_the_tables_of_both_thresholds() {
        let counters = counters(Arm::Candidate);
        for (worker, main, companion) in [
            (0, 0.05, 0.2),
            (1, 0.2, 0.6),
            (0, 0.7, 0.7),
            (1, 0.0, 0.0),
            (1, 0.6, 0.0),
        ] {
            counters.recorder(worker).pair(main, companion);
        }
        let totals = counters.totals();
        // neither, candidate only, stable only, both; the main model is the candidate
        assert_eq!(totals.tables, [[1, 1, 1, 2], [2, 1, 1, 1]]);
        assert_eq!(totals.scores[0].iter().sum::<u64>(), 5);
        assert!((totals.sums[0] - 1.5).abs() < 1e-6 && (totals.sums[1] - 1.55).abs() < 1e-6);
    }

    #[test]
    fn the_arms_follow_who_answers() {
        let counters = counters(Arm::Stable);
        counters.recorder(0).pair(0.05, 0.2);
        assert_eq!(counters.totals().tables[0], [0, 1, 0, 0]);
    }

    #[test]
    fn a_score_on_a_bound_belongs_to_it_as_in_the_histogram_of_all_scores() {
        let counters = counters(Arm::Stable);
        counters.recorder(0).pair(0.0, 1.0);
        let totals = counters.totals();
        assert_eq!((totals.scores[0][0], totals.scores[1][SCORE_BINS - 1]), (1, 1));
    }

    #[test]
    fn what_is_no_probability_is_a_failure_and_no_pair() {
        let counters = counters(Arm::Stable);
        for score in [f32::NAN, 1.5, -0.1, f32::INFINITY] {
            counters.recorder(0).pair(0.5, score);
        }
        let totals = counters.totals();
        assert_eq!((totals.failed, totals.tables), (4, [[0; 4]; 2]));
    }

    #[test]
    fn features_are_counted_by_bin_missing_and_out_of_range() {
        let counters = counters(Arm::Stable);
        for value in [0.0, 0.5, 0.5, 9.5, 11.0, f32::NAN] {
            counters.recorder(1).features(&[value]);
        }
        let totals = counters.totals();
        assert_eq!(totals.bins[0], [2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert_eq!((totals.missing[0], totals.out_of_range[0]), (1, 1));
    }
}
