//! Services: one per version for the route, and one that follows the stable version for callers inside the cluster.

use fraudops_crds::fraud_model::ModelVersion;
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build_version(model: &ValidModel, version: &ModelVersion) -> Service {
    selecting(model, version, meta::versioned(model, version))
}

pub(super) fn build_stable(model: &ValidModel, stable: &ModelVersion) -> Service {
    selecting(model, stable, meta::shared(model, model.name.clone()))
}

fn selecting(model: &ValidModel, version: &ModelVersion, metadata: ObjectMeta) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(meta::selector(&model.name, &version.hash)),
            ports: Some(vec![port(meta::SCORER_PORT, 80), port(meta::GRPC_PORT, 9000)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    }
}
