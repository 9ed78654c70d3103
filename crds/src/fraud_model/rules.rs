//! `spec.rules` and `spec.lists`: decisions beside the model.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A condition over one transaction, and what it means when it is met.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Name, unique among the rules; a label of metrics.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("rules[].name must hold only a-z, 0-9 and '-', and begin and end with a letter or digit: amount-jump"))]
    pub name: String,
    /// The condition, in CEL, over the fields of the request, `score` and `lists.<name>`: `TX_AMOUNT > 100.0`. The scorer
    /// checks it before it serves.
    #[schemars(length(min = 1, max = 1024))]
    pub when: String,
    /// What a hit means.
    pub action: RuleAction,
    /// Whether a hit decides (`enforce`) or is only counted (`shadow`).
    #[serde(default)]
    pub mode: RuleMode,
    /// What the answer says of a hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(r"!self.matches('[\\x00-\\x1f\\x7f]')")
        .message("rules[].reason must be one line, without control characters"))]
    pub reason: Option<String>,
}

/// What a hit means. Allow goes before block, block before review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RuleAction {
    /// The transaction passes, whatever the model says.
    Allow,
    /// It is stopped.
    Block,
    /// Somebody looks at it, unless the model blocks it.
    Review,
}

/// Whether a hit decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RuleMode {
    /// It does.
    #[default]
    Enforce,
    /// It is counted and reported only.
    Shadow,
}

/// Ids that a condition can look for: `CUSTOMER_ID in lists.<name>`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.values) && has(self.configMapRef))")
        .message("values and configMapRef of an entry of spec.lists exclude each other: remove one"),
    validation = Rule::new("has(self.values) || has(self.configMapRef)")
        .message("an entry of spec.lists needs values (ids in the manifest) or configMapRef (a ConfigMap of yours with one id a line)"),
)]
pub struct List {
    /// The ids. A change of them is taken over without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub values: Option<Vec<i64>>,
    /// A ConfigMap in the namespace of the FraudModel: every key's text, one id a line, comments after '#'. A change of
    /// it is taken over without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
}

/// A ConfigMap of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("configMapRef.name of an entry of spec.lists must be the name of a ConfigMap"))]
    pub name: String,
}
