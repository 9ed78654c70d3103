//! Names, labels and annotations, each spelled once.

use std::collections::BTreeMap;

use fraudops_crds::fraud_model::ModelVersion;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::reconcile::validate::ValidModel;

/// Label that selects everything of ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label with the FraudModel's name.
pub const MODEL_LABEL: &str = "fraudops.dev/model";
/// Label with the hash of the version.
pub const VERSION_HASH: &str = "fraudops.dev/version-hash";
/// Annotation with a hash of what was applied, so that a field that is no longer sent is noticed.
pub const APPLIED_HASH: &str = "fraudops.dev/applied-hash";
/// Annotation of a Deployment: what people call the version.
pub const VERSION: &str = "fraudops.dev/model-version";
/// Annotation of a Deployment: the digest of the version.
pub const DIGEST: &str = "fraudops.dev/model-digest";
/// Annotation of a Deployment: where its ONNX file is.
pub const URI: &str = "fraudops.dev/model-uri";
/// Annotation of a Deployment: its pods speak TLS and ask for client certificates. Absent where they do not.
pub const MTLS: &str = "fraudops.dev/mtls";

/// Annotation of a scorer pod: the states of its lists' ConfigMaps that its kubelet was told of. Absent until one changes.
pub const LISTS: &str = "fraudops.dev/lists";

/// Name of the port that predictions are served on.
pub const SCORER_PORT: &str = "http";
/// Name of that port in the Service of pods that speak TLS.
pub(super) const SCORER_TLS_PORT: &str = "https";
/// Name of the port of the Open Inference Protocol over gRPC.
pub(super) const GRPC_PORT: &str = "grpc";
/// Name of the port of metrics and probes.
pub(super) const METRICS_PORT: &str = "metrics";

/// Name of what belongs to one version.
pub fn version_name(model: &str, hash: &str) -> String {
    format!("{model}-{hash}")
}

/// Name of the Secret that cert-manager writes for a Certificate.
pub fn secret_name(certificate: &str) -> String {
    format!("{certificate}-tls")
}

/// Name of the Issuer of the certificates between Traefik and the pods.
pub fn issuer_name(model: &str) -> String {
    format!("{model}-mtls")
}

/// Name of the Certificate of the pods.
pub fn server_certificate_name(model: &str) -> String {
    format!("{model}-scorer")
}

/// Name of the Certificate that Traefik shows to the pods.
pub fn client_certificate_name(model: &str) -> String {
    format!("{model}-traefik")
}

/// The name that the pods' certificate carries: that of the Service for callers inside the cluster.
pub(super) fn server_name(model: &ValidModel) -> String {
    format!("{}.{}.svc", model.name, model.namespace)
}

/// The name that Traefik's client certificate carries. No DNS server knows it.
pub(super) fn traefik_client(model: &ValidModel) -> String {
    format!("traefik.{}.{}.fraudops", model.name, model.namespace)
}

/// Name of the Secret with the keys of receipts that the operator makes.
pub fn receipt_keys_name(model: &str) -> String {
    format!("{model}-receipt-keys")
}

/// Labels that select the pods of one version; they never change for it.
pub fn selector(model: &str, hash: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".into(), "fraudops-scorer".into()),
        (MODEL_LABEL.into(), model.into()),
        (VERSION_HASH.into(), hash.into()),
    ])
}

/// Selects the pods of all versions.
pub(super) fn all_pods(model: &ValidModel) -> LabelSelector {
    let labels = [
        ("app.kubernetes.io/name", "fraudops-scorer"),
        (MODEL_LABEL, model.name.as_str()),
    ];
    LabelSelector {
        match_labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        ..LabelSelector::default()
    }
}

/// Metadata of what belongs to the model as a whole.
pub(super) fn shared(model: &ValidModel, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(model.namespace.clone()),
        labels: Some(labels(model)),
        owner_references: Some(vec![model.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Metadata of what belongs to one version.
pub(super) fn versioned(model: &ValidModel, version: &ModelVersion) -> ObjectMeta {
    let mut meta = shared(model, version_name(&model.name, &version.hash));
    meta.labels
        .get_or_insert_default()
        .extend(version_labels(version));
    meta
}

/// Labels of a version's pods.
pub(super) fn pod_labels(model: &ValidModel, version: &ModelVersion) -> BTreeMap<String, String> {
    let mut all = model.scorer.pod_labels.clone();
    all.extend(labels(model));
    all.extend(version_labels(version));
    all
}

fn labels(model: &ValidModel) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "fraudops-scorer"),
        ("app.kubernetes.io/instance", &model.name),
        ("app.kubernetes.io/component", "scorer"),
        (MANAGED_BY, crate::FIELD_MANAGER),
        (MODEL_LABEL, &model.name),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn version_labels(version: &ModelVersion) -> [(String, String); 2] {
    [
        ("app.kubernetes.io/version".into(), version.version.clone()),
        (VERSION_HASH.into(), version.hash.clone()),
    ]
}

/// Adds [`APPLIED_HASH`] to `body`.
pub(super) fn annotate_with_hash(body: &mut Value) {
    // serde_json keeps the keys of a map in order, so equal objects have equal text.
    body["metadata"]["annotations"][APPLIED_HASH] = short_hash(body.to_string(), 8).into();
}

/// The first `bytes` of the SHA-256 of `text`, in hex.
pub fn short_hash(text: impl AsRef<[u8]>, bytes: usize) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
