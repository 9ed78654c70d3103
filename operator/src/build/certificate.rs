//! The Certificate, where the spec names an issuer.

use fraudops_crds::cert_manager::{Certificate, CertificateIssuerRef, CertificateSpec, PrivateKey};

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> Option<Certificate> {
    let ingress = model.ingress.as_ref()?;
    let issuer = ingress.tls.as_ref()?.issuer_ref.as_ref()?;
    Some(Certificate {
        metadata: meta::shared(model, model.name.clone()),
        spec: CertificateSpec {
            secret_name: meta::secret_name(&model.name),
            dns_names: vec![ingress.host.clone()],
            issuer_ref: CertificateIssuerRef {
                name: issuer.name.clone(),
                kind: issuer.kind.as_str().into(),
                group: "cert-manager.io".into(),
            },
            private_key: PrivateKey {
                algorithm: "ECDSA".into(),
                size: 256,
                rotation_policy: "Always".into(),
            },
            usages: vec!["digital signature".into(), "server auth".into()],
        },
        status: None,
    })
}
