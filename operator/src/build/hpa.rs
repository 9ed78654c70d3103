//! The HorizontalPodAutoscaler of a version, where the spec asks for one.

use fraudops_crds::fraud_model::ModelVersion;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel, version: &ModelVersion) -> Option<HorizontalPodAutoscaler> {
    let bounds = model.scorer.autoscaling.as_ref()?;
    Some(HorizontalPodAutoscaler {
        metadata: meta::versioned(model, version),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: meta::version_name(&model.name, &version.hash),
            },
            min_replicas: Some(bounds.min),
            max_replicas: bounds.max,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".into(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".into(),
                    target: MetricTarget {
                        type_: "Utilization".into(),
                        average_utilization: Some(bounds.target_cpu),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    })
}
