//! From the raw spec to a [`ValidModel`], the only input of the builders. Pure.
//!
//! The API server has already refused what the admission rules name; these checks guard what would be dangerous if a
//! rule were missing there: names, and text that goes into a rule of Traefik's.

mod rollout;

use fraudops_crds::fraud_model::{Decision, FraudModel, Ingress, MAX_NAME, Model, ModelVersion, Scorer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::rollout::Strategy;

/// Settings of the operator that shape the objects it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Image of the scorer where `spec.scorer.image` names none.
    pub scorer_image: String,
    /// Registries (`host:port`) that models are fetched from over plain HTTP.
    pub insecure_registries: Vec<String>,
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
    /// Thresholds.
    pub decision: Decision,
    /// Pods.
    pub scorer: Scorer,
    /// Image of the scorer.
    pub image: String,
    /// Route.
    pub ingress: Option<Ingress>,
    /// Steps for a new version; none: all at once.
    pub rollout: Option<Strategy>,
    /// Registries without TLS.
    pub insecure_registries: Vec<String>,
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
    validate_decision(&spec.decision)?;
    if let Some(ingress) = &spec.ingress {
        validate_ingress(ingress)?;
    }
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
    Ok(ValidModel {
        name,
        namespace: model.namespace().unwrap_or_default(),
        owner,
        wanted: version_of(&spec.model)?,
        decision: spec.decision.clone(),
        scorer: spec.scorer.clone(),
        image,
        ingress: spec.ingress.clone(),
        rollout: rollout.transpose()?,
        insecure_registries: defaults.insecure_registries.clone(),
    })
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

/// Names a version: its digest, and the hash of version and digest that its objects are named by.
///
/// # Errors
/// When neither `sha256` nor `uri` pins the bytes.
pub fn version_of(model: &Model) -> Result<ModelVersion, Invalid> {
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
    let hash = Sha256::digest(format!("{}\n{digest}", model.version));
    Ok(ModelVersion {
        version: model.version.clone(),
        digest: format!("sha256:{digest}"),
        uri: model.uri.clone(),
        hash: hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// The digest at the end of `uri`, if it pins one.
pub fn pinned_digest(uri: &str) -> Option<&str> {
    uri.rsplit_once("@sha256:").map(|(_, digest)| digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_fixture_is_valid_and_named_by_version_and_digest() {
        let valid = validate(&fixture::model(), &fixture::defaults()).unwrap();
        assert_eq!(valid.wanted.version, "2026.11.1");
        assert_eq!(valid.wanted.digest, format!("sha256:{}", "a".repeat(64)));
        assert_eq!(valid.wanted.hash.len(), 8);
    }

    #[test]
    fn another_place_of_the_same_bytes_is_the_same_version() {
        let here = Model {
            version: "1".into(),
            uri: "https://here/m.onnx".into(),
            sha256: Some("b".repeat(64)),
        };
        let there = Model {
            uri: "https://there/m.onnx".into(),
            ..here.clone()
        };
        let other = Model {
            version: "2".into(),
            ..here.clone()
        };
        assert_eq!(version_of(&here).unwrap().hash, version_of(&there).unwrap().hash);
        assert_ne!(version_of(&here).unwrap().hash, version_of(&other).unwrap().hash);
    }

    #[test]
    fn a_model_without_a_digest_is_refused_with_the_way_out() {
        let model = Model {
            version: "1".into(),
            uri: "oci://r/fraud:v1".into(),
            sha256: None,
        };
        let message = version_of(&model).unwrap_err().to_string();
        assert!(message.starts_with("spec.model.sha256: is required"), "{message}");
        assert!(message.contains("sha256sum"), "{message}");
    }

    #[test]
    fn text_that_would_change_a_rule_of_traefik_is_refused() {
        for (host, path) in [
            ("a`) || Host(`b", "/"),
            ("A.example", "/"),
            ("a_b", "/"),
            ("a.test", "/`"),
            ("a.test", "x"),
        ] {
            let mut model = fixture::model();
            let ingress = model.spec.ingress.as_mut().unwrap();
            ingress.host = host.into();
            ingress.path = path.into();
            assert!(validate(&model, &fixture::defaults()).is_err(), "{host} {path}");
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for name in ["", "1a", "a.b", "A", "-a", "a-", &"a".repeat(41)] {
            let mut model = fixture::model();
            model.metadata.name = Some(name.into());
            assert!(validate(&model, &fixture::defaults()).is_err(), "{name:?}");
        }
        let mut model = fixture::model();
        model.metadata.name = Some("a".repeat(40));
        assert!(validate(&model, &fixture::defaults()).is_ok());
    }
}
