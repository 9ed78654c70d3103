//! What is counted about one answered transaction.

use std::time::Duration;

use crate::decision::Decision;

/// Who decided: label `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The model's score, by the bands.
    Model,
    /// A rule.
    Rule,
    /// `onModelError`, because the model gave no score.
    Fallback,
}

impl Source {
    /// All sources, in the order of their slots.
    pub const ALL: [Self; 3] = [Self::Model, Self::Rule, Self::Fallback];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Rule => "rule",
            Self::Fallback => "fallback",
        }
    }
}

/// Why the model gave no score: label `kind` of `fraud_model_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFailure {
    /// The engine failed, panicked, or gave the wrong number of scores.
    Engine,
    /// The score is not a probability.
    NotAProbability,
    /// The score did not come in time.
    Deadline,
    /// Too many transactions waited for the model.
    Overloaded,
}

impl ModelFailure {
    /// All kinds, in the order of their slots.
    pub const ALL: [Self; 4] = [
        Self::Engine,
        Self::NotAProbability,
        Self::Deadline,
        Self::Overloaded,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::NotAProbability => "not_a_probability",
            Self::Deadline => "deadline",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What stands in for a feature that the request did not bring: label `kind` of `fraud_imputed_features_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imputation {
    /// The median of the training data.
    Median,
    /// NaN: the model itself knows what to do.
    Native,
}

impl Imputation {
    /// All kinds, in the order of their slots.
    pub const ALL: [Self; 2] = [Self::Median, Self::Native];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Native => "native",
        }
    }
}

/// What the model said, when it was asked.
pub type Scored = Option<Result<f32, ModelFailure>>;

/// One answered transaction.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The decision of the answer.
    pub decision: Decision,
    /// Who took it.
    pub source: Source,
    /// The model's score or failure; None when a rule decided before the model.
    pub scored: Scored,
    /// From the request's head to its answer.
    pub took: Duration,
    /// Id of the trace, when this request is traced.
    pub trace: Option<[u8; 16]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_own_slot_and_name() {
        let slots: Vec<_> = Source::ALL
            .into_iter()
            .map(|s| (s as usize, s.as_str()))
            .collect();
        assert_eq!(slots, [(0, "model"), (1, "rule"), (2, "fallback")]);
        let slots: Vec<_> = ModelFailure::ALL
            .into_iter()
            .map(|k| (k as usize, k.as_str()))
            .collect();
        assert_eq!(
            slots,
            [
                (0, "engine"),
                (1, "not_a_probability"),
                (2, "deadline"),
                (3, "overloaded")
            ]
        );
        let slots: Vec<_> = Imputation::ALL
            .into_iter()
            .map(|k| (k as usize, k.as_str()))
            .collect();
        assert_eq!(slots, [(0, "median"), (1, "native")]);
    }
}
