//! What the spec asks of a rollout.

use std::{collections::BTreeMap, time::Duration};

use super::gate::{Gate, Limits};

/// What the spec asks of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// At least one, in ascending order of weight.
    pub steps: Vec<WeightStep>,
    /// Every gate is required at every step.
    pub gates: BTreeMap<Gate, Limits>,
    /// Probability with which one gate may reject a version that is within its limits.
    pub alpha: f64,
    /// The weight stays as it is, or falls.
    pub paused: bool,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightStep {
    /// Share of the requests, 1 to 100.
    pub weight: u8,
    /// The step takes at least this long.
    pub min_duration: Duration,
}

impl Strategy {
    /// The step (from 0 on) that belongs to a weight that was given under other steps: never one of more weight. None when
    /// all steps have more.
    pub fn step_of(&self, weight: u8) -> Option<usize> {
        self.steps.iter().rposition(|step| step.weight <= weight)
    }
}
