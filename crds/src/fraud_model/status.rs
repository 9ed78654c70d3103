//! `status`: what the operator saw and decided. Written by the operator only.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidate, HistoryEntry, RejectedVersion, RolloutEvidence};

/// What the operator saw and decided.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FraudModelStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the replacement of versions stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The version that takes the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ModelVersion>,
    /// The version that is to take over, while it is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The candidate's gates in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub gates: Option<String>,
    /// What was counted so far in the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<RolloutEvidence>,
    /// Versions that a rollout ended for, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rejected: Vec<RejectedVersion>,
    /// The value of the annotation `fraudops.dev/retry` that was honoured: it counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub retried: Option<String>,
    /// How the latest rollouts ended, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
    /// Versions that have no traffic any more and are about to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["hash".into()]))]
    pub retiring: Vec<RetiringVersion>,
    /// Where the model answers from outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 600))]
    pub url: Option<String>,
    /// Pods of the stable version (for the scale subresource).
    #[serde(default)]
    pub replicas: i32,
    /// Label selector of the stable version's pods (for the scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Ready, Available, Progressing, ModelVerified, CertificateReady, RouteReady, FeedbackProtected; Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One version of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersion {
    /// What people call it.
    #[schemars(length(max = 63))]
    pub version: String,
    /// `sha256:` and the digest that pins it: of the ONNX file, or of the OCI manifest where only that is named.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Where its ONNX file is.
    #[schemars(length(max = 1024))]
    pub uri: String,
    /// Eight hex digits that name its Deployment and Service: a hash of version, digest and `mtls`.
    #[schemars(length(max = 8))]
    pub hash: String,
    /// Whether its pods speak TLS and ask for client certificates (`spec.access.mtls`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub mtls: bool,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

/// A version that has no traffic any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetiringVersion {
    /// The hash in its names.
    #[schemars(length(max = 8))]
    pub hash: String,
    /// When something last reached it, or could have.
    pub since: Time,
    /// Requests that its pods had taken by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// Requests that the pods of the stable version had taken by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor_requests: Option<i64>,
}

/// Where the replacement of versions stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Something that must come first is missing; the condition Ready says what.
    Pending,
    /// The candidate is loaded and checked; it has no traffic.
    Verifying,
    /// The candidate has a share of the traffic; its gates are judged.
    Canary,
    /// The candidate stays where it is because `spec.rollout.paused` says so.
    Paused,
    /// The candidate has the traffic now; the version before it is kept until no request can reach it any more.
    Promoting,
    /// The candidate has no traffic any more; its pods are kept until no request can reach them.
    RollingBack,
    /// A gate failed: the stable version has all the traffic, the wanted one is not tried again.
    RolledBack,
    /// One version, with all the traffic.
    Stable,
}

impl Phase {
    /// All phases, for metrics.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Verifying,
        Self::Canary,
        Self::Paused,
        Self::Promoting,
        Self::RollingBack,
        Self::RolledBack,
        Self::Stable,
    ];

    /// The word in `status.phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Verifying => "Verifying",
            Self::Canary => "Canary",
            Self::Paused => "Paused",
            Self::Promoting => "Promoting",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Stable => "Stable",
        }
    }
}
