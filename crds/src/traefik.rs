//! Traefik's `IngressRoute` and `TraefikService` (`traefik.io/v1alpha1`): the fields that we set.

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
