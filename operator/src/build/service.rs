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
            ports: Some(vec![
                serving(version.mtls),
                port(meta::GRPC_PORT, 9000, meta::GRPC_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Another port where the pods speak TLS: who does not know of it is refused, rather than misunderstood.
fn serving(mtls: bool) -> ServicePort {
    match mtls {
        true => port(meta::SCORER_TLS_PORT, 443, meta::SCORER_PORT),
        false => port(meta::SCORER_PORT, 80, meta::SCORER_PORT),
    }
}

fn port(name: &str, port: i32, target: &str) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(target.into())),
        ..ServicePort::default()
    }
}
