//! `spec.rollout`: how a new version gets its traffic, and by which limits it is judged.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How a new version gets its traffic: in steps, each of which it has to pass. Without it a new version takes all the
/// traffic as soon as it is verified.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.steps.map(s, s.weight).isSorted() && self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight))")
        .message("rollout.steps must be in ascending order of weight, each weight once")
        .field_path(".steps"),
)]
pub struct Rollout {
    /// The weights that the new version goes through, ascending; after the last one it takes all the traffic.
    #[schemars(length(min = 1, max = 10))]
    pub steps: Vec<RolloutStep>,
    /// What the new version has to show at each step.
    #[serde(default)]
    pub gates: Gates,
    /// Probability with which one gate may reject, at any time in a whole rollout, a version that is within its limits.
    #[serde(default = "default_alpha")]
    #[x_kube(validation = Rule::new("self >= 0.0001 && self <= 0.2").message("rollout.alpha must be between 0.0001 and 0.2"))]
    pub alpha: f64,
    /// Keeps the weight as it is. A gate that fails still takes the weight away.
    #[serde(default)]
    pub paused: bool,
}

fn default_alpha() -> f64 {
    0.01
}

/// One step of a rollout.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStep {
    /// Share of the requests that the new version gets, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub weight: u8,
    /// The step takes at least this long: `30s`, `5m`, `1h`.
    #[serde(default = "default_duration")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,4}[smh]$')")
        .message("rollout.steps[].minDuration must be a number of at most four digits and s, m or h: 30s, 5m, 1h"))]
    pub min_duration: String,
}

fn default_duration() -> String {
    "5m".into()
}

/// What a new version has to show at each step.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// Requests that ended in an error: 5xx, and answers that `decision.onModelError` gave because the model failed.
    /// For `ratio`, requests that the model's schema refused count too.
    #[serde(default)]
    pub error_ratio: GateLimits,
    /// Answers that took longer than 25 ms, a bound of the scorer's histogram that can't be changed.
    #[serde(default)]
    pub slow_ratio: GateLimits,
}

/// The limits of a gate. One that is proven to be exceeded takes the weight away.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateLimits {
    /// How many times as frequent as with the stable version.
    #[serde(default = "default_ratio")]
    #[x_kube(validation = Rule::new("self >= 1.0 && self <= 100.0").message("rollout.gates.*.ratio must be between 1 and 100"))]
    pub ratio: f64,
    /// Share of the new version's requests, whatever the stable version does.
    #[serde(default = "default_max_rate")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 1.0").message("rollout.gates.*.maxRate must be above 0 and at most 1: 0.01 is one in a hundred"))]
    pub max_rate: f64,
    /// Requests of the new version that a step needs before it can pass.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub min_samples: u64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            ratio: default_ratio(),
            max_rate: default_max_rate(),
            min_samples: default_min_samples(),
        }
    }
}

fn default_ratio() -> f64 {
    2.0
}

fn default_max_rate() -> f64 {
    0.01
}

fn default_min_samples() -> u64 {
    500
}
