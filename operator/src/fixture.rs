//! A FraudModel for tests, as an API server would hand it out.

use fraudops_crds::FraudModel;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::{
    build::{self, Around, Backend, Child, Kind, Served, version_name},
    neighbours::Neighbours,
    reconcile::{
        observed::Observed,
        plan::Plan,
        validate::{Defaults, ValidModel, validate},
    },
};

/// A FraudModel in YAML; `uid` and all.
const MODEL: &str = "
apiVersion: fraudops.dev/v1alpha1
kind: FraudModel
metadata: { name: card-fraud, namespace: payments, uid: 0b7d2c56-7a1e-4d8e-9a52-6b8f4c8f9a11, generation: 1 }
spec:
  model:
    version: 2026.11.1
    uri: oci://registry.example/fraud/card:2026.11.1
    sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  ingress:
    host: card-fraud.example.test
    tls: { issuerRef: { name: fraudops-ca, kind: ClusterIssuer } }
";

pub fn model() -> FraudModel {
    serde_yaml::from_str(MODEL).unwrap()
}

pub fn defaults() -> Defaults {
    Defaults {
        scorer_image: "registry.example/scorer:1".into(),
        insecure_registries: vec![],
        neighbours: Neighbours::default(),
    }
}

pub fn valid() -> ValidModel {
    validate(&model(), &defaults()).unwrap()
}

/// A model together with what a visit would read of it.
pub struct Scene {
    pub model: FraudModel,
    pub observed: Observed,
}

impl Scene {
    /// Everything is there: two ready pods, an issued certificate, a route.
    pub fn serving() -> Self {
        let valid = valid();
        let served = Served {
            version: &valid.wanted,
            initial_replicas: None,
        };
        let mut children = build::workloads(&valid, &[served], Around::default());
        children.push(build::stable_service(&valid, &valid.wanted));
        children.extend(build::certificate(&valid));
        children.extend(build::route(
            &valid,
            &[(&valid.wanted, 100)],
            Backend::of(&valid.wanted),
        ));
        let mut scene = Self {
            model: model(),
            observed: Observed::default(),
        };
        scene.observed.missing.insert(Kind::PodMonitor);
        scene
            .observed
            .endpoints
            .insert(version_name(&valid.name, &valid.wanted.hash), 2);
        for child in children {
            scene.add(child);
        }
        scene.certificate("True", "up to date");
        scene
    }

    /// The spec asks for another version, in steps, and its pods are ready.
    pub fn change_in_steps(&mut self, version: &str) -> ValidModel {
        self.model.spec.model.version = version.into();
        let steps = json!({ "steps": [{ "weight": 10, "minDuration": "10s" }, { "weight": 50, "minDuration": "10s" }] });
        self.model.spec.rollout = serde_json::from_value(steps).ok();
        let valid = validate(&self.model, &defaults()).unwrap();
        let served = Served {
            version: &valid.wanted,
            initial_replicas: None,
        };
        for child in build::workloads(&valid, &[served], Around::default()) {
            self.add(child);
        }
        let service = version_name(&valid.name, &valid.wanted.hash);
        self.observed.endpoints.insert(service, 2);
        valid
    }

    /// Brings what is there to what a visit asked for: its pods are ready, other objects of ours are gone unless it keeps them.
    pub fn carry_out(&mut self, valid: &ValidModel, plan: &Plan) {
        let wanted = |kind, name: &String| {
            plan.desired
                .iter()
                .any(|child| child.kind == kind && child.name == *name)
        };
        self.observed
            .children
            .retain(|(kind, name), child| wanted(*kind, name) || plan.keeps(valid, *kind, child));
        for child in &plan.desired {
            let status = self.observed.child(child.kind, &child.name);
            let status = status.and_then(|live| live.data.get("status").cloned());
            self.add(child.clone());
            let key = (child.kind, child.name.clone());
            if let (Some(status), Some(live)) = (status, self.observed.children.get_mut(&key)) {
                live.data["status"] = status;
            }
        }
        let hashes = self.observed.existing_versions().into_iter();
        self.observed.endpoints = hashes.map(|hash| (version_name(&valid.name, &hash), 2)).collect();
    }

    pub fn add(&mut self, Child { kind, name, mut body }: Child) {
        body["metadata"]["generation"] = 1.into();
        if kind == Kind::Deployment {
            body["status"] = json!({ "observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2 });
        }
        self.observed.children.insert((kind, name), object(body));
    }

    /// Sets numbers in the status of the Deployment of the version that serves.
    pub fn deployment(&mut self, numbers: &Value) {
        let name = version_name("card-fraud", &valid().wanted.hash);
        let deployment = self.observed.children.get_mut(&(Kind::Deployment, name));
        let status = deployment.and_then(|deployment| deployment.data["status"].as_object_mut());
        if let Some((status, numbers)) = status.zip(numbers.as_object()) {
            status.extend(numbers.clone());
        }
    }

    /// Sets the condition Ready of the route's certificate.
    pub fn certificate(&mut self, status: &str, message: &str) {
        self.certified("card-fraud", status, message);
    }

    /// Sets a certificate's condition Ready.
    pub fn certified(&mut self, name: &str, status: &str, message: &str) {
        let key = (Kind::Certificate, name.to_owned());
        if let Some(certificate) = self.observed.children.get_mut(&key) {
            certificate.data["status"] = json!({ "conditions": [
                { "type": "Ready", "status": status, "observedGeneration": 1, "message": message }] });
        }
    }
}

fn object(body: Value) -> DynamicObject {
    serde_json::from_value(body).unwrap()
}
