//! What a visit read, and what follows from it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use fraudops_crds::{
    cert_manager::{CertificateStatus, IssuerStatus},
    fraud_model::ModelVersion,
};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use super::pods::{PodReading, PodReport};
use crate::{
    build::{
        DIGEST, Kind, MODEL_LABEL, MTLS, URI, VERSION, VERSION_HASH, client_certificate_name, issuer_name,
        server_certificate_name, version_name,
    },
    rollout::{Arm, Sample, Sight},
};

/// Everything that a visit read.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Children of ours, by kind and name.
    pub children: BTreeMap<(Kind, String), DynamicObject>,
    /// Objects that carry our label and belong to somebody else.
    pub foreign: BTreeSet<(Kind, String)>,
    /// Kinds that the API server does not know.
    pub missing: BTreeSet<Kind>,
    /// Serving endpoints, by Service.
    pub endpoints: BTreeMap<String, usize>,
    /// Pods of ours.
    pub pods: Vec<PodReport>,
    /// What the pods of a rollout's two versions have counted.
    pub readings: Vec<PodReading>,
    /// `namespace/name` of an older FraudModel with the same host and an overlapping path.
    pub rival: Option<String>,
}

/// How far a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// Its Secret is there and valid for the current spec.
    Ready,
    /// Not there yet, with what cert-manager says.
    NotReady(String),
}

impl Observed {
    /// The child of that kind and name.
    pub fn child(&self, kind: Kind, name: &str) -> Option<&DynamicObject> {
        self.children.get(&(kind, name.to_owned()))
    }

    /// Hashes of the versions that have objects.
    pub fn existing_versions(&self) -> BTreeSet<String> {
        self.children
            .values()
            .filter_map(|child| child.labels().get(VERSION_HASH).cloned())
            .collect()
    }

    /// Hashes of the versions that the route names.
    pub fn routed_versions(&self, model: &str) -> BTreeSet<String> {
        self.routed_in_order(model).into_iter().collect()
    }

    /// The same in the order of the route's list.
    pub fn routed_in_order(&self, model: &str) -> Vec<String> {
        let prefix = format!("{model}-");
        let service = self.child(Kind::TraefikService, model);
        let entries = service
            .and_then(|s| s.data.pointer("/spec/weighted/services"))
            .and_then(Value::as_array);
        let names = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["name"].as_str());
        names
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(Into::into)
            .collect()
    }

    /// Hash of the version that the route falls back to.
    pub fn fallback_version(&self, model: &str) -> Option<String> {
        let route = self.child(Kind::IngressRoute, model)?;
        let rules = route.data.pointer("/spec/routes")?.as_array()?;
        let mut services = rules
            .iter()
            .filter_map(|rule| rule["services"].as_array())
            .flatten();
        let fallback = services.find(|service| service["kind"] == "Service")?["name"].as_str()?;
        Some(fallback.strip_prefix(&format!("{model}-"))?.to_owned())
    }

    /// Requests that the ready pods of each version have taken; without the versions of which a pod did not say.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        let mut sums: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.ready) {
            let sum = sums.entry(pod.hash.clone()).or_insert(Some(0));
            *sum = sum.zip(pod.requests).map(|(sum, more)| sum.saturating_add(more));
        }
        sums.into_iter()
            .filter_map(|(hash, sum)| Some((hash, sum?)))
            .collect()
    }

    /// What the objects themselves say of the version with this hash: for a `status` that was lost.
    pub fn described_version(&self, model: &str, hash: &str) -> Option<ModelVersion> {
        let deployment = self.child(Kind::Deployment, &version_name(model, hash))?;
        let note = |key: &str| deployment.annotations().get(key).cloned();
        Some(ModelVersion {
            version: note(VERSION)?,
            digest: note(DIGEST)?,
            uri: note(URI)?,
            hash: hash.to_owned(),
            mtls: self.speaks_mtls(model, hash),
        })
    }

    /// Whether the pods of the version speak TLS, as its Deployment says.
    pub fn speaks_mtls(&self, model: &str, hash: &str) -> bool {
        let deployment = self.child(Kind::Deployment, &version_name(model, hash));
        deployment.is_some_and(|deployment| deployment.annotations().contains_key(MTLS))
    }

    /// Whether every pod that is there asks for a token or a client certificate.
    pub fn all_pods_ask(&self) -> bool {
        self.pods.iter().all(|pod| pod.asks_who_calls)
    }

    /// What keeps Traefik from speaking TLS with the pods of the model: its own certificate, theirs, or the object that
    /// names both.
    pub fn transport_lacks(&self, model: &str) -> Option<String> {
        let pending = self.pending_certificate(model, true);
        let lacking = pending.map(|(name, why)| format!("Certificate {name} is not issued: {why}"));
        lacking.or_else(|| {
            let there = self.child(Kind::ServersTransport, model).is_some();
            (!there).then(|| format!("ServersTransport {model} was just made"))
        })
    }

    /// The first certificate between Traefik and the pods that is not issued, and why; `traefik`: Traefik has one too.
    pub fn pending_certificate(&self, model: &str, traefik: bool) -> Option<(String, String)> {
        let client = traefik.then(|| client_certificate_name(model));
        let names = [Some(server_certificate_name(model)), client];
        names.into_iter().flatten().find_map(|name| {
            let CertificateState::NotReady(why) = self.certificate(&name) else {
                return None;
            };
            Some((name, self.issuer_lacks(model).unwrap_or(why)))
        })
    }

    /// What cert-manager says of an Issuer of ours that cannot sign.
    fn issuer_lacks(&self, model: &str) -> Option<String> {
        let name = issuer_name(model);
        let status = self.child(Kind::Issuer, &name)?.data.get("status")?;
        let status: IssuerStatus = serde_json::from_value(status.clone()).ok()?;
        let trouble = status
            .conditions
            .into_iter()
            .find(|c| c.type_ == "Ready" && c.status != "True")?;
        Some(format!("Issuer {name}: {}", trouble.message))
    }

    /// Whether all pods of the version are there, as the Deployment now describes them, and behind its Service.
    pub fn is_ready(&self, model: &str, hash: &str) -> bool {
        let name = version_name(model, hash);
        let Some(deployment) = self.child(Kind::Deployment, &name) else {
            return false;
        };
        let count = |path: &str| deployment.data.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let wanted = count("/spec/replicas").max(1);
        let current = deployment
            .metadata
            .generation
            .is_some_and(|g| g <= count("/status/observedGeneration"));
        current
            && count("/status/updatedReplicas") >= wanted
            && count("/status/availableReplicas") >= wanted
            && self.serving(&name) > 0
    }

    /// Whether pods of the version are being replaced, because the Deployment describes them otherwise than before.
    pub fn is_updating(&self, model: &str, hash: &str) -> bool {
        let deployment = self.child(Kind::Deployment, &version_name(model, hash));
        let count = |path: &str| deployment?.data.pointer(path)?.as_i64();
        count("/status/updatedReplicas").unwrap_or(0) < count("/status/replicas").unwrap_or(0)
    }

    /// Serving endpoints of a Service.
    pub fn serving(&self, service: &str) -> usize {
        self.endpoints.get(service).copied().unwrap_or(0)
    }

    /// Available and wanted pods of the version.
    pub fn pods_of(&self, model: &str, hash: &str) -> (i64, i64) {
        let deployment = self.child(Kind::Deployment, &version_name(model, hash));
        let count = |path: &str| {
            deployment
                .and_then(|d| d.data.pointer(path))
                .and_then(Value::as_i64)
                .unwrap_or(0)
        };
        (count("/status/readyReplicas"), count("/spec/replicas"))
    }

    /// How far the Certificate of that name is.
    pub fn certificate(&self, name: &str) -> CertificateState {
        let Some(certificate) = self.child(Kind::Certificate, name) else {
            return CertificateState::NotReady("the Certificate was just made".into());
        };
        let status: CertificateStatus = certificate
            .data
            .get("status")
            .and_then(|s| serde_json::from_value(s.clone()).ok())
            .unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        match ready {
            Some(c) if c.status == "True" && c.observed_generation >= certificate.metadata.generation => {
                CertificateState::Ready
            }
            Some(c) => CertificateState::NotReady(c.message.clone()),
            None => CertificateState::NotReady("cert-manager has not looked at it yet".into()),
        }
    }

    /// What is seen of `candidate` for its steps, beside `stable`. Whether the route is in place is not told here.
    pub fn sight(&self, model: &str, candidate: &str, stable: Option<&str>) -> Sight {
        let arm = |reading: &PodReading| match reading.version.as_str() {
            version if version == candidate => Some(Arm::Candidate),
            version if Some(version) == stable => Some(Arm::Stable),
            _ => None,
        };
        let ours = self
            .readings
            .iter()
            .filter_map(|reading| Some((arm(reading)?, reading)));
        let samples = ours.clone().filter_map(|(arm, reading)| {
            let said = reading.said.as_ref().ok()?;
            Some(Sample {
                arm,
                pod: reading.pod.clone(),
                started: said.started,
                counts: said.counts,
            })
        });
        // A pod that is not ready has no traffic to tell of.
        let needed: Vec<_> = ours.clone().filter(|(_, reading)| reading.ready).collect();
        let silent: Vec<_> = needed
            .iter()
            .filter_map(|(_, reading)| Some((&reading.name, reading.said.as_ref().err()?)))
            .collect();
        let unread = silent.first().map(|(name, why)| {
            format!(
                "{} of {} pods could not be read ({name}: {why})",
                silent.len(),
                needed.len()
            )
        });
        Sight {
            ready: self.is_ready(model, candidate),
            serving: self.serving(&version_name(model, candidate)) > 0,
            routable: false,
            samples: samples.collect(),
            unread,
        }
    }

    /// The first problem among the pods of a version, as reason and message.
    pub fn problem(&self, hash: &str) -> Option<(&str, &str)> {
        let pods = self.pods.iter().filter(|pod| pod.hash == hash);
        pods.filter_map(|pod| pod.problem.as_ref())
            .map(|p| (p.reason.as_str(), p.message.as_str()))
            .next()
    }
}

/// The label selector of everything that belongs to the model.
pub fn children_of(model: &str) -> String {
    format!("{MODEL_LABEL}={model}")
}
