//! From the sum of the leaves to the score.

use crate::model::{Aggregate, Transform};

/// What is done to the sum, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// The sum is divided by this first; 1 for ensembles that add up.
    pub divisor: f32,
    /// Added then.
    pub base: f32,
    /// Then the sum becomes one of two classes.
    pub link: Link,
    /// Then the operators behind the ensemble follow.
    pub after: Vec<After>,
}

/// How a sum becomes the value of the wanted class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is the value.
    Identity,
    /// The logistic function.
    Logistic,
    /// The logistic function of the negative sum.
    LogisticOfOther,
}

/// An operator behind the ensemble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// Multiplication with a constant.
    Times(f32),
    /// The logistic function.
    Sigmoid,
}

impl Finish {
    /// The score of a sum.
    pub fn apply(&self, sum: f32) -> f32 {
        let sum = if self.divisor == 1.0 {
            sum
        } else {
            sum / self.divisor
        };
        let sum = sum + self.base;
        let value = match self.link {
            Link::Identity => sum,
            Link::Logistic => logistic(sum),
            Link::LogisticOfOther => logistic(-sum),
        };
        self.after.iter().fold(value, |value, after| match after {
            After::Times(factor) => value * factor,
            After::Sigmoid => logistic(value),
        })
    }
}

/// The logistic function in the form whose exponent never overflows; ONNX Runtime's rounding depends on this form.
fn logistic(value: f32) -> f32 {
    let upper = 1.0 / (1.0 + (-value.abs()).exp());
    if value < 0.0 { 1.0 - upper } else { upper }
}

/// What ONNX Runtime makes of a binary classifier whose leaves have one weight each.
///
/// The weight is for class 0 in what exporters write, and yet means the probability of class 1.
pub fn binary_link(column: usize, transform: Transform) -> Option<Link> {
    match (column, transform) {
        (1, Transform::None) => Some(Link::Identity),
        (1, Transform::Logistic) => Some(Link::Logistic),
        (0, Transform::Logistic) => Some(Link::LogisticOfOther),
        _ => None,
    }
}

/// What the sum of a regressor is divided by.
pub fn divisor(aggregate: Aggregate, trees: usize) -> Option<f32> {
    match aggregate {
        Aggregate::Sum => Some(1.0),
        Aggregate::Average => Some(trees as f32),
        Aggregate::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_follow_each_other() {
        let finish = Finish {
            divisor: 4.0,
            base: 0.5,
            link: Link::LogisticOfOther,
            after: vec![After::Times(0.0), After::Sigmoid],
        };
        // -2 / 4 + 0.5 = 0; logistic(-0) = 0.5; 0.5 * 0 = 0; logistic(0) = 0.5
        assert_eq!(finish.apply(-2.0), 0.5);
    }

    #[test]
    fn the_logistic_function_is_symmetric_and_never_overflows() {
        for value in [0.0, 0.3, 5.0, 50.0, 200.0] {
            assert_eq!(logistic(-value), 1.0 - logistic(value), "{value}");
        }
        assert_eq!((logistic(f32::MAX), logistic(f32::MIN)), (1.0, 0.0));
        assert!(logistic(f32::NAN).is_nan());
    }
}
