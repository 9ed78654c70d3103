//! The `FraudModel`: one manifest that runs a fraud model, names it on the network and replaces it safely.

mod access;
mod condition;
mod decision_log;
mod idempotency;
mod ingress;
mod model;
mod receipts;
mod rollout;
mod rules;
mod scorer;
mod status;
mod verdicts;

pub use access::{Access, Mtls, RateLimit};
pub use condition::{Condition, ConditionReason, ConditionType, upsert};
pub use decision_log::DecisionLog;
pub use idempotency::{Idempotency, Redis};
pub use ingress::{Ingress, IssuerKind, IssuerRef, Tls};
pub use model::{Decision, Model, OnModelError, PublicKeyRef, Verify};
pub use receipts::{Receipts, SecretRef};
pub use rollout::{GateLimits, Gates, Rollout, RolloutStep};
pub use rules::{ConfigMapRef, List, Rule, RuleAction, RuleMode};
pub use scorer::{Autoscaling, Cache, ImagePullPolicy, Resources, Scorer};
pub use status::{FraudModelStatus, ModelVersion, Phase, RetiringVersion};
pub use verdicts::{
    ArmCounts, Candidate, GateStatus, GateVerdict, HistoryEntry, Outcome, RejectedVersion, RolloutEvidence,
    TestSums,
};

use std::collections::BTreeMap;

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
    validation = Rule::new("!has(self.spec.access) || !has(self.spec.access.mtls) || has(self.spec.ingress) || (has(self.spec.access.mtls.allowedSANs) && self.spec.access.mtls.allowedSANs.size() > 0)")
        .message("access.mtls without ingress needs allowedSANs, because nobody else has a certificate: name the callers there, or add spec.ingress"),
)]
#[serde(rename_all = "camelCase")]
pub struct FraudModelSpec {
    /// Which model is served. A change of version or digest replaces the running version without a failed request.
    pub model: Model,
    /// From a fraud probability to a decision.
    #[serde(default)]
    pub decision: Decision,
    /// How the receipts in answers are sealed; `/feedback` takes them back with a label.
    #[serde(default)]
    pub receipts: Receipts,
    /// How a transaction that is sent again is answered.
    #[serde(default)]
    pub idempotency: Idempotency,
    /// Conditions that decide beside the model: allow before block before review, then in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(r, self.exists_one(other, other.name == r.name))")
        .message("rules[].name must be unique: two rules have the same name, rename one"))]
    pub rules: Vec<rules::Rule>,
    /// Lists of ids that conditions look into, by name: `CUSTOMER_ID in lists.<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(
        validation = Rule::new(r"self.all(name, name.matches('^[a-z]\\w*$') && name.size() <= 63)")
            .message("a name in spec.lists begins with a lower-case letter and has at most 63 letters, digits and '_', so that a condition can say lists.<name>: blockedCustomers"),
        validation = Rule::new("self.all(name, !(name in ['false', 'in', 'null', 'true']))")
            .message("a name in spec.lists must not be false, in, null or true: these are words of CEL"),
    )]
    pub lists: BTreeMap<String, List>,
    /// How the scorer pods run.
    #[serde(default)]
    pub scorer: Scorer,
    /// How callers reach the model from outside the cluster (Traefik). Without it the Services are there, no route is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// How a new version gets its traffic. Without it, all at once when it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Who may call, and how often. Without it whoever Traefik and the NetworkPolicy let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// A log of decisions on the scorer's standard output. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_log: Option<DecisionLog>,
}
