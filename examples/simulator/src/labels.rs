//! When it becomes known what a transaction was.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use crate::{
    DAY,
    features::LABEL_DELAY,
    random::Stream,
    settings::{InvalidSetting, invalid},
};

/// How labels come. Without a chargeback delay all of them come after the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelDelay {
    /// Days after which a transaction that nobody disputed counts as genuine, and after which a fraud is known.
    pub days: f64,
    /// Frauds become known by chargebacks instead, whose delay is log-normal.
    pub chargeback: Option<Chargeback>,
    /// Share of transactions whose label never comes.
    pub never: f64,
}

/// A log-normal delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chargeback {
    /// Half of them come within this many days.
    pub median_days: f64,
    /// Standard deviation of the logarithm; 0: all come after the median.
    pub spread: f64,
}

impl Default for LabelDelay {
    fn default() -> Self {
        Self {
            days: LABEL_DELAY as f64,
            chargeback: None,
            never: 0.0,
        }
    }
}

/// Draws when labels come, in the order of transactions.
#[derive(Clone, Debug)]
pub struct Labels {
    delay: LabelDelay,
    chargeback: Option<LogNormal<f64>>,
    rng: ChaCha8Rng,
}

/// Later than this, no simulation goes on.
const NEVER_DAYS: f64 = 36_500.0;

impl Labels {
    /// Checks the delays.
    pub fn new(delay: LabelDelay, seed: u64) -> Result<Self, InvalidSetting> {
        let is_days = |days: f64| days.is_finite() && (0.0..=NEVER_DAYS).contains(&days);
        if !is_days(delay.days) {
            return Err(invalid(
                "label-delay",
                &delay.days,
                "must be a number of days from 0 to 36500",
            ));
        }
        if !(0.0..=1.0).contains(&delay.never) {
            return Err(invalid(
                "label-never",
                &delay.never,
                "must be a share from 0 to 1",
            ));
        }
        if let Some(Chargeback { median_days, spread }) = delay.chargeback {
            if !is_days(median_days) || median_days == 0.0 {
                let problem = "must be a number of days above 0 and up to 36500";
                return Err(invalid("chargeback-median", &median_days, problem));
            }
            if !(0.0..=10.0).contains(&spread) {
                return Err(invalid(
                    "chargeback-spread",
                    &spread,
                    "must be a number from 0 to 10",
                ));
            }
        }
        let chargeback = delay.chargeback.map(|Chargeback { median_days, spread }| {
            LogNormal::new(median_days.ln(), spread).expect("the spread was checked to be finite")
        });
        Ok(Self {
            delay,
            chargeback,
            rng: Stream::Labels.rng(seed),
        })
    }

    /// Seconds after the next transaction at which its label comes, or none when it never comes. Must be called
    /// once for every transaction, in their order.
    pub fn next_delay(&mut self, is_fraud: bool) -> Option<u64> {
        // Both are always drawn, so that one transaction's label does not depend on the kind of others.
        let lot: f64 = self.rng.random();
        let drawn = self.chargeback.map(|delay| delay.sample(&mut self.rng));
        let days = drawn.filter(|_| is_fraud).unwrap_or(self.delay.days);
        (lot >= self.delay.never && days <= NEVER_DAYS).then(|| (days * DAY as f64).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(delay: LabelDelay, is_fraud: bool) -> Vec<Option<u64>> {
        let mut labels = Labels::new(delay, 3).unwrap();
        (0..20_000).map(|_| labels.next_delay(is_fraud)).collect()
    }

    #[test]
    fn by_default_every_label_comes_after_exactly_seven_days() {
        assert!(
            delays(LabelDelay::default(), true)
                .iter()
                .all(|delay| *delay == Some(7 * 86_400))
        );
    }

    #[test]
    fn the_share_that_never_comes_never_comes() {
        let delay = LabelDelay {
            never: 0.25,
            ..LabelDelay::default()
        };
        let missing = delays(delay, false)
            .iter()
            .filter(|delay| delay.is_none())
            .count();
        assert!((4_700..5_300).contains(&missing), "{missing}");
    }

    #[test]
    fn half_of_the_chargebacks_come_within_the_median_and_genuine_labels_keep_their_delay() {
        let delay = LabelDelay {
            chargeback: Some(Chargeback {
                median_days: 20.0,
                spread: 0.7,
            }),
            ..LabelDelay::default()
        };
        let early = delays(delay, true)
            .iter()
            .filter(|delay| delay.is_some_and(|delay| delay <= 20 * 86_400))
            .count();
        assert!((9_700..10_300).contains(&early), "{early}");
        assert!(
            delays(delay, false)
                .iter()
                .all(|delay| *delay == Some(7 * 86_400))
        );
    }

    #[test]
    fn delays_that_make_no_sense_are_refused_by_name() {
        let refusal = |delay| Labels::new(delay, 0).unwrap_err().to_string();
        let good = LabelDelay::default();
        assert_eq!(
            refusal(LabelDelay { never: 1.5, ..good }),
            "--label-never 1.5: must be a share from 0 to 1"
        );
        assert!(
            refusal(LabelDelay {
                days: f64::NAN,
                ..good
            })
            .starts_with("--label-delay NaN: ")
        );
        let chargeback = |median_days, spread| LabelDelay {
            chargeback: Some(Chargeback { median_days, spread }),
            ..good
        };
        assert!(refusal(chargeback(0.0, 1.0)).starts_with("--chargeback-median 0: "));
        assert!(refusal(chargeback(1.0, -1.0)).starts_with("--chargeback-spread -1: "));
    }
}
