//! The `FraudModel`: one manifest that runs a fraud model, names it on the network and replaces it safely.

mod condition;
mod ingress;
mod model;
mod rollout;
mod scorer;
mod status;
mod verdicts;

pub use condition::{Condition, ConditionReason, ConditionType, upsert};
pub use ingress::{Ingress, IssuerKind, IssuerRef, Tls};
pub use model::{Decision, Model, OnModelError};
pub use rollout::{GateLimits, Gates, Rollout, RolloutStep};
pub use scorer::{Autoscaling, ImagePullPolicy, Resources, Scorer};
pub use status::{FraudModelStatus, ModelVersion, Phase, RetiringVersion};
pub use verdicts::{
    ArmCounts, Candidate, GateStatus, GateVerdict, HistoryEntry, Outcome, RejectedVersion, RolloutEvidence,
    TestSums,
};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Longest name of a FraudModel: its children add nine characters and must fit a DNS label (RFC 1123: 63).
pub const MAX_NAME: usize = 40;

/// Annotation of a FraudModel: the digest of a rejected version (`sha256:…`) that is to be tried once more.
pub const RETRY: &str = "fraudops.dev/retry";

/// A fraud-detection model, the scorer that serves it, and its way to the network.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fraudops.dev",
    version = "v1alpha1",
    kind = "FraudModel",
    plural = "fraudmodels",
    shortname = "fm",
    category = "fraud",
    namespaced,
    status = "FraudModelStatus",
    derive = "PartialEq",
    doc = "A fraud-detection model, the scorer that serves it, and its way to the network.",
    scale(
        spec_replicas_path = ".spec.scorer.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.version"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate.version"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.candidate.weight"),
    printcolumn(name = "Gates", type_ = "string", json_path = ".status.gates"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.ingress.host",
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name must be at most 40 characters: the names of Deployments and Services are made from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must begin with a letter and hold only a-z, 0-9 and '-': Services are named after it"),
    validation = Rule::new("!has(self.spec.rollout) || has(self.spec.ingress)")
        .message("rollout needs ingress: without a route there is no traffic to share out; add spec.ingress or remove spec.rollout"),
)]
#[serde(rename_all = "camelCase")]
pub struct FraudModelSpec {
    /// Which model is served. A change of version or digest replaces the running version without a failed request.
    pub model: Model,
    /// From a fraud probability to a decision.
    #[serde(default)]
    pub decision: Decision,
    /// How the scorer pods run.
    #[serde(default)]
    pub scorer: Scorer,
    /// How callers reach the model from outside the cluster (Traefik). Without it the Services are there, no route is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// How a new version gets its traffic. Without it, all at once when it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}
