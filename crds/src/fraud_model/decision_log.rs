//! `spec.decisionLog`: a line for every decision that somebody may ask about.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A JSON line on the standard output of the scorer for every block and review, and for a share of the approvals.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionLog {
    /// Whether it is written.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
    /// Share of the approvals that are logged, 0 to 1. Pods with the same key choose the same ones.
    #[serde(default = "default_approvals")]
    #[x_kube(validation = Rule::new("self >= 0.0 && self <= 1.0")
        .message("decisionLog.approvals must be between 0 and 1: 0.01 is one in a hundred"))]
    pub approvals: f64,
    /// A Secret whose entry `key` holds 32 random bytes or more as base64: ids are logged as pseudonyms made with it.
    /// Without it ids are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonym_key_secret_ref: Option<SecretRef>,
}

fn default_enabled() -> bool {
    true
}

fn default_approvals() -> f64 {
    0.01
}
