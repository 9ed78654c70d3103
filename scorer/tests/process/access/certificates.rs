//! Client certificates, with and without tokens.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

use super::{Shop, shop, whole};
use crate::server::{Server, good};

/// A Secret as cert-manager makes it, and the authority that signed it.
struct Tls {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Tls {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tls = Self { folder, authority };
        let (certificate, key) = tls.signed("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        for (name, pem) in [
            ("tls.crt", certificate),
            ("tls.key", key),
            ("ca.crt", tls.authority.pem()),
        ] {
            fs::write(tls.folder.path().join(name), pem).unwrap();
        }
        tls
    }

    /// Certificate and key, as PEM.
    fn signed(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &*self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Sends a request with a certificate of this name, or none; answers what comes back.
    fn ask(&self, server: &Server, name: Option<&str>, request: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => config.with_no_client_auth(),
            Some(name) => {
                let (certificate, key) = self.signed(name, ExtendedKeyUsagePurpose::ClientAuth);
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(server.http)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(request.as_bytes())?;
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer)?;
        answer.truncate(read);
        String::from_utf8(answer).map_err(std::io::Error::other)
    }

    fn server(&self, shop: Option<&Shop>) -> Server {
        let tokens = shop.map(|shop| shop.secret.path());
        let mut environment = vec![
            ("FRAUDOPS_TLS", self.folder.path().to_str().unwrap()),
            ("FRAUDOPS_TLS_CLIENT_SAN", "traefik.example"),
        ];
        environment.extend(
            tokens
                .as_ref()
                .map(|path| ("FRAUDOPS_TOKENS", path.to_str().unwrap())),
        );
        let arguments = ["--workers", "1", "--drain-delay", "0s", "--idempotency-ttl", "0s"];
        let server = Server::start_with(&arguments, &environment);
        server.wait_until_ready();
        server
    }
}

#[test]
fn a_certificate_opens_the_connection_and_a_token_the_route() {
    let (tls, shop) = (Tls::new(), shop("predict"));
    let server = tls.server(Some(&shop));
    let with_token = whole("POST", "/predict", Some(&shop.token), &good());
    let without = whole("POST", "/predict", None, &good());
    let answer = tls.ask(&server, Some("traefik.example"), &with_token).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = tls.ask(&server, Some("traefik.example"), &without).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    for name in [None, Some("other.example")] {
        let answer = tls.ask(&server, name, &with_token);
        assert!(
            answer.as_ref().is_err() || answer.as_ref().is_ok_and(String::is_empty),
            "{answer:?}"
        );
    }
}

#[test]
fn whoever_asks_for_tokens_or_certificates_is_not_warned() {
    let (tls, shop) = (Tls::new(), shop("predict"));
    let with_tokens = shop.secret.server(&["--workers", "1", "--drain-delay", "0s"]);
    for mut server in [with_tokens, tls.server(None)] {
        server.signal("TERM");
        let log = server.rest_of_log();
        assert!(!log.contains("WARN"), "{log}");
    }
}
