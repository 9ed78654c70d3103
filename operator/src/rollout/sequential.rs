//! Tests on counts that may be looked at after every request: e-processes (docs/adr/0008).
//!
//! Each sums the log-likelihood ratios of a few alternatives; their mean is a non-negative supermartingale that begins at 1
//! while the tolerated holds, so that by Ville's inequality it ever reaches 1/α with a probability of at most α. A test that is
//! meant for one look has no such promise: looked at every few seconds, it rejects what is good sooner or later.

/// The alternatives: how many times the tolerated odds.
const GRID: [f64; ALTERNATIVES] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 50.0];
/// Number of alternatives of each test.
pub const ALTERNATIVES: usize = 7;
/// Sums are kept in millionths of a nat: whole numbers are the same for every operator that reads them back.
const NAT: f64 = 1e6;

/// Exposures and events of one version in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// What could have become an event.
    pub exposures: u64,
    /// What did.
    pub events: u64,
}

impl Count {
    /// Events by exposures; none without exposures.
    pub fn rate(self) -> Option<f64> {
        (self.exposures > 0).then(|| self.events as f64 / self.exposures as f64)
    }
}

/// The state of one test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums(pub [i64; ALTERNATIVES]);

impl Sums {
    /// Takes an interval into the test "events are at most `tolerance` times as frequent with the candidate as with stable".
    ///
    /// Given their sum, an event falls on the candidate with a probability of at most p₀ = n_c·R/(n_c·R+n_s), whatever the base
    /// rate is and however it moves. An interval in which one of the two had no exposures says nothing and is left out.
    pub fn compare(&mut self, tolerance: f64, candidate: Count, stable: Count) {
        if candidate.exposures == 0 || stable.exposures == 0 {
            return;
        }
        let (ours, theirs) = (candidate.exposures as f64 * tolerance, stable.exposures as f64);
        let (hits, all) = (
            candidate.events as f64,
            candidate.events as f64 + stable.events as f64,
        );
        // p_g/p₀ = g·q and (1-p_g)/(1-p₀) = q, with q as below.
        self.add(|g| hits * g.ln() + all * ((ours + theirs) / (ours * g + theirs)).ln());
    }

    /// Takes an interval into the test "at most the share `tolerated` of the exposures are events".
    pub fn bound(&mut self, tolerated: f64, count: Count) {
        let (hits, all) = (count.events as f64, count.exposures as f64);
        self.add(|g| hits * g.ln() - all * (1.0 - tolerated + g * tolerated).ln());
    }

    /// Rounds down, so that rounding never makes evidence.
    fn add(&mut self, log_ratio: impl Fn(f64) -> f64) {
        for (sum, g) in self.0.iter_mut().zip(GRID) {
            *sum = sum.saturating_add((log_ratio(g) * NAT).floor() as i64);
        }
    }

    /// ln E, E being the mean of the likelihood ratios.
    pub fn ln_evidence(&self) -> f64 {
        let logs = self.0.map(|sum| sum as f64 / NAT);
        let largest = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.into_iter().map(|log| (log - largest).exp()).sum();
        largest + (sum / ALTERNATIVES as f64).ln()
    }

    /// Whether the tolerated is refuted at the level `alpha`.
    pub fn refutes(&self, alpha: f64) -> bool {
        self.ln_evidence() >= -alpha.ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn count(exposures: u64, events: u64) -> Count {
        Count { exposures, events }
    }

    #[test]
    fn no_evidence_is_one() {
        assert_eq!(Sums::default().ln_evidence(), 0.0);
    }

    /// The formulas as they stand in the literature, without the shortcut that the code takes.
    #[test]
    fn the_sums_are_the_log_likelihood_ratios_of_the_alternatives() {
        let (candidate, stable, tolerance) = (count(50, 3), count(950, 4), 2.0);
        let mut sums = Sums::default();
        sums.compare(tolerance, candidate, stable);
        for (sum, g) in sums.0.iter().zip(GRID) {
            let p = |g: f64| 50.0 * tolerance * g / (50.0 * tolerance * g + 950.0);
            let expected = 3.0 * (p(g) / p(1.0)).ln() + 4.0 * ((1.0 - p(g)) / (1.0 - p(1.0))).ln();
            assert!((*sum as f64 / NAT - expected).abs() < 2e-6, "g = {g}");
        }
        let mut sums = Sums::default();
        sums.bound(0.01, count(100, 3));
        for (sum, g) in sums.0.iter().zip(GRID) {
            let theta: f64 = g * 0.01 / (1.0 - 0.01 + g * 0.01);
            let expected = 3.0 * (theta / 0.01).ln() + 97.0 * ((1.0 - theta) / 0.99).ln();
            assert!((*sum as f64 / NAT - expected).abs() < 2e-6, "g = {g}");
        }
    }

    #[test]
    fn an_interval_without_exposures_of_one_side_says_nothing() {
        let mut sums = Sums::default();
        sums.compare(2.0, count(0, 0), count(1000, 10));
        sums.compare(2.0, count(10, 10), count(0, 0));
        assert_eq!(sums, Sums::default());
    }

    /// Requests until `rate` is found to be beyond twice `stable_rate`, or beyond one in a hundred; in 200 rollouts at 5 %.
    fn detections(rate: f64, stable_rate: f64, requests: u64) -> Vec<u64> {
        let mut random = StdRng::seed_from_u64(7);
        let mut draw = |n: u64, p: f64| (0..n).filter(|_| random.random_bool(p)).count() as u64;
        let mut found = vec![];
        for _ in 0..200 {
            let (mut ratio, mut bound, mut seen) = (Sums::default(), Sums::default(), 0);
            while seen < requests {
                let (candidate, stable) = (count(5, draw(5, rate)), count(95, draw(95, stable_rate)));
                ratio.compare(2.0, candidate, stable);
                bound.bound(0.01, candidate);
                seen += candidate.exposures;
                if ratio.refutes(0.005) || bound.refutes(0.005) {
                    found.push(seen);
                    break;
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn a_version_at_the_limits_is_hardly_ever_rejected_however_often_one_looks() {
        // 1,000 looks in each of 200 rollouts; alpha is 1 %.
        let rejected = detections(0.01, 0.005, 5_000).len();
        assert!(rejected <= 4, "{rejected} of 200");
    }

    #[test]
    fn a_version_that_errs_is_found_within_a_few_requests() {
        // The candidate's requests come five at a time.
        for (rate, median) in [(1.0, 5), (0.2, 20), (0.05, 120)] {
            let found = detections(rate, 0.001, 5_000);
            assert_eq!(found.len(), 200, "rate {rate}");
            assert!(found[100] <= median, "rate {rate}: median {}", found[100]);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_can_be_counted_gives_nan_or_a_panic(
            exposures in any::<[u64; 2]>(), events in any::<[u64; 2]>(), tolerance in 1.0..100.0_f64, tolerated in 0.0..=1.0_f64,
        ) {
            let mut sums = Sums::default();
            for _ in 0..3 {
                sums.compare(tolerance, count(exposures[0], events[0]), count(exposures[1], events[1]));
                sums.bound(tolerated, count(exposures[0], events[0]));
            }
            prop_assert!(!sums.ln_evidence().is_nan());
        }

        #[test]
        fn intervals_add_up(events in 0_u64..20, more in 0_u64..20) {
            let (mut whole, mut parts) = (Sums::default(), Sums::default());
            whole.compare(2.0, count(100, events + more), count(100, 7));
            parts.compare(2.0, count(50, events), count(50, 3));
            parts.compare(2.0, count(50, more), count(50, 4));
            for (a, b) in whole.0.iter().zip(parts.0) {
                prop_assert!((a - b).abs() <= 2);
            }
        }

        #[test]
        fn a_candidate_without_events_is_never_refuted(intervals in prop::collection::vec((1_u64..1000, 1_u64..1000, 0_u64..50), 1..50)) {
            let mut sums = Sums::default();
            for (ours, theirs, events) in intervals {
                sums.compare(2.0, count(ours, 0), count(theirs, events));
                sums.bound(0.01, count(ours, 0));
                prop_assert!(!sums.refutes(0.2));
            }
        }
    }
}
