//! The PodDisruptionBudget of a version: a drained node takes one pod at a time.

use fraudops_crds::fraud_model::ModelVersion;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel, version: &ModelVersion) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::versioned(model, version),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(meta::selector(&model.name, &version.hash)),
                ..LabelSelector::default()
            }),
            // A pod that is not ready protects nobody: it may go.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
