//! `spec.model` and `spec.decision`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretRef, status::is_false};

/// Which model is served, and where its bytes are.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(r"has(self.sha256) || self.uri.matches('^oci://.*@sha256:[a-f0-9]{64}$')")
        .message("model.sha256 is required because model.uri pins no digest: set it to the output of `sha256sum model.onnx`, or end an oci:// uri in @sha256:<64 hex digits>")
        .field_path(".sha256"),
    validation = Rule::new("!has(self.credentialsSecretRef) || self.uri.matches('^(s3|gs|az|https)://')")
        .message("model.credentialsSecretRef is for s3://, gs://, az:// and https:// uris: an oci:// registry takes scorer.imagePullSecrets")
        .field_path(".credentialsSecretRef"),
    validation = Rule::new("!has(self.instanceMetadata) || !self.instanceMetadata || self.uri.matches('^(s3|gs|az)://')")
        .message("model.instanceMetadata is for s3://, gs:// and az:// uris: remove it")
        .field_path(".instanceMetadata"),
    validation = Rule::new("!has(self.verify) || self.uri.startsWith('oci://')")
        .message("model.verify checks signatures of oci:// artifacts: push the model to a registry, or remove verify")
        .field_path(".verify"),
)]
pub struct Model {
    /// What people call this version, for example `2026.11.1`. A label of pods and metrics.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')")
        .message("model.version is used as a label: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"))]
    pub version: String,
    /// Where the ONNX file is: `oci://registry/repository[:tag][@sha256:…]` (an artifact), `https://…`, `s3://bucket/key`,
    /// `gs://bucket/key`, `az://container/blob`, `pvc://claim/path`, `configMap://name/key`, or `file:///…` (a path inside the
    /// scorer image).
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new("self.matches('^(oci|https|s3|gs|az|pvc|configMap|file)://')")
            .message("model.uri must begin with oci://, https://, s3://, gs://, az://, pvc://, configMap:// or file://"),
        validation = Rule::new("self.matches('^[!-~]+$')")
            .message("model.uri must hold printable ASCII characters without spaces"),
        validation = Rule::new("!self.startsWith('oci://') || !self.contains('@') || self.matches('@sha256:[a-f0-9]{64}$')")
            .message("the digest in model.uri must be @sha256: and 64 lower-case hex digits"),
        validation = Rule::new(r"!self.startsWith('oci://') || self.matches('^oci://[^/@]+/[^@:]+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@.+)?$')")
            .message("an oci:// model.uri is oci://registry/repository, then :tag, @sha256:<digest> or both"),
        validation = Rule::new(r"!self.startsWith('oci://') || self.contains('@') || self.matches('/[^/:]+:[^/:]+$')")
            .message("an oci:// model.uri needs a :tag or a @sha256:<digest> at its end"),
        validation = Rule::new("!self.startsWith('file://') || self.startsWith('file:///')")
            .message("a file:// model.uri needs an absolute path: file:///path/model.onnx"),
        validation = Rule::new(r"!self.matches('^(s3|gs|az)://') || self.matches('^[a-z0-9]+://[a-z0-9._-]{3,63}/[^/?#][^?#]*$')")
            .message("an s3://, gs:// or az:// model.uri is a bucket (3 to 63 of a-z, 0-9, '.', '_' and '-'), a slash and the key, without ? and #"),
        validation = Rule::new(r"!self.startsWith('pvc://') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^/].*$')")
            .message("a pvc:// model.uri is pvc://claim/path/model.onnx: a PersistentVolumeClaim of this namespace and a path in it"),
        validation = Rule::new(r"!self.startsWith('configMap://') || self.matches('^configMap://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._A-Za-z0-9]+$')")
            .message("a configMap:// model.uri is configMap://name/key: a ConfigMap of this namespace and a key of it"),
        validation = Rule::new(r"!self.matches('^(s3|gs|az|pvc|configMap|file)://') || (!self.substring(self.indexOf('://') + 3).contains('//') && !self.endsWith('/') && !(self + '/').matches('/[.]{1,2}/'))")
            .message("model.uri must not hold empty parts, '.' or '..' in its path")
    )]
    pub uri: String,
    /// SHA-256 of the ONNX file, 64 lower-case hex digits. Required unless `uri` pins a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-f0-9]{64}$')")
        .message("model.sha256 must be 64 lower-case hex digits, the output of `sha256sum model.onnx`"))]
    pub sha256: Option<String>,
    /// Secret with the credentials for an `s3://`, `gs://`, `az://` or `https://` uri, one key each: `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`; a service account's `key.json`; `AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`;
    /// `token`, or `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// Ask the cloud's metadata service for credentials: workload identity on GKE, Pod Identity on EKS, the node's identity.
    #[serde(default, skip_serializing_if = "is_false")]
    pub instance_metadata: bool,
    /// Serve only what is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// Which signature the model must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// The public key; the artifact must be signed by it with cosign (`cosign sign --key`).
    pub public_key_secret_ref: PublicKeyRef,
}

/// A key of a Secret in the FraudModel's namespace, with public keys (ECDSA P-256) in PEM.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("publicKeySecretRef.name must be the name of a Secret in this namespace"))]
    pub name: String,
    /// Key in it.
    #[serde(default = "default_public_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._A-Za-z0-9]+$')")
        .message("publicKeySecretRef.key must be a key of a Secret: letters, digits, '-', '_' and '.'"))]
    pub key: String,
}

fn default_public_key() -> String {
    "cosign.pub".into()
}

/// From a fraud probability to `approve`, `review` or `block`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.review <= self.block")
        .message("decision.block must not be below decision.review: raise block or lower review"),
)]
pub struct Decision {
    /// Transactions that score at or above this are sent to review. A probability, 0 to 1.
    #[serde(default = "default_review")]
    #[x_kube(validation = Rule::new("self >= 0.0 && self <= 1.0").message("decision.review must be between 0 and 1"))]
    pub review: f64,
    /// Transactions that score at or above this are blocked. A probability, 0 to 1.
    #[serde(default = "default_block")]
    #[x_kube(validation = Rule::new("self >= 0.0 && self <= 1.0").message("decision.block must be between 0 and 1"))]
    pub block: f64,
    /// What is answered when the model itself fails on a transaction, or takes longer than `deadline`.
    #[serde(default)]
    pub on_model_error: OnModelError,
    /// Longest time in the scorer until the model has answered, such as `50ms`; 1ms to 10s.
    #[serde(default = "default_deadline")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,5}(ms|s)$') && duration(self) >= duration('1ms') && duration(self) <= duration('10s')")
        .message("decision.deadline must be a time between 1ms and 10s, such as 50ms"))]
    pub deadline: String,
    /// HTTP status of an answer that blocks: 200, or 403 as the system that fraudops replaces did.
    #[serde(default = "default_block_status")]
    #[x_kube(validation = Rule::new("self == 200 || self == 403").message("decision.blockStatus must be 200 or 403"))]
    pub block_status: i32,
    /// Most transactions in one request to /predict/batch.
    #[serde(default = "default_max_batch")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_batch: i32,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            review: default_review(),
            block: default_block(),
            on_model_error: OnModelError::default(),
            deadline: default_deadline(),
            block_status: default_block_status(),
            max_batch: default_max_batch(),
        }
    }
}

fn default_review() -> f64 {
    0.10
}

fn default_block() -> f64 {
    0.50
}

fn default_deadline() -> String {
    "50ms".into()
}

fn default_block_status() -> i32 {
    200
}

fn default_max_batch() -> i32 {
    512
}

/// The decision for a transaction on which the model fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnModelError {
    /// Let the payment pass.
    Approve,
    /// Send it to review.
    #[default]
    Review,
    /// Refuse it.
    Block,
    /// Let the rules alone decide; what none of them hits passes.
    RulesOnly,
}

impl OnModelError {
    /// The word that the scorer's command line takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::Block => "block",
            Self::RulesOnly => "rulesOnly",
        }
    }
}
