//! `spec.scorer`: how the scorer pods run.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, EnvVar, LocalObjectReference, Toleration, TopologySpreadConstraint},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the scorer pods run. Every field is optional.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)")
        .message("scorer.replicas and scorer.autoscaling exclude each other: remove one"),
    validation = Rule::new("!has(self.autoscaling) || !has(self.resources) || (has(self.resources.requests) && 'cpu' in self.resources.requests)")
        .message("scorer.autoscaling measures CPU against its request: set scorer.resources.requests.cpu"),
)]
pub struct Scorer {
    /// Number of pods of each version; 2 when neither this nor `autoscaling` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,
    /// Lets the number of pods follow their CPU use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Image of the scorer; the operator's `--scorer-image` when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the kubelet pulls the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets of type kubernetes.io/dockerconfigjson, for the scorer's image and for the model's `oci://` registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Where pods are wanted or not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How pods spread; over nodes, softly, when unset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// More labels for the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('fraudops.dev/'))")
        .message("scorer.podLabels must not set app.kubernetes.io/ or fraudops.dev/ labels: the operator selects pods by them"))]
    pub pod_labels: BTreeMap<String, String>,
    /// More annotations for the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// More environment for the scorer, for example OTEL_EXPORTER_OTLP_ENDPOINT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = Rule::new("self.all(e, !e.name.startsWith('FRAUDOPS_') && e.name != 'ORT_DYLIB_PATH')")
        .message("scorer.env must not set FRAUDOPS_… or ORT_DYLIB_PATH: the operator and the image set them"))]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,
    /// Annotations of the pods' ServiceAccount, by which clouds give it an identity (`eks.amazonaws.com/role-arn`,
    /// `iam.gke.io/gcp-service-account`, `azure.workload.identity/client-id`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_account_annotations: BTreeMap<String, String>,
    /// Where pods of a node keep models for each other. Files are found by their SHA-256, and checked at each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// A folder of the node, or a volume, that pods share.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.hostPath) != has(self.pvc)")
        .message("scorer.cache needs exactly one of hostPath and pvc"),
)]
pub struct Cache {
    /// Folder of the node; the user 65532 must be able to write to it. Pod Security `baseline` and `restricted` forbid it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^(/[-._A-Za-z0-9]+)+$') && !(self + '/').matches('/[.]{1,2}/')")
        .message("scorer.cache.hostPath must be an absolute path below / of letters, digits, '-', '_' and '.', without '.' and '..'"))]
    pub host_path: Option<String>,
    /// PersistentVolumeClaim of this namespace; with pods on several nodes its access mode must be ReadWriteMany.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("scorer.cache.pvc must be the name of a PersistentVolumeClaim in this namespace"))]
    pub pvc: Option<String>,
    /// How large the cache may become, as `512Mi` or `2Gi`; what was not used for longest gives way.
    #[serde(default = "default_cache_size")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(Mi|Gi)$')")
        .message("scorer.cache.maxSize must be a whole number of Mi or Gi, as 512Mi or 2Gi"))]
    pub max_size: String,
}

impl Cache {
    /// `max_size` in bytes; none when it is malformed.
    pub fn max_bytes(&self) -> Option<u64> {
        let (number, shift) = match self.max_size.strip_suffix("Mi") {
            Some(number) => (number, 20),
            None => (self.max_size.strip_suffix("Gi")?, 30),
        };
        let number: u64 = number.parse().ok()?;
        number.checked_mul(1 << shift)
    }
}

fn default_cache_size() -> String {
    "2Gi".into()
}

/// Bounds and target of the HorizontalPodAutoscaler.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.min <= self.max")
        .message("scorer.autoscaling.min must not be above scorer.autoscaling.max"),
)]
pub struct Autoscaling {
    /// Fewest pods.
    #[schemars(range(min = 1, max = 100))]
    pub min: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 100))]
    pub max: i32,
    /// Wanted average CPU use, in percent of the request.
    #[serde(default = "default_target_cpu", rename = "targetCPU")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu: i32,
}

fn default_target_cpu() -> i32 {
    70
}

/// Requests and limits, as Kubernetes quantities (`500m`, `256Mi`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler reserves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, IntOrString>,
    /// What the kubelet enforces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, IntOrString>,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of a pod.
    Always,
    /// When the node has no image of that name.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// The word of the Kubernetes API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_cache_are_read() {
        for (text, bytes) in [
            ("512Mi", Some(512 << 20)),
            ("2Gi", Some(2 << 30)),
            ("2G", None),
            ("Gi", None),
        ] {
            let cache = Cache {
                host_path: None,
                pvc: None,
                max_size: text.into(),
            };
            assert_eq!(cache.max_bytes(), bytes, "{text}");
        }
    }
}
