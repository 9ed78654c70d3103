//! Where a scorer is, and how it is trusted.

use std::{fs, io, path::Path, pin::Pin, sync::Arc};

use http::{HeaderValue, Method, Uri, header, request};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A scorer's address, its trust, and our token.
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    authority: HeaderValue,
    host: String,
    port: u16,
    base: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    token: Option<HeaderValue>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// An address, a certificate or a token that cannot be used.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// Not an address of a web server.
    #[error("--to {0}: must be http://HOST[:PORT], https://HOST[:PORT], or - for the standard output")]
    Url(String),
    /// TLS needs somebody to trust.
    #[error(
        "--cacert is missing: {0} needs the authority to trust, in PEM; that of the system is often \
         /etc/ssl/certs/ca-certificates.crt"
    )]
    NoAuthority(String),
    /// An authority without TLS would suggest that something is verified.
    #[error("--cacert {path}: {url} is not https, nothing would be verified")]
    AuthorityWithoutTls {
        /// The file.
        path: String,
        /// The url.
        url: String,
    },
    /// The file has no certificate.
    #[error("--cacert {path}: {problem}")]
    Authority {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The file has no token.
    #[error("--token-file {path}: {problem}")]
    Token {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// Bytes both ways.
pub trait Wire: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Wire for T {}

impl Endpoint {
    /// Reads the address, and the files of the authority and the token.
    pub fn new(url: &str, cacert: Option<&Path>, token: Option<&Path>) -> Result<Self, EndpointError> {
        let wrong = || EndpointError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = match (is_tls, cacert) {
            (false, None) => None,
            (false, Some(path)) => {
                return Err(EndpointError::AuthorityWithoutTls {
                    path: path.display().to_string(),
                    url: url.to_owned(),
                });
            }
            (true, None) => return Err(EndpointError::NoAuthority(url.to_owned())),
            (true, Some(path)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
                Some((connector(path)?, name))
            }
        };
        Ok(Self {
            url: url.to_owned(),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            host,
            port,
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
            token: token.map(bearer).transpose()?,
        })
    }

    /// As it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The head of a request.
    pub fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::HOST, self.authority.clone());
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    /// A new connection; with TLS the server's certificate is verified.
    pub async fn connect(&self) -> io::Result<Pin<Box<dyn Wire>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::pin(stream)),
            Some((connector, name)) => Ok(Box::pin(connector.connect(name.clone(), stream).await?)),
        }
    }
}

fn connector(path: &Path) -> Result<TlsConnector, EndpointError> {
    let wrong = |problem: String| EndpointError::Authority {
        path: path.display().to_string(),
        problem,
    };
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("has no certificate in PEM".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn bearer(path: &Path) -> Result<HeaderValue, EndpointError> {
    let wrong = |problem: String| EndpointError::Token {
        path: path.display().to_string(),
        problem,
    };
    let token = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let token = token.trim();
    if token.is_empty() {
        return Err(wrong("is empty".to_owned()));
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| wrong("must be one line of letters, digits and marks".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in [
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://user:pw@a",
            "http://a/?b=c",
            "",
            "http://a b",
        ] {
            let error = Endpoint::new(url, None, None).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("--to {url}: must be http://HOST")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_path_before_the_api_and_ports_are_kept() {
        let endpoint = Endpoint::new("http://[::1]:8080/fraud/", None, None).unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 8080));
        let request = endpoint.request(Method::POST, "/predict").body(()).unwrap();
        assert_eq!(request.uri(), "/fraud/predict");
        assert_eq!(request.headers()[header::HOST], "[::1]:8080");
        assert_eq!(Endpoint::new("http://a", None, None).unwrap().port, 80);
    }

    #[test]
    fn tls_needs_an_authority_and_an_authority_needs_tls() {
        let error = Endpoint::new("https://a", None, None).unwrap_err().to_string();
        assert!(
            error.starts_with("--cacert is missing: https://a needs"),
            "{error}"
        );
        let error = Endpoint::new("http://a", Some(Path::new("ca.crt")), None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("http://a is not https, nothing would be verified")
        );
    }

    #[test]
    fn files_without_a_certificate_or_a_token_are_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Endpoint::new("https://a", Some(file.path()), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("--cacert ") && error.ends_with("has no certificate in PEM"),
            "{error}"
        );
        let error = Endpoint::new("http://a", None, Some(file.path()))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("--token-file ") && error.ends_with("is empty"),
            "{error}"
        );
        let missing = Path::new("/no/such/file");
        let error = Endpoint::new("https://a", Some(missing), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/such/file: No such file"), "{error}");
    }
}
