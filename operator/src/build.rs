//! From a [`ValidModel`] to the objects that are to exist. One Kubernetes kind per file; pure.

mod certificate;
mod deployment;
mod hpa;
mod kind;
mod meta;
mod monitor;
mod network_policy;
mod pdb;
mod quantity;
mod service;
mod service_account;
mod traefik;

use fraudops_crds::fraud_model::ModelVersion;
use kube::Resource;
use serde::Serialize;
use serde_json::Value;

pub use kind::Kind;
pub use meta::{
    APPLIED_HASH, DIGEST, MANAGED_BY, MODEL_LABEL, SCORER_PORT, URI, VERSION, VERSION_HASH, secret_name,
    selector, version_name,
};

use crate::reconcile::validate::ValidModel;

/// One object that is to exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What we send, annotated with a hash of itself.
    pub body: Value,
}

/// What of a version is there, so that a builder knows what to leave alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Served<'a> {
    /// The version.
    pub version: &'a ModelVersion,
    /// Pods to begin with, for a Deployment that is not there yet and whose number an autoscaler will own.
    pub initial_replicas: Option<i32>,
}

/// What belongs to the model and to each of its `versions`. The names inside are those of `version_name`.
pub fn workloads(model: &ValidModel, versions: &[Served<'_>], pod_monitors: bool) -> Vec<Child> {
    let mut children = vec![
        child(Kind::ServiceAccount, service_account::build(model)),
        child(Kind::NetworkPolicy, network_policy::build(model)),
    ];
    for served in versions {
        children.push(child(Kind::Deployment, deployment::build(model, served)));
        children.push(child(
            Kind::Service,
            service::build_version(model, served.version),
        ));
        children.push(child(
            Kind::PodDisruptionBudget,
            pdb::build(model, served.version),
        ));
        children
            .extend(hpa::build(model, served.version).map(|hpa| child(Kind::HorizontalPodAutoscaler, hpa)));
    }
    if pod_monitors {
        children.push(child(Kind::PodMonitor, monitor::build(model)));
    }
    children
}

/// The Service that callers inside the cluster use: it follows the stable version.
pub fn stable_service(model: &ValidModel, stable: &ModelVersion) -> Child {
    child(Kind::Service, service::build_stable(model, stable))
}

/// The Certificate, when cert-manager is to make one.
pub fn certificate(model: &ValidModel) -> Option<Child> {
    certificate::build(model).map(|certificate| child(Kind::Certificate, certificate))
}

/// The route to `versions` by their shares: the TraefikService before the IngressRoute that names it. `fallback`: hash of the
/// version that answers where Traefik cannot use the TraefikService.
pub fn route(model: &ValidModel, versions: &[(&ModelVersion, u8)], fallback: &str) -> Vec<Child> {
    let Some(ingress) = &model.ingress else {
        return vec![];
    };
    vec![
        child(Kind::TraefikService, traefik::build_service(model, versions)),
        child(Kind::IngressRoute, traefik::build_route(model, ingress, fallback)),
    ]
}

/// Where the model answers.
pub fn url(model: &ValidModel) -> String {
    match &model.ingress {
        Some(ingress) => {
            let scheme = if ingress.tls.is_some() { "https" } else { "http" };
            format!(
                "{scheme}://{}{}",
                ingress.host,
                ingress.path.trim_end_matches('/')
            )
        }
        None => format!("http://{}.{}.svc", model.name, model.namespace),
    }
}

fn child<K: Resource<DynamicType = ()> + Serialize>(kind: Kind, object: K) -> Child {
    let name = object.meta().name.clone().unwrap_or_default();
    let mut body = serde_json::to_value(&object).expect("Kubernetes objects have string keys only");
    body["apiVersion"] = K::api_version(&()).into();
    body["kind"] = K::kind(&()).into();
    if let Some(status) = body.as_object_mut() {
        status.remove("status");
    }
    meta::annotate_with_hash(&mut body);
    Child { kind, name, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn objects(model: &ValidModel) -> Vec<Value> {
        let served = Served {
            version: &model.wanted,
            initial_replicas: None,
        };
        let mut children = workloads(model, &[served], true);
        children.push(stable_service(model, &model.wanted));
        children.extend(certificate(model));
        children.extend(route(model, &[(&model.wanted, 100)], &model.wanted.hash));
        children.into_iter().map(|child| child.body).collect()
    }

    #[test]
    fn the_objects_of_a_model_with_a_route() {
        insta::assert_yaml_snapshot!(objects(&fixture::valid()));
    }

    #[test]
    fn the_objects_of_a_model_with_every_scorer_field() {
        let mut model = fixture::model();
        model.spec.scorer = serde_json::from_value(serde_json::json!({
            "autoscaling": { "min": 2, "max": 6, "targetCPU": 60 },
            "resources": { "requests": { "cpu": "1500m", "memory": "64Mi" }, "limits": { "memory": "128Mi", "cpu": 2 } },
            "image": "registry.example/own-scorer:2", "imagePullPolicy": "Always",
            "imagePullSecrets": [{ "name": "registry" }],
            "nodeSelector": { "pool": "fraud" },
            "tolerations": [{ "key": "fraud", "operator": "Exists" }],
            "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "a": "b" } } }],
            "podLabels": { "team": "risk" }, "podAnnotations": { "note": "x" },
            "env": [{ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel.observability:4317" }],
        }))
        .unwrap();
        model.spec.ingress = None;
        let defaults = crate::reconcile::validate::Defaults {
            insecure_registries: vec!["198.18.0.1:5000".into()],
            ..fixture::defaults()
        };
        let valid = crate::reconcile::validate::validate(&model, &defaults).unwrap();
        insta::assert_yaml_snapshot!(objects(&valid));
    }

    #[test]
    fn every_object_has_an_owner_the_labels_and_a_name_that_fits() {
        let mut model = fixture::model();
        model.metadata.name = Some("a".repeat(40));
        model.spec.model.version = "v".repeat(63);
        let valid = crate::reconcile::validate::validate(&model, &fixture::defaults()).unwrap();
        for object in objects(&valid) {
            let meta = &object["metadata"];
            assert!(meta["name"].as_str().unwrap().len() <= 63);
            assert_eq!(
                meta["ownerReferences"][0]["uid"],
                "0b7d2c56-7a1e-4d8e-9a52-6b8f4c8f9a11"
            );
            assert_eq!(meta["labels"][MANAGED_BY], "fraudops-operator");
            for label in meta["labels"].as_object().unwrap().values() {
                assert!(label.as_str().unwrap().len() <= 63);
            }
        }
    }
}
