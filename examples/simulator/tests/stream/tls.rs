//! Whom the stream trusts.

use std::{fs, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::{
    refused,
    server::{Behaviour, Server},
    stream, succeeded,
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// A server that shows a certificate of this authority for `name`.
    fn server(&self, name: &str) -> Server {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        Server::start(Behaviour {
            tls: Some(TlsAcceptor::from(Arc::new(config))),
            ..Behaviour::default()
        })
    }

    fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), self.0.pem()).expect("a file");
        file
    }
}

fn ask(server: &Server, authority: &Authority) -> std::process::Output {
    let url = format!("https://localhost:{}", server.address.port());
    let file = authority.file();
    let cacert = file.path().to_str().expect("a readable path");
    stream(&[
        "--to",
        &url,
        "--cacert",
        cacert,
        "--rate",
        "max",
        "--limit",
        "100",
        "--connections",
        "2",
    ])
}

#[test]
fn a_certificate_of_the_authority_is_trusted() {
    let authority = Authority::new();
    let server = authority.server("localhost");
    assert_eq!(succeeded(&ask(&server, &authority))["sent"], 100);
    assert_eq!(server.seen().predictions.len(), 100);
}

#[test]
fn another_authority_and_another_name_are_not() {
    let authority = Authority::new();
    let stranger = ask(&authority.server("localhost"), &Authority::new());
    refused(&stranger, "cannot connect: invalid peer certificate: ");
    refused(
        &stranger,
        "is --cacert the authority that signed it, and the name right?",
    );
    let misnamed = authority.server("elsewhere.test");
    refused(
        &ask(&misnamed, &authority),
        "cannot connect: invalid peer certificate: ",
    );
    assert_eq!(misnamed.seen().predictions.len(), 0);
}
