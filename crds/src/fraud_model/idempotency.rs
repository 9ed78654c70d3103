//! `spec.idempotency`: the same TRANSACTION_ID gets the same answer.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// How long an answer is given again, and whether pods share answers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idempotency {
    /// How long the answer to a TRANSACTION_ID is given again, such as `24h` or `90s`. The pod's memory is bounded and may
    /// forget earlier.
    #[serde(default = "default_ttl")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(
        validation = Rule::new("self.matches('^([0-9]{1,6}(h|m|s|ms))+$')")
            .message("idempotency.ttl must be a duration such as 24h, 10m or 90s"),
        validation = Rule::new("!self.matches('^([0-9]{1,6}(h|m|s|ms))+$') || (duration(self) >= duration('1s') && duration(self) <= duration('168h'))")
            .message("idempotency.ttl must be between 1s and 168h"),
    )]
    pub ttl: String,
    /// Lets pods and versions share answers. Without it each pod remembers its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            ttl: default_ttl(),
            redis: None,
        }
    }
}

fn default_ttl() -> String {
    "24h".into()
}

/// A Redis (7.0 or later) or Valkey. When it is down scoring goes on with the memory of each pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// A Secret with the key `url` (`redis://` or, with TLS, `rediss://`, with user and password), and `ca.crt` where the
    /// server's certificate is not of a public CA.
    pub secret_ref: SecretRef,
    /// The port in that url: the NetworkPolicy lets the pods out to it.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// How long a request waits for Redis before it goes on without it.
    #[serde(default = "default_timeout")]
    #[schemars(length(min = 2, max = 8))]
    #[x_kube(
        validation = Rule::new("self.matches('^[0-9]{1,4}(s|ms)$')")
            .message("idempotency.redis.timeout must be a duration such as 20ms"),
        validation = Rule::new("!self.matches('^[0-9]{1,4}(s|ms)$') || (duration(self) >= duration('1ms') && duration(self) <= duration('1s'))")
            .message("idempotency.redis.timeout must be between 1ms and 1s"),
    )]
    pub timeout: String,
}

fn default_port() -> i32 {
    6379
}

fn default_timeout() -> String {
    "20ms".into()
}
