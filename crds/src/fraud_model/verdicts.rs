//! What `status` says of a rollout: the candidate, its gates, the evidence, and how earlier rollouts ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ModelVersion, status::is_false};

/// The version that is to take over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// What people call it.
    #[schemars(length(max = 63))]
    pub version: String,
    /// `sha256:` and the digest that pins it.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Where its ONNX file is.
    #[schemars(length(max = 1024))]
    pub uri: String,
    /// Eight hex digits that name its Deployment and Service.
    #[schemars(length(max = 8))]
    pub hash: String,
    /// Whether its pods speak TLS and ask for client certificates.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mtls: bool,
    /// The step of `spec.rollout.steps` that it is at, from 1 on; 0 before the first.
    #[serde(default)]
    pub step: u32,
    /// Share of the requests that it gets, in percent.
    #[serde(default)]
    pub weight: u8,
    /// Since when it is at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How often it lost all its serving pods while it had traffic.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub losses: u32,
    /// What the gates say of it at this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub gates: Vec<GateStatus>,
}

impl Candidate {
    /// The version itself.
    pub fn model_version(&self) -> ModelVersion {
        ModelVersion {
            version: self.version.clone(),
            digest: self.digest.clone(),
            uri: self.uri.clone(),
            hash: self.hash.clone(),
            mtls: self.mtls,
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What one gate says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// `errorRatio` or `slowRatio`.
    #[schemars(length(max = 32))]
    pub name: String,
    /// What the numbers say.
    pub verdict: GateVerdict,
    /// Share of the candidate's requests at this step; none without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The same of the stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_value: Option<f64>,
    /// `maxRate` of the gate.
    pub limit: f64,
    /// Requests of the candidate at this step.
    pub samples: u64,
    /// The verdict in words, with its numbers.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What the numbers of a gate say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateVerdict {
    /// Enough requests, within the limits.
    Pass,
    /// Beyond a limit, proven.
    Fail,
    /// Not enough requests, or beyond a limit without proof.
    Inconclusive,
    /// Nothing is known: no request, or pods whose numbers can't be read.
    NoData,
}

impl GateVerdict {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "noData",
        }
    }
}

/// What was counted so far in a rollout: written before each change of a weight, so that any operator can go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutEvidence {
    /// Hash of the candidate that this is about.
    #[schemars(length(max = 8))]
    pub hash: String,
    /// A process that was never read and started after this (milliseconds of Unix time) counts from its start on.
    pub from: i64,
    /// Counts of the candidate at this step.
    pub candidate: ArmCounts,
    /// Counts of the stable version in the same time.
    pub stable: ArmCounts,
    /// Sums of the sequential tests over the whole rollout, by `gate/test`, in millionths of a nat, one for each alternative.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub tests: Vec<TestSums>,
    /// What each scorer process had counted when it was last read:
    /// `pod start requests errors refused answers slow`; start in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 192)))]
    pub processes: Vec<String>,
}

/// Counts of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArmCounts {
    /// Predictions that were asked for.
    pub requests: u64,
    /// Those that ended in an error or in a fallback.
    pub errors: u64,
    /// Those that the model's schema refused.
    pub refused: u64,
    /// Those that were answered.
    pub answers: u64,
    /// Answers that took longer than 25 ms.
    pub slow: u64,
}

/// The sums of one sequential test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestSums {
    /// `errorRatio/ratio`, `errorRatio/rate`, `slowRatio/ratio` or `slowRatio/rate`.
    #[schemars(length(max = 64))]
    pub test: String,
    /// Log-likelihood ratios, in millionths of a nat.
    #[schemars(length(max = 16), inner(range(min = -9_223_372_036_854_775_808_i64)))]
    pub sums: Vec<i64>,
}

/// A model file that a rollout ended for; it gets no traffic again until `fraudops.dev/retry` names its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedVersion {
    /// The digest that is refused.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// What people called it.
    #[schemars(length(max = 63))]
    pub version: String,
    /// Why, with the numbers.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// When.
    pub time: Time,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The version that was rolled out.
    #[schemars(length(max = 63))]
    pub version: String,
    /// Its digest.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, with the numbers.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When.
    pub time: Time,
}

/// What became of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// It became the stable version.
    Promoted,
    /// A gate failed.
    RolledBack,
    /// The spec went back to the stable version.
    Aborted,
    /// The spec named another version before it was done.
    Superseded,
}

impl Outcome {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::RolledBack => "RolledBack",
            Self::Aborted => "Aborted",
            Self::Superseded => "Superseded",
        }
    }
}
