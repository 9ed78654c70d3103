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
                        ..version(model, &routed.hash)
                    })
                    .collect(),
            },
        },
    }
}

/// Two rules for the same requests. Traefik drops a rule whose list names a Service that it has not heard of yet; then the
/// second one, of the next lower priority, answers with a version that it knows.
pub(super) fn build_route(model: &ValidModel, ingress: &Ingress, fallback: &str) -> IngressRoute {
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

fn version(model: &ValidModel, hash: &str) -> ServiceRef {
    ServiceRef {
        kind: "Service".into(),
        name: meta::version_name(&model.name, hash),
        port: Some(IntOrString::String(meta::SCORER_PORT.into())),
        weight: None,
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
