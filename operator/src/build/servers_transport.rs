//! The ServersTransport: which certificate Traefik shows to the pods, and which it expects of them.

use fraudops_crds::traefik::{RootCa, ServersTransport, ServersTransportSpec};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> Option<ServersTransport> {
    if model.access.mtls.is_none() || model.ingress.is_none() {
        return None;
    }
    Some(ServersTransport {
        metadata: meta::shared(model, model.name.clone()),
        spec: ServersTransportSpec {
            server_name: meta::server_name(model),
            // cert-manager puts the authority's certificate beside the one that it signed.
            root_cas: vec![RootCa {
                secret: meta::secret_name(&meta::server_certificate_name(&model.name)),
            }],
            certificates_secrets: vec![meta::secret_name(&meta::client_certificate_name(&model.name))],
            // One connection with all requests would be served by one thread of a pod.
            disable_http2: true,
        },
    })
}
