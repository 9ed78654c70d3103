//! From a [`ValidModel`] to the objects that are to exist. One Kubernetes kind per file; pure.

mod certificate;
mod config_map;
mod deployment;
mod hpa;
mod issuer;
mod kind;
mod meta;
mod monitor;
mod network_policy;
mod pdb;
mod policy;
mod quantity;
mod receipt_keys;
mod servers_transport;
mod service;
mod service_account;
mod serving;
mod source;
mod traefik;

use fraudops_crds::fraud_model::ModelVersion;
use kube::Resource;
use serde::Serialize;
use serde_json::Value;

pub use kind::Kind;
pub use meta::{
    APPLIED_HASH, DIGEST, LISTS, MANAGED_BY, MODEL_LABEL, MTLS, SCORER_PORT, URI, VERSION, VERSION_HASH,
    client_certificate_name, issuer_name, receipt_keys_name, secret_name, selector, server_certificate_name,
    short_hash, version_name,
};
pub use receipt_keys::build as receipt_keys;
pub use serving::{asks_who_calls, mounted_lists};
pub use traefik::Backend;

pub(crate) use policy::policy;

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

/// What of the surroundings shapes the objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Whether the Prometheus operator's kinds are there.
    pub pod_monitors: bool,
    /// Whether every pod that is there asks who calls, those of before included.
    pub guarded: bool,
}

/// What belongs to the model and to each of its `versions`. The names inside are those of `version_name`.
pub fn workloads(model: &ValidModel, versions: &[Served<'_>], around: Around) -> Vec<Child> {
    let mut children = vec![
        child(Kind::ServiceAccount, service_account::build(model)),
        child(Kind::NetworkPolicy, network_policy::build(model, around.guarded)),
    ];
    children.extend(config_map::build(model).map(|lists| child(Kind::ConfigMap, lists)));
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
    if around.pod_monitors {
        children.push(child(Kind::PodMonitor, monitor::build(model)));
    }
    children
}

/// The Service that callers inside the cluster use: it follows the stable version.
pub fn stable_service(model: &ValidModel, stable: &ModelVersion) -> Child {
    child(Kind::Service, service::build_stable(model, stable))
}

/// What Traefik and the pods need to speak TLS with each other, where the spec asks for it.
pub fn mtls(model: &ValidModel) -> Vec<Child> {
    let certificates = [certificate::build_server(model), certificate::build_client(model)];
    let issuer = issuer::build(model).map(|issuer| child(Kind::Issuer, issuer));
    let transport = servers_transport::build(model);
    let certificates = certificates
        .into_iter()
        .flatten()
        .map(|certificate| child(Kind::Certificate, certificate));
    let mut children: Vec<Child> = issuer.into_iter().chain(certificates).collect();
    children.extend(transport.map(|transport| child(Kind::ServersTransport, transport)));
    children
}

/// The Certificate of the route, when cert-manager is to make one.
pub fn certificate(model: &ValidModel) -> Option<Child> {
    certificate::build(model).map(|certificate| child(Kind::Certificate, certificate))
}

/// The route to `versions` by their shares: the TraefikService before the IngressRoute that names it. `fallback`: the pods
/// that answer where Traefik cannot use the TraefikService.
pub fn route(model: &ValidModel, versions: &[(&ModelVersion, u8)], fallback: Backend<'_>) -> Vec<Child> {
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
        None if model.access.mtls.is_some() => format!("https://{}", meta::server_name(model)),
        None => format!("http://{}", meta::server_name(model)),
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
        let around = Around {
            pod_monitors: true,
            guarded: true,
        };
        let mut children = workloads(model, &[served], around);
        children.push(stable_service(model, &model.wanted));
        children.extend(mtls(model));
        children.extend(certificate(model));
        children.extend(route(model, &[(&model.wanted, 100)], Backend::of(&model.wanted)));
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
        model.spec.receipts =
            serde_json::from_value(serde_json::json!({ "keySecretRef": { "name": "own-keys" } })).unwrap();
        model.spec.idempotency = serde_json::from_value(serde_json::json!({
            "ttl": "1h", "redis": { "secretRef": { "name": "redis" }, "port": 6380 } }))
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
    fn the_deployment_of_a_model_with_rules_and_lists() {
        let mut model = fixture::model();
        model.spec.rules = serde_json::from_value(serde_json::json!([
            { "name": "blocked-customer", "when": "CUSTOMER_ID in lists.blockedCustomers", "action": "block",
              "reason": "costs $(AMOUNT)" },
            { "name": "vip", "when": "CUSTOMER_ID in lists.vip && score < 0.9", "action": "allow", "mode": "shadow" },
        ]))
        .unwrap();
        model.spec.lists = serde_json::from_value(serde_json::json!({
            "blockedCustomers": { "configMapRef": { "name": "blocked-customers" } },
            "vip": { "values": [7, 9007199254740993_i64] },
        }))
        .unwrap();
        let valid = crate::reconcile::validate::validate(&model, &fixture::defaults()).unwrap();
        let deployment = objects(&valid)
            .into_iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        insta::assert_yaml_snapshot!(
            serde_json::json!({ "containers": pod["containers"], "volumes": pod["volumes"] })
        );
        assert!(
            pod["initContainers"][0].get("env").is_none(),
            "only the scorer has the policy"
        );
    }

    #[test]
    fn the_objects_of_a_model_with_access_and_a_decision_log() {
        let mut model = fixture::model();
        model.spec.access = serde_json::from_value(serde_json::json!({
            "tokensSecretRef": { "name": "callers" },
            "mtls": { "caSecretRef": { "name": "scorer-ca" }, "allowedSANs": ["checkout.shop.svc", "spiffe://example.com/ns/a"] },
            "rateLimit": { "requestsPerSecond": 0.5, "burst": 100 },
        }))
        .unwrap();
        model.spec.decision_log = serde_json::from_value(serde_json::json!({
            "approvals": 0.25, "pseudonymKeySecretRef": { "name": "decision-log" } }))
        .unwrap();
        let valid = crate::reconcile::validate::validate(&model, &fixture::defaults()).unwrap();
        assert_ne!(valid.wanted.hash, fixture::valid().wanted.hash);
        let mut found = objects(&valid);
        let unchanged = ["ServiceAccount", "PodDisruptionBudget", "PodMonitor"];
        found.retain(|object| !unchanged.contains(&object["kind"].as_str().unwrap()));
        insta::assert_yaml_snapshot!(found);
    }

    #[test]
    fn access_without_a_route_needs_nothing_of_traefik() {
        let mut model = fixture::model();
        let mtls = serde_json::json!({ "mtls": { "caSecretRef": { "name": "ca" }, "allowedSANs": ["checkout.shop.svc"] } });
        model.spec.access = serde_json::from_value(mtls).unwrap();
        model.spec.ingress = None;
        let valid = crate::reconcile::validate::validate(&model, &fixture::defaults()).unwrap();
        let made: Vec<_> = mtls_names(&valid);
        assert_eq!(made, ["Issuer card-fraud-mtls", "Certificate card-fraud-scorer"]);
        assert_eq!(url(&valid), "https://card-fraud.payments.svc");
        let text = serde_json::to_string(&objects(&valid)).unwrap();
        assert!(!text.contains("FRAUDOPS_TRUST_FORWARDED"));
    }

    fn mtls_names(model: &ValidModel) -> Vec<String> {
        let made = super::mtls(model).into_iter();
        made.map(|child| format!("{:?} {}", child.kind, child.name))
            .collect()
    }

    #[test]
    fn a_policy_without_rules_and_values_is_not_handed_over() {
        let mut model = fixture::model();
        let list = serde_json::json!({ "vip": { "configMapRef": { "name": "vip" } } });
        model.spec.lists = serde_json::from_value(list).unwrap();
        let valid = crate::reconcile::validate::validate(&model, &fixture::defaults()).unwrap();
        assert_eq!(policy(&valid), None);
        let text = serde_json::to_string(&objects(&valid)).unwrap();
        assert!(!text.contains("FRAUDOPS_POLICY"));
        assert!(text.contains("/etc/fraudops/lists/vip"));
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
