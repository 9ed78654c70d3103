//! From the files of a Secret to a configuration of rustls.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{TlsOptions, clients::NamedClients};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// Secrets hold at most 1 MiB.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why TLS cannot be served from a directory.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or too large.
    #[error("{file} cannot be read: {problem}")]
    Unreadable {
        /// Its path.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// A file holds nothing usable.
    #[error("{file} holds no usable {what}: {problem}")]
    Unusable {
        /// Its name.
        file: &'static str,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not fit, or rustls refuses them.
    #[error("tls.crt and tls.key cannot be used together: {0}")]
    Mismatch(rustls::Error),
    /// Client certificates are asked for without an authority that signs them.
    #[error(
        "client names are given, but the directory has no ca.crt with the authority of their certificates"
    )]
    NoAuthorities,
}

/// The bytes of the files, as they were at one moment.
#[derive(PartialEq, Eq)]
pub struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Files {
    /// Reads all files of the directory.
    pub fn read(directory: &Path) -> Result<Self, TlsError> {
        let authorities = directory.join(AUTHORITIES);
        Ok(Self {
            certificate: read(&directory.join(CERTIFICATE))?,
            key: read(&directory.join(KEY))?,
            authorities: authorities.exists().then(|| read(&authorities)).transpose()?,
        })
    }

    /// TLS 1.2 and 1.3 with these files; HTTP/2 and HTTP/1.1 by ALPN.
    pub fn config(&self, options: &TlsOptions) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Mismatch)?;
        let builder = if options.clients.is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = self.authorities()?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(AUTHORITIES, "authority", error))?;
            builder.with_client_cert_verifier(Arc::new(NamedClients::new(verifier, options.clients.clone())))
        };
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| unusable(KEY, "private key", error))?;
        let mut config = builder
            .with_single_cert(certificates(CERTIFICATE, &self.certificate)?, key)
            .map_err(TlsError::Mismatch)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let pem = self.authorities.as_ref().ok_or(TlsError::NoAuthorities)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(AUTHORITIES, pem)? {
            roots
                .add(certificate)
                .map_err(|error| unusable(AUTHORITIES, "authority", error))?;
        }
        Ok(roots)
    }
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| unusable(file, "certificate", error))?;
    if all.is_empty() {
        return Err(unusable(file, "certificate", "there is no PEM block of one"));
    }
    Ok(all)
}

fn unusable(file: &'static str, what: &'static str, problem: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable {
        file,
        what,
        problem: problem.to_string(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |problem: String| TlsError::Unreadable {
        file: file.display().to_string(),
        problem,
    };
    let size = fs::metadata(file)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MAX_BYTES {
        return Err(unreadable(format!("it has more than {MAX_BYTES} bytes")));
    }
    fs::read(file).map_err(|error| unreadable(error.to_string()))
}
