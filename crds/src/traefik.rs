//! Traefik's `IngressRoute`, `TraefikService` and `ServersTransport` (`traefik.io/v1alpha1`): the fields that we set.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// A route of Traefik.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "traefik.io",
    version = "v1alpha1",
    kind = "IngressRoute",
    plural = "ingressroutes",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct IngressRouteSpec {
    /// Names of Traefik's listeners.
    pub entry_points: Vec<String>,
    /// The rules.
    pub routes: Vec<Route>,
    /// The certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouteTls>,
}

/// One rule of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Always `Rule`.
    pub kind: String,
    /// The rule in Traefik's language.
    pub r#match: String,
    /// The higher one is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Where matching requests go.
    pub services: Vec<ServiceRef>,
}

/// Where requests go: a `Service` or a `TraefikService` of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// `Service` or `TraefikService`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The port's name or number; none for a `TraefikService`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// Share of the requests, among the weights of one list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// `https`; plain HTTP without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The `ServersTransport` with the certificates for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<String>,
}

/// The certificate of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTls {
    /// A kubernetes.io/tls Secret of the same namespace.
    pub secret_name: String,
}

/// A weighted list of Services.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "traefik.io",
    version = "v1alpha1",
    kind = "TraefikService",
    plural = "traefikservices",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct TraefikServiceSpec {
    /// The list.
    pub weighted: Weighted,
}

/// The list of a `TraefikService`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weighted {
    /// The Services; one of weight 0 is left out.
    pub services: Vec<ServiceRef>,
}

/// How Traefik speaks TLS with pods.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "traefik.io",
    version = "v1alpha1",
    kind = "ServersTransport",
    plural = "serverstransports",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ServersTransportSpec {
    /// The name that the certificate of the pods must carry.
    pub server_name: String,
    /// Who must have signed it.
    #[serde(rename = "rootCAs")]
    pub root_cas: Vec<RootCa>,
    /// Secrets with the certificates that Traefik shows.
    pub certificates_secrets: Vec<String>,
    /// Whether each request has a connection for itself while it lasts.
    #[serde(rename = "disableHTTP2")]
    pub disable_http2: bool,
}

/// An authority that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootCa {
    /// A Secret with `ca.crt`.
    pub secret: String,
}
