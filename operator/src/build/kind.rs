//! The kinds that the operator makes, in the order in which they are applied; they are removed in the reverse order.

use fraudops_crds::{
    cert_manager::{Certificate, Issuer},
    monitoring::PodMonitor,
    traefik::{IngressRoute, ServersTransport, TraefikService},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::core::ApiResource;

/// A kind that the operator makes. The order is law: what a route names must be there before the route, and a route must
/// be gone before what it names (Traefik answers 404 to everything otherwise).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// v1
    ServiceAccount,
    /// networking.k8s.io/v1
    NetworkPolicy,
    /// v1
    ConfigMap,
    /// apps/v1
    Deployment,
    /// v1
    Service,
    /// policy/v1
    PodDisruptionBudget,
    /// autoscaling/v2
    HorizontalPodAutoscaler,
    /// monitoring.coreos.com/v1
    PodMonitor,
    /// cert-manager.io/v1
    Issuer,
    /// cert-manager.io/v1
    Certificate,
    /// traefik.io/v1alpha1
    ServersTransport,
    /// traefik.io/v1alpha1
    TraefikService,
    /// traefik.io/v1alpha1
    IngressRoute,
}

impl Kind {
    /// All of them, in the order of application.
    pub const ALL: [Self; 13] = [
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::ConfigMap,
        Self::Deployment,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::PodMonitor,
        Self::Issuer,
        Self::Certificate,
        Self::ServersTransport,
        Self::TraefikService,
        Self::IngressRoute,
    ];

    /// Group, version and plural.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::HorizontalPodAutoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            Self::PodMonitor => ApiResource::erase::<PodMonitor>(&()),
            Self::Issuer => ApiResource::erase::<Issuer>(&()),
            Self::Certificate => ApiResource::erase::<Certificate>(&()),
            Self::ServersTransport => ApiResource::erase::<ServersTransport>(&()),
            Self::TraefikService => ApiResource::erase::<TraefikService>(&()),
            Self::IngressRoute => ApiResource::erase::<IngressRoute>(&()),
        }
    }

    /// Whether the kind comes with something that may not be installed.
    pub fn is_optional(self) -> bool {
        matches!(
            self,
            Self::PodMonitor
                | Self::Issuer
                | Self::Certificate
                | Self::ServersTransport
                | Self::TraefikService
                | Self::IngressRoute
        )
    }
}
