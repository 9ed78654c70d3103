//! From score to decision: pure.

use std::{fmt, str::FromStr};

/// What the caller should do with the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it pass.
    Approve,
    /// Have somebody look at it.
    Review,
    /// Stop it.
    Block,
}

impl Decision {
    /// All decisions, in the order of severity.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Review, Self::Block];

    /// As it is written in answers, labels and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|d| d.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of approve, review, block"))
    }
}

/// What decides when the model gave no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Always the same.
    Always(Decision),
    /// The rules; a transaction that none of them hits is approved.
    RulesOnly,
}

impl FromStr for Fallback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "rulesOnly" {
            return Ok(Self::RulesOnly);
        }
        let always = text.parse().map(Self::Always);
        always.map_err(|_| format!("`{text}` is none of approve, review, block, rulesOnly"))
    }
}

/// The two bands: `0 <= review <= block <= 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    review: f64,
    block: f64,
}

impl Thresholds {
    /// Checks the bounds and their order; the message names what to change.
    pub fn new(review: f64, block: f64) -> Result<Self, String> {
        for (name, value) in [("review", review), ("block", block)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("threshold {name} is {value}, it must lie in 0..1"));
            }
        }
        if block < review {
            return Err(format!("threshold block ({block}) is below review ({review})"));
        }
        Ok(Self { review, block })
    }

    /// From this score on somebody looks.
    pub fn review(&self) -> f64 {
        self.review
    }

    /// From this score on it is stopped.
    pub fn block(&self) -> f64 {
        self.block
    }

    /// The band of a score in 0..1.
    pub fn decide(&self, score: f32) -> Decision {
        let score = f64::from(score);
        if score >= self.block {
            Decision::Block
        } else if score >= self.review {
            Decision::Review
        } else {
            Decision::Approve
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_belong_to_the_upper_band() {
        let t = Thresholds::new(0.25, 0.5).unwrap();
        let scores = [0.0, 0.249, 0.25, 0.499, 0.5, 1.0];
        let names: Vec<_> = scores.iter().map(|s| t.decide(*s).as_str()).collect();
        assert_eq!(
            names,
            ["approve", "approve", "review", "review", "block", "block"]
        );
    }

    #[test]
    fn impossible_thresholds_are_refused() {
        for (review, block) in [(0.5, 0.1), (-0.1, 0.5), (0.1, 1.1), (f64::NAN, 0.5)] {
            assert!(Thresholds::new(review, block).is_err(), "{review} {block}");
        }
    }

    proptest! {
        #[test]
        fn a_higher_score_never_means_a_milder_decision(a in 0.0_f32..=1.0, b in 0.0_f32..=1.0) {
            let t = Thresholds::new(0.1, 0.5).unwrap();
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(t.decide(low) as u8 <= t.decide(high) as u8);
        }
    }
}
