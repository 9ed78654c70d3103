//! The route: an IngressRoute that names one TraefikService, whose list names the versions by weight.

use fraudops_crds::{
    fraud_model::{Ingress, ModelVersion},
    traefik::{
        IngressRoute, IngressRouteSpec, Route, RouteTls, ServiceRef, TraefikService, TraefikServiceSpec,
        Weighted,
    },
};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build_service(model: &ValidModel, versions: &[(&ModelVersion, u8)]) -> TraefikService {
    // A version without weight is left out: an entry without endpoints would take the whole list down.
    let routed = versions.iter().filter(|(_, weight)| *weight > 0);
    TraefikService {
        metadata: meta::shared(model, model.name.clone()),
        spec: TraefikServiceSpec {
            weighted: Weighted {
                services: routed
                    .map(|(routed, weight)| ServiceRef {
                        weight: Some(u32::from(*weight)),
                        ..version(model, Backend::of(routed))
                    })
                    .collect(),
            },
        },
    }
}

/// Pods of one version, as a route names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend<'a> {
    /// Hash of the version.
    pub hash: &'a str,
    /// Whether its pods speak TLS.
    pub mtls: bool,
}

impl<'a> Backend<'a> {
    /// The pods of `version`.
    pub fn of(version: &'a ModelVersion) -> Self {
        Self {
            hash: &version.hash,
            mtls: version.mtls,
        }
    }
}

/// Two rules for the same requests. Traefik drops a rule whose list names a Service that it has not heard of yet; then the
/// second one, of the next lower priority, answers with a version that it knows.
pub(super) fn build_route(model: &ValidModel, ingress: &Ingress, fallback: Backend<'_>) -> IngressRoute {
    let mut metadata = meta::shared(model, model.name.clone());
    if !ingress.annotations.is_empty() {
        metadata.annotations = Some(ingress.annotations.clone());
    }
    let rule = rule(ingress);
    // What Traefik itself would give the rule: the longer one wins among the routes of a host.
    let priority = i64::try_from(rule.len()).unwrap_or(i64::MAX);
    IngressRoute {
        metadata,
        spec: IngressRouteSpec {
            entry_points: entry_points(ingress),
            routes: vec![
                Route {
                    kind: "Rule".into(),
                    priority: Some(priority),
                    r#match: rule.clone(),
                    services: vec![ServiceRef {
                        kind: "TraefikService".into(),
                        name: model.name.clone(),
                        port: None,
                        weight: None,
                        scheme: None,
                        servers_transport: None,
                    }],
                },
                Route {
                    kind: "Rule".into(),
                    priority: Some(priority - 1),
                    r#match: rule,
                    services: vec![version(model, fallback)],
                },
            ],
            tls: ingress.tls.as_ref().map(|tls| RouteTls {
                secret_name: tls
                    .secret_name
                    .clone()
                    .unwrap_or_else(|| meta::secret_name(&model.name)),
            }),
        },
    }
}

/// While TLS is switched on or off the two versions differ in it: each is spoken to in its own way.
fn version(model: &ValidModel, Backend { hash, mtls }: Backend<'_>) -> ServiceRef {
    let port = if mtls {
        meta::SCORER_TLS_PORT
    } else {
        meta::SCORER_PORT
    };
    ServiceRef {
        kind: "Service".into(),
        name: meta::version_name(&model.name, hash),
        port: Some(IntOrString::String(port.into())),
        weight: None,
        scheme: mtls.then(|| "https".into()),
        servers_transport: mtls.then(|| model.name.clone()),
    }
}

fn entry_points(ingress: &Ingress) -> Vec<String> {
    if !ingress.entry_points.is_empty() {
        return ingress.entry_points.clone();
    }
    vec![if ingress.tls.is_some() { "websecure" } else { "web" }.into()]
}

fn rule(ingress: &Ingress) -> String {
    let host = format!("Host(`{}`)", ingress.host);
    match ingress.path.as_str() {
        "/" => host,
        path => format!("{host} && PathPrefix(`{path}`)"),
    }
}
