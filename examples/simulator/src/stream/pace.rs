//! When transactions are due.

use std::{str::FromStr, time::Duration};

/// The distance between transactions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many a second, evenly.
    Rate(f64),
    /// The simulation's own rhythm, so many times as fast.
    Speedup(f64),
    /// Each as soon as a connection is free. A closed loop: latencies are those of single requests.
    Unlimited,
}

/// Text that is neither a rate nor `max`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number above 0, or `max`")]
pub struct NotARate;

impl Pace {
    /// Parses a number of transactions a second, or `max`.
    pub fn rate(text: &str) -> Result<Self, NotARate> {
        match text {
            "max" => Ok(Self::Unlimited),
            _ => positive(text).map(Self::Rate),
        }
    }

    /// Parses how many times as fast as life.
    pub fn speedup(text: &str) -> Result<Self, NotARate> {
        positive(text).map(Self::Speedup)
    }

    /// Time from the first transaction to this one: the `number`th after it, `seconds` after it in the simulation.
    /// None: at once.
    #[must_use]
    pub fn offset(self, number: u64, seconds: u32) -> Option<Duration> {
        let offset = match self {
            Self::Rate(rate) => number as f64 / rate,
            Self::Speedup(speedup) => f64::from(seconds) / speedup,
            Self::Unlimited => return None,
        };
        // What is too far away for a duration is never due.
        Some(Duration::try_from_secs_f64(offset).unwrap_or(Duration::MAX))
    }
}

fn positive(text: &str) -> Result<f64, NotARate> {
    let number = f64::from_str(text).map_err(|_| NotARate)?;
    (number.is_finite() && number > 0.0)
        .then_some(number)
        .ok_or(NotARate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spaces_transactions_evenly_and_a_speedup_as_they_happened() {
        let rate = Pace::rate("200").unwrap();
        assert_eq!(rate.offset(0, 0), Some(Duration::ZERO));
        assert_eq!(rate.offset(300, 86_400), Some(Duration::from_millis(1_500)));
        let speedup = Pace::speedup("60").unwrap();
        assert_eq!(speedup.offset(300, 90), Some(Duration::from_millis(1_500)));
        assert_eq!(Pace::rate("max").unwrap().offset(9, 9), None);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert_eq!(Pace::rate(text), Err(NotARate), "{text}");
            assert_eq!(Pace::speedup(text), Err(NotARate), "{text}");
        }
        assert_eq!(Pace::speedup("max"), Err(NotARate));
    }
}
