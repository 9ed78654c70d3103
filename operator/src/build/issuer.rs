//! The Issuer of the certificates between Traefik and the pods: cert-manager signs with the key pair that the spec names.

use fraudops_crds::cert_manager::{CaIssuer, Issuer, IssuerSpec};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> Option<Issuer> {
    let mtls = model.access.mtls.as_ref()?;
    Some(Issuer {
        metadata: meta::shared(model, meta::issuer_name(&model.name)),
        spec: IssuerSpec {
            ca: CaIssuer {
                secret_name: mtls.ca_secret_ref.name.clone(),
            },
        },
        status: None,
    })
}
