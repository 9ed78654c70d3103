//! `spec.ingress`: how callers reach the model through Traefik.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How callers reach the model through Traefik.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// DNS name. Belongs to one FraudModel: the oldest that names it with an overlapping path.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("ingress.host must be a DNS name (RFC 1123) in lower case, without scheme, port or wildcard: card-fraud.example.com"))]
    pub host: String,
    /// Only requests whose path begins with this are routed; it is not stripped. `/predict` exposes predictions only.
    #[serde(default = "default_path")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^/[A-Za-z0-9._~/-]*$')")
        .message("ingress.path must begin with '/' and hold only letters, digits and . _ ~ / -"))]
    pub path: String,
    /// Traefik entry points; `websecure` with `tls`, `web` without, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub entry_points: Vec<String>,
    /// HTTPS. Without it the route is plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Annotations of the IngressRoute, for example for external-dns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn default_path() -> String {
    "/".into()
}

/// Where the certificate comes from: cert-manager (`issuerRef`) or a Secret of yours (`secretName`).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.issuerRef) && has(self.secretName))")
        .message("ingress.tls.issuerRef and ingress.tls.secretName exclude each other: remove one"),
    validation = Rule::new("has(self.issuerRef) || has(self.secretName)")
        .message("ingress.tls needs issuerRef (cert-manager makes the certificate) or secretName (a kubernetes.io/tls Secret of yours)"),
)]
pub struct Tls {
    /// The cert-manager issuer that signs the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
    /// A kubernetes.io/tls Secret in the namespace of the FraudModel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("ingress.tls.secretName must be the name of a Secret"))]
    pub secret_name: Option<String>,
}

/// A cert-manager Issuer or ClusterIssuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `Issuer` (of the same namespace) or `ClusterIssuer`.
    #[serde(default)]
    pub kind: IssuerKind,
}

/// The two kinds of issuers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerKind {
    /// An issuer of one namespace.
    #[default]
    Issuer,
    /// An issuer of the whole cluster.
    ClusterIssuer,
}

impl IssuerKind {
    /// The word of cert-manager's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "Issuer",
            Self::ClusterIssuer => "ClusterIssuer",
        }
    }
}
