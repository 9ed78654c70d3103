//! Which client certificates are let in: signed by the authority, and carrying one of the names.

use std::{fmt, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::EndEntityCert;

/// A name that a client's certificate may carry as subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientName {
    /// A DNS name, compared without regard to case.
    Dns(String),
    /// A URI such as `spiffe://cluster.local/ns/traefik/sa/traefik`, compared as it is.
    Uri(String),
    /// `*`: every certificate of the authority.
    Any,
}

impl FromStr for ClientName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Any),
            "" => Err("a client name is a DNS name, a URI, or * for every certificate of ca.crt".to_owned()),
            _ if text.contains("://") => Ok(Self::Uri(text.to_owned())),
            _ if text.contains('*') => Err(format!("`{text}`: wildcards are not supported, except * alone")),
            _ => Ok(Self::Dns(text.to_ascii_lowercase())),
        }
    }
}

impl ClientName {
    fn is_carried_by(&self, certificate: &EndEntityCert<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Dns(name) => certificate
                .valid_dns_names()
                .any(|n| n.eq_ignore_ascii_case(name)),
            Self::Uri(name) => certificate.valid_uri_names().any(|n| n == name),
        }
    }
}

/// Asks rustls' own verifier first, then looks at the names.
#[derive(Debug)]
pub struct NamedClients {
    signed: Arc<dyn ClientCertVerifier>,
    names: Vec<ClientName>,
}

impl NamedClients {
    /// Lets in who satisfies `signed` and carries one of the names.
    pub fn new(signed: Arc<dyn ClientCertVerifier>, names: Vec<ClientName>) -> Self {
        Self { signed, names }
    }
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.signed.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.names.iter().any(|name| name.is_carried_by(&certificate)) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) => f.write_str(name),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_their_form() {
        let table = [
            ("Traefik.Example", Ok(ClientName::Dns("traefik.example".into()))),
            ("spiffe://c/ns/T", Ok(ClientName::Uri("spiffe://c/ns/T".into()))),
            ("*", Ok(ClientName::Any)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<ClientName>(), expected);
        }
        assert!("".parse::<ClientName>().is_err());
        assert!("*.example".parse::<ClientName>().is_err());
    }
}
