//! `spec.access`: who may call the scorer, and how often.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Who may call, and how often. With tokens or client certificates the NetworkPolicy lets everybody reach the serving ports,
/// because they are guarded there; without, only Traefik and the operator.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.tokensSecretRef) || has(self.mtls) || has(self.rateLimit)")
        .message("access needs at least one of tokensSecretRef, mtls and rateLimit: add one, or remove access"),
)]
pub struct Access {
    /// A Secret with a file for each client, named after it: lines `scope[,scope] sha256:HEX`, as `fraudops-scorer token`
    /// prints them. Every request then needs a bearer token. Changes are taken over without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_secret_ref: Option<SecretRef>,
    /// TLS on the serving ports, with a client certificate that every caller must have; the operator gives Traefik one.
    /// Adding or removing it replaces the pods as a new version does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    /// How often a client may call. Without it as often as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

/// Certificates of both sides, by cert-manager.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mtls {
    /// A Secret with the key pair (`tls.crt`, `tls.key`) of an authority that signs nothing else: whoever has a certificate
    /// of it with one of the names may call. The operator makes a cert-manager Issuer of it, and never reads it.
    pub ca_secret_ref: SecretRef,
    /// Names (DNS or URI) that the certificates of callers beside Traefik carry.
    #[serde(default, rename = "allowedSANs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(n, n.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$') || n.matches('^[a-z][-+.a-z0-9]*://[-A-Za-z0-9._~%:@/]+$'))")
            .message("access.mtls.allowedSANs must be DNS names in lower case or URIs, without wildcards: checkout.payments.svc or spiffe://example.com/ns/payments/sa/checkout"),
    )]
    pub allowed_sans: Vec<String>,
}

/// How often a client may call each pod: a client is the name of a token, and without tokens an address.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests a second, on average.
    #[x_kube(validation = Rule::new("self >= 0.01 && self <= 1000000.0")
        .message("access.rateLimit.requestsPerSecond must be between 0.01 and 1000000"))]
    pub requests_per_second: f64,
    /// Requests at once; as many as in a second when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
}
