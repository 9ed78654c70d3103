//! The Prometheus operator's `PodMonitor` (`monitoring.coreos.com/v1`): the fields that we set.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Tells Prometheus which pods to scrape.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    plural = "podmonitors",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitorSpec {
    /// The pods.
    pub selector: LabelSelector,
    /// Labels of the pods that become labels of the series.
    pub pod_target_labels: Vec<String>,
    /// The ports.
    pub pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
}

/// A port that Prometheus scrapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMetricsEndpoint {
    /// The port's name.
    pub port: String,
    /// The path.
    pub path: String,
}
