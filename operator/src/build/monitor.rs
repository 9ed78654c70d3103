//! The PodMonitor, where the Prometheus operator's kinds are installed.

use fraudops_crds::monitoring::{PodMetricsEndpoint, PodMonitor, PodMonitorSpec};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> PodMonitor {
    PodMonitor {
        metadata: meta::shared(model, model.name.clone()),
        spec: PodMonitorSpec {
            selector: meta::all_pods(model),
            pod_target_labels: vec![meta::MODEL_LABEL.into(), "app.kubernetes.io/version".into()],
            pod_metrics_endpoints: vec![PodMetricsEndpoint {
                port: meta::METRICS_PORT.into(),
                path: "/metrics".into(),
            }],
        },
    }
}
