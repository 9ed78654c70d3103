//! Certificates: of the route, where the spec names an issuer; of the pods and of Traefik, where they speak TLS with each
//! other.

use fraudops_crds::cert_manager::{Certificate, CertificateIssuerRef, CertificateSpec, PrivateKey};

use super::meta;
use crate::reconcile::validate::ValidModel;

/// Of the route.
pub(super) fn build(model: &ValidModel) -> Option<Certificate> {
    let ingress = model.ingress.as_ref()?;
    let issuer = ingress.tls.as_ref()?.issuer_ref.as_ref()?;
    let issuer = issuer_ref(&issuer.name, issuer.kind.as_str());
    Some(certificate(
        model,
        &model.name,
        &ingress.host,
        issuer,
        "server auth",
    ))
}

/// Of the pods.
pub(super) fn build_server(model: &ValidModel) -> Option<Certificate> {
    model.access.mtls.as_ref()?;
    let name = meta::server_certificate_name(&model.name);
    Some(between(model, &name, &meta::server_name(model), "server auth"))
}

/// Of Traefik, as a client of the pods.
pub(super) fn build_client(model: &ValidModel) -> Option<Certificate> {
    model.access.mtls.as_ref()?;
    model.ingress.as_ref()?;
    let name = meta::client_certificate_name(&model.name);
    Some(between(model, &name, &meta::traefik_client(model), "client auth"))
}

/// Of one of the two sides between Traefik and the pods: the operator's own Issuer signs both.
fn between(model: &ValidModel, name: &str, dns_name: &str, usage: &str) -> Certificate {
    let issuer = issuer_ref(&meta::issuer_name(&model.name), "Issuer");
    certificate(model, name, dns_name, issuer, usage)
}

fn issuer_ref(name: &str, kind: &str) -> CertificateIssuerRef {
    CertificateIssuerRef {
        name: name.into(),
        kind: kind.into(),
        group: "cert-manager.io".into(),
    }
}

fn certificate(
    model: &ValidModel,
    name: &str,
    dns_name: &str,
    issuer_ref: CertificateIssuerRef,
    usage: &str,
) -> Certificate {
    Certificate {
        metadata: meta::shared(model, name.to_owned()),
        spec: CertificateSpec {
            secret_name: meta::secret_name(name),
            dns_names: vec![dns_name.to_owned()],
            issuer_ref,
            private_key: PrivateKey {
                algorithm: "ECDSA".into(),
                size: 256,
                rotation_policy: "Always".into(),
            },
            usages: vec!["digital signature".into(), usage.to_owned()],
        },
        status: None,
    }
}
