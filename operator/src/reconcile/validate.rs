//! From the raw spec to a [`ValidModel`], the only input of the builders. Pure.
//!
//! The API server has already refused what the admission rules name; these checks guard what would be dangerous if a
//! rule were missing there: names, and text that goes into a rule of Traefik's.

mod access;
mod rollout;

use std::collections::{BTreeMap, BTreeSet};

use fraudops_crds::fraud_model::{
    Access, Cache, Decision, DecisionLog, FraudModel, Idempotency, Ingress, List, MAX_NAME, Model,
    ModelVersion, PublicKeyRef, Receipts, Rule, Scorer,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use thiserror::Error;

use crate::{neighbours::Neighbours, rollout::Strategy};

/// Most bytes of the policy: Linux takes 128 KiB for one variable of the environment.
const MAX_POLICY: usize = 120_000;

/// Settings of the operator that shape the objects it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Image of the scorer where `spec.scorer.image` names none.
    pub scorer_image: String,
    /// Registries (`host:port`) that models are fetched from over plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Whose pods may reach those of the models.
    pub neighbours: Neighbours,
}

/// A FraudModel that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidModel {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// What children name as their owner.
    pub owner: OwnerReference,
    /// The version that the spec asks for.
    pub wanted: ModelVersion,
    /// Secret with credentials for the model's store.
    pub credentials: Option<String>,
    /// Whether the cloud's metadata service is asked for credentials.
    pub instance_metadata: bool,
    /// Public key that must have signed the artifact.
    pub verify: Option<PublicKeyRef>,
    /// Thresholds.
    pub decision: Decision,
    /// Keys of receipts.
    pub receipts: Receipts,
    /// Answers to transactions that are sent again.
    pub idempotency: Idempotency,
    /// Decisions beside the model.
    pub rules: Vec<Rule>,
    /// What conditions look into: each has values, or a ConfigMap.
    pub lists: BTreeMap<String, List>,
    /// Pods.
    pub scorer: Scorer,
    /// Image of the scorer.
    pub image: String,
    /// Route.
    pub ingress: Option<Ingress>,
    /// Steps for a new version; none: all at once.
    pub rollout: Option<Strategy>,
    /// Who may call, and how often.
    pub access: Access,
    /// The log of decisions, where it is written.
    pub decision_log: Option<DecisionLog>,
    /// Registries without TLS.
    pub insecure_registries: Vec<String>,
    /// Whose pods may reach those of the model.
    pub neighbours: Neighbours,
}

impl ValidModel {
    /// Whether the spec lets nobody call without a token or a client certificate.
    pub fn asks_who_calls(&self) -> bool {
        self.access.tokens_secret_ref.is_some() || self.access.mtls.is_some()
    }
}

/// What is wrong with a spec; the message names the field and the way out.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct Invalid {
    field: &'static str,
    problem: String,
}

fn invalid(field: &'static str, problem: impl Into<String>) -> Invalid {
    Invalid {
        field,
        problem: problem.into(),
    }
}

/// Checks `model` and gathers what the builders need.
///
/// # Errors
/// [`Invalid`] with the field and the way out.
pub fn validate(model: &FraudModel, defaults: &Defaults) -> Result<ValidModel, Invalid> {
    let name = model.name_any();
    if name.len() > MAX_NAME || !is_label(&name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(invalid(
            "metadata.name",
            format!(
                "must begin with a letter, hold only a-z, 0-9 and '-', and be at most {MAX_NAME} characters long"
            ),
        ));
    }
    let mut owner = model.controller_owner_ref(&()).ok_or_else(|| {
        invalid(
            "metadata.uid",
            "is missing: the object was not read from an API server",
        )
    })?;
    owner.block_owner_deletion = Some(true);
    let spec = &model.spec;
    validate_source(&spec.model)?;
    if let Some(cache) = &spec.scorer.cache {
        validate_cache(cache)?;
    }
    validate_decision(&spec.decision)?;
    validate_rules(&spec.rules)?;
    validate_lists(&spec.lists)?;
    if let Some(ingress) = &spec.ingress {
        validate_ingress(ingress)?;
    }
    let access = spec.access.clone().unwrap_or_default();
    access::validate(&access, spec.ingress.is_some())?;
    let decision_log = spec.decision_log.clone().filter(|log| log.enabled);
    access::validate_log(decision_log.as_ref())?;
    if spec.scorer.replicas.is_some() && spec.scorer.autoscaling.is_some() {
        return Err(invalid(
            "spec.scorer",
            "replicas and autoscaling exclude each other: remove one",
        ));
    }
    let rollout = spec
        .rollout
        .as_ref()
        .map(|rollout| rollout::strategy(rollout, spec.ingress.is_some()));
    let image = spec
        .scorer
        .image
        .clone()
        .unwrap_or_else(|| defaults.scorer_image.clone());
    if image.is_empty() {
        return Err(invalid(
            "spec.scorer.image",
            "is empty, and the operator has no --scorer-image",
        ));
    }
    let valid = ValidModel {
        name,
        namespace: model.namespace().unwrap_or_default(),
        owner,
        wanted: version_of(&spec.model, access.mtls.is_some())?,
        credentials: spec.model.credentials_secret_ref.as_ref().map(|s| s.name.clone()),
        instance_metadata: spec.model.instance_metadata,
        verify: spec
            .model
            .verify
            .as_ref()
            .map(|v| v.public_key_secret_ref.clone()),
        decision: spec.decision.clone(),
        receipts: spec.receipts.clone(),
        idempotency: spec.idempotency.clone(),
        rules: spec.rules.clone(),
        lists: spec.lists.clone(),
        scorer: spec.scorer.clone(),
        image,
        ingress: spec.ingress.clone(),
        rollout: rollout.transpose()?,
        access,
        decision_log,
        insecure_registries: defaults.insecure_registries.clone(),
        neighbours: defaults.neighbours.clone(),
    };
    match crate::build::policy(&valid) {
        Some(policy) if policy.len() > MAX_POLICY => Err(invalid(
            "spec.rules",
            format!(
                "has {} bytes as JSON, more than the {MAX_POLICY} that fit a pod's environment: make conditions shorter, with ids in spec.lists",
                policy.len()
            ),
        )),
        _ => Ok(valid),
    }
}

fn validate_rules(rules: &[Rule]) -> Result<(), Invalid> {
    let mut names = BTreeSet::new();
    match rules
        .iter()
        .find(|rule| !is_label(&rule.name) || !names.insert(&rule.name))
    {
        Some(_) => Err(invalid(
            "spec.rules",
            "every rule needs a name of its own that holds only a-z, 0-9 and '-'",
        )),
        None => Ok(()),
    }
}

/// The name of a list becomes a directory of the pod.
fn validate_lists(lists: &BTreeMap<String, List>) -> Result<(), Invalid> {
    for (name, list) in lists {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(word) {
            return Err(invalid(
                "spec.lists",
                "a name begins with a lower-case letter and has at most 63 letters, digits and '_'",
            ));
        }
        if list.values.is_some() == list.config_map_ref.is_some() {
            return Err(invalid(
                "spec.lists",
                "an entry needs exactly one of values and configMapRef",
            ));
        }
    }
    Ok(())
}

/// A mounted volume's path must not lead out of it.
fn validate_source(model: &Model) -> Result<(), Invalid> {
    let uri = &model.uri;
    let volume = ["pvc://", "configMap://"]
        .iter()
        .find_map(|scheme| uri.strip_prefix(scheme));
    let Some(rest) = volume else { return Ok(()) };
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if rest.split('/').count() < 2 || !rest.split('/').all(plain) {
        return Err(invalid(
            "spec.model.uri",
            "must be pvc://claim/path or configMap://name/key, without empty parts, '.' and '..'",
        ));
    }
    Ok(())
}

fn validate_cache(cache: &Cache) -> Result<(), Invalid> {
    if cache.host_path.is_some() == cache.pvc.is_some() {
        return Err(invalid(
            "spec.scorer.cache",
            "needs exactly one of hostPath and pvc",
        ));
    }
    let outside = |path: &String| !path.starts_with('/') || path.split('/').any(|part| part == "..");
    if cache.host_path.as_ref().is_some_and(outside) {
        return Err(invalid(
            "spec.scorer.cache.hostPath",
            "must be an absolute path without '..'",
        ));
    }
    if cache.max_bytes().is_none() {
        return Err(invalid(
            "spec.scorer.cache.maxSize",
            "must be a whole number of Mi or Gi, as 2Gi",
        ));
    }
    Ok(())
}

fn validate_decision(decision: &Decision) -> Result<(), Invalid> {
    for (field, value) in [
        ("spec.decision.review", decision.review),
        ("spec.decision.block", decision.block),
    ] {
        if !(0.0..=1.0).contains(&value) {
            return Err(invalid(field, "must be between 0 and 1"));
        }
    }
    if decision.block < decision.review {
        return Err(invalid(
            "spec.decision.block",
            "must not be below review: raise block or lower review",
        ));
    }
    Ok(())
}

fn validate_ingress(ingress: &Ingress) -> Result<(), Invalid> {
    if ingress.host.len() > 253 || !ingress.host.split('.').all(is_label) {
        return Err(invalid(
            "spec.ingress.host",
            "must be a DNS name in lower case, without scheme, port or wildcard",
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~/-".contains(c);
    if !ingress.path.starts_with('/') || !ingress.path.chars().all(plain) {
        return Err(invalid(
            "spec.ingress.path",
            "must begin with '/' and hold only letters, digits and . _ ~ / -",
        ));
    }
    match &ingress.tls {
        Some(tls) if tls.issuer_ref.is_some() == tls.secret_name.is_some() => Err(invalid(
            "spec.ingress.tls",
            "needs exactly one of issuerRef and secretName",
        )),
        _ => Ok(()),
    }
}

/// RFC 1123 label: a-z, 0-9 and '-', at most 63, no '-' at the ends.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Names a version: its digest, and the hash that its objects are named by. Pods that speak TLS are another version than
/// those that do not: a proxy can only speak one of both with a Service.
///
/// # Errors
/// When neither `sha256` nor `uri` pins the bytes.
pub fn version_of(model: &Model, mtls: bool) -> Result<ModelVersion, Invalid> {
    let digest = match (&model.sha256, pinned_digest(&model.uri)) {
        (Some(sha256), _) => sha256.clone(),
        (None, Some(digest)) => digest.to_owned(),
        (None, None) => {
            return Err(invalid(
                "spec.model.sha256",
                "is required because model.uri pins no digest: set it to the output of `sha256sum model.onnx`",
            ));
        }
    };
    if digest.len() != 64
        || !digest
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    {
        return Err(invalid("spec.model.sha256", "must be 64 lower-case hex digits"));
    }
    let way = if mtls { "\nmtls" } else { "" };
    Ok(ModelVersion {
        version: model.version.clone(),
        digest: format!("sha256:{digest}"),
        uri: model.uri.clone(),
        hash: crate::build::short_hash(format!("{}\n{digest}{way}", model.version), 4),
        mtls,
    })
}

/// The digest at the end of `uri`, if it pins that of an artifact.
pub fn pinned_digest(uri: &str) -> Option<&str> {
    uri.strip_prefix("oci://")?
        .rsplit_once("@sha256:")
        .map(|(_, digest)| digest)
}

#[cfg(test)]
mod tests;
