//! The throw-away certificates of one API server.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use sha2::{Digest, Sha256};

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct KeyedCert {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// Everything that an API server needs to prove itself and to sign tokens.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    /// The authority that all clients trust.
    pub(crate) ca: KeyedCert,
    /// What the API server shows.
    pub(crate) server: KeyedCert,
    /// What the API server shows to the kubelet (logs, exec, port-forward).
    pub(crate) kubelet_client: KeyedCert,
    /// Private key for service account tokens.
    pub(crate) service_account_key: String,
    /// Its public half.
    pub(crate) service_account_public: String,
}

/// Makes fresh keys and certificates; `names` are the DNS names and addresses of the API server.
pub(crate) fn generate(names: &[String]) -> Result<Pki> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = subject("fraudops-testcluster-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let service_account = KeyPair::generate()?;
    Ok(Pki {
        server: signed(
            &ca,
            subject("kube-apiserver", None),
            names,
            ExtendedKeyUsagePurpose::ServerAuth,
        )?,
        kubelet_client: signed(
            &ca,
            subject("kube-apiserver-kubelet-client", Some("system:masters")),
            &[],
            ExtendedKeyUsagePurpose::ClientAuth,
        )?,
        service_account_key: service_account.serialize_pem(),
        service_account_public: service_account.public_key_pem(),
        ca: KeyedCert {
            cert: ca.pem(),
            key: ca.key().serialize_pem(),
        },
    })
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn signed(
    ca: &CertifiedIssuer<'_, KeyPair>,
    subject: DistinguishedName,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
) -> Result<KeyedCert> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok(KeyedCert {
        cert: params.signed_by(&key, ca)?.pem(),
        key: key.serialize_pem(),
    })
}

/// A token that nobody guesses.
pub(crate) fn random_token() -> Result<String> {
    let digest = Sha256::digest(KeyPair::generate()?.serialize_der()); // a fresh key has 256 random bits
    Ok(format!("{digest:x}"))
}
