//! A histogram of fixed buckets, written by one thread.

use super::Count;

/// Upper bounds of the answer time, in seconds.
pub const DURATION_BOUNDS: [f64; 12] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// Upper bounds of the score: with +Inf the 12 bins of the reference histogram that a model carries.
pub const SCORE_BOUNDS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95];

/// Room for the longest list of bounds and +Inf.
pub(super) const BINS: usize = 13;

/// Counts by bin, and the sum in units of 1e-9.
#[derive(Debug, Default)]
pub struct Histogram {
    bins: [Count; BINS],
    nanos: Count,
}

impl Histogram {
    /// Counts a value of at least zero, and says in which bin. The order of the bounds is ascending; there are fewer than 13.
    pub fn observe(&self, bounds: &[f64], value: f64) -> usize {
        let bin = bounds
            .iter()
            .position(|bound| value <= *bound)
            .unwrap_or(bounds.len());
        self.bins[bin].add(1);
        self.nanos.add((value * 1e9).round() as u64);
        bin
    }
}

/// The counts of several histograms together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    bins: [u64; BINS],
    nanos: u64,
}

impl Totals {
    /// Adds one shard's counts.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, bin) in self.bins.iter_mut().zip(&histogram.bins) {
            *sum += bin.get();
        }
        self.nanos += histogram.nanos.get();
    }

    /// Counts of each bin; the last one is what lies above all bounds.
    pub fn counts(&self, bounds: &[f64]) -> &[u64] {
        &self.bins[..=bounds.len()]
    }

    /// Sum of all values.
    pub fn sum(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        let histogram = Histogram::default();
        let values = [0.0, 0.001, 0.0011, 0.95, 1.0];
        let bins = values.map(|value| histogram.observe(&SCORE_BOUNDS, value));
        assert_eq!(bins, [0, 0, 1, 10, 11]);
        let mut totals = Totals::default();
        totals.add(&histogram);
        let counts = totals.counts(&SCORE_BOUNDS);
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((totals.sum() - 1.9521).abs() < 1e-9);
    }

    #[test]
    fn answers_above_25_ms_can_be_told() {
        assert!(
            DURATION_BOUNDS.contains(&0.025),
            "the operator's gates judge by it"
        );
    }
}
