use std::{path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::http::{
    fixture::{LIMITS, PATIENCE, Port, on_one_thread, start},
    transport::Transport,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, as PEM.
fn signed(by: &Authority, names: &[SanType], purpose: ExtendedKeyUsagePurpose) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    params.extended_key_usages = vec![purpose];
    let certificate = params.signed_by(&key, &**by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

struct Secret {
    folder: TempDir,
    authority: Authority,
}

impl Secret {
    fn new() -> Self {
        let secret = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: authority(),
        };
        secret.renew(&secret.authority);
        secret.write("ca.crt", &secret.authority.pem());
        secret
    }

    fn renew(&self, by: &Authority) {
        let (certificate, key) = signed(by, &[dns("localhost")], ExtendedKeyUsagePurpose::ServerAuth);
        self.write("tls.crt", &certificate);
        self.write("tls.key", &key);
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.path().join(file), content).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn load(&self, clients: &[&str]) -> Result<(Tls, Reloader), TlsError> {
        Tls::load(TlsOptions {
            directory: self.path().to_owned(),
            clients: clients.iter().map(|name| name.parse().unwrap()).collect(),
        })
    }
}

struct Client<'a> {
    trusts: &'a Authority,
    certificate: Option<(String, String)>,
    versions: &'static [&'static SupportedProtocolVersion],
    alpn: Option<&'static [u8]>,
}

impl<'a> Client<'a> {
    fn new(trusts: &'a Authority) -> Self {
        Self {
            trusts,
            certificate: None,
            versions: &BOTH,
            alpn: None,
        }
    }

    async fn connect(&self, port: &Port) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(port.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The first line of the answer to one request; an error when the server refuses the client.
    async fn ask(&self, port: &Port) -> std::io::Result<String> {
        let mut stream = self.connect(port).await?;
        talk(&mut stream).await
    }
}

async fn talk(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    let mut answer = vec![0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut answer))
        .await
        .expect("in time")?;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn serve(tls: &Tls) -> Port {
    let transport = Transport {
        tls: Some(tls.clone()),
        ..Transport::default()
    };
    start(transport, LIMITS)
}

static TLS_1_2: [&SupportedProtocolVersion; 1] = [&TLS12];
static TLS_1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
static BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

const OK: &str = "HTTP/1.1 200 OK";

#[test]
fn both_versions_of_tls_are_served_and_alpn_chooses_the_version_of_http() {
    on_one_thread(async {
        let secret = Secret::new();
        let (tls, _) = secret.load(&[]).unwrap();
        let port = serve(&tls);
        for (versions, expected) in [
            (&TLS_1_2, ProtocolVersion::TLSv1_2),
            (&TLS_1_3, ProtocolVersion::TLSv1_3),
        ] {
            let client = Client {
                versions,
                ..Client::new(&secret.authority)
            };
            let mut stream = client.connect(&port).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            assert_eq!(talk(&mut stream).await.unwrap(), OK);
        }
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let client = Client {
                alpn: Some(alpn),
                ..Client::new(&secret.authority)
            };
            let stream = client.connect(&port).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        }
    });
}

#[test]
fn only_clients_with_a_name_on_the_list_are_let_in() {
    on_one_thread(async {
        let secret = Secret::new();
        let (tls, _) = secret
            .load(&["traefik.example", "spiffe://cluster/traefik"])
            .unwrap();
        let port = serve(&tls);
        let client_auth = ExtendedKeyUsagePurpose::ClientAuth;
        let ours = &secret.authority;
        let table = [
            (
                Some(signed(ours, &[dns("Traefik.example")], client_auth.clone())),
                true,
            ),
            (
                Some(signed(
                    ours,
                    &[dns("a.example"), uri("spiffe://cluster/traefik")],
                    client_auth.clone(),
                )),
                true,
            ),
            (
                Some(signed(ours, &[dns("other.example")], client_auth.clone())),
                false,
            ),
            (
                Some(signed(
                    ours,
                    &[uri("spiffe://cluster/other")],
                    client_auth.clone(),
                )),
                false,
            ),
            (Some(signed(ours, &[], client_auth.clone())), false),
            (
                Some(signed(&authority(), &[dns("traefik.example")], client_auth)),
                false,
            ),
            (
                Some(signed(
                    ours,
                    &[dns("traefik.example")],
                    ExtendedKeyUsagePurpose::ServerAuth,
                )),
                false,
            ),
            (None, false),
        ];
        for versions in [&TLS_1_2, &TLS_1_3] {
            for (index, (certificate, welcome)) in table.iter().enumerate() {
                let client = Client {
                    certificate: certificate.clone(),
                    versions,
                    ..Client::new(ours)
                };
                let answer = client.ask(&port).await;
                assert_eq!(
                    answer.as_deref().is_ok_and(|line| line == OK),
                    *welcome,
                    "{index}: {answer:?}"
                );
            }
        }
        assert_eq!(tls.counters().failed_handshakes.load(Relaxed), 12);
    });
}

#[test]
fn a_star_lets_in_every_certificate_of_the_authority_and_no_names_let_in_everybody() {
    on_one_thread(async {
        let secret = Secret::new();
        let any = signed(
            &secret.authority,
            &[dns("any")],
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        let named = Client {
            certificate: Some(any),
            ..Client::new(&secret.authority)
        };
        let port = serve(&secret.load(&["*"]).unwrap().0);
        assert_eq!(named.ask(&port).await.unwrap(), OK);
        assert!(Client::new(&secret.authority).ask(&port).await.is_err());
        let open = serve(&secret.load(&[]).unwrap().0);
        assert_eq!(Client::new(&secret.authority).ask(&open).await.unwrap(), OK);
    });
}

#[test]
fn changed_files_are_taken_over_and_open_connections_live_on() {
    on_one_thread(async {
        let secret = Secret::new();
        let (tls, mut reloader) = secret.load(&[]).unwrap();
        let port = serve(&tls);
        let mut old = Client::new(&secret.authority).connect(&port).await.unwrap();
        assert_eq!(talk(&mut old).await.unwrap(), OK);
        assert!(!reloader.look().unwrap(), "nothing has changed");
        let other = authority();
        secret.renew(&other);
        assert!(reloader.look().unwrap());
        assert!(
            Client::new(&secret.authority).ask(&port).await.is_err(),
            "the new one is shown"
        );
        assert_eq!(Client::new(&other).ask(&port).await.unwrap(), OK);
        assert_eq!(talk(&mut old).await.unwrap(), OK, "the old connection lives on");
        assert_eq!(tls.counters().reloads.load(Relaxed), 1);
    });
}

#[test]
fn broken_files_keep_the_old_certificate_and_are_counted_once() {
    on_one_thread(async {
        let secret = Secret::new();
        let (tls, mut reloader) = secret.load(&[]).unwrap();
        let port = serve(&tls);
        secret.write("tls.crt", "nonsense");
        assert!(matches!(
            reloader.look(),
            Err(TlsError::Unusable { file: "tls.crt", .. })
        ));
        assert!(!reloader.look().unwrap(), "it is complained about once");
        let (_, foreign) = signed(
            &authority(),
            &[dns("localhost")],
            ExtendedKeyUsagePurpose::ServerAuth,
        );
        secret.renew(&secret.authority);
        secret.write("tls.key", &foreign);
        assert!(matches!(reloader.look(), Err(TlsError::Mismatch(_))));
        std::fs::remove_file(secret.path().join("tls.key")).unwrap();
        assert!(matches!(reloader.look(), Err(TlsError::Unreadable { .. })));
        assert_eq!(Client::new(&secret.authority).ask(&port).await.unwrap(), OK);
        assert_eq!(tls.counters().failed_reloads.load(Relaxed), 3);
        secret.renew(&secret.authority);
        assert!(reloader.look().unwrap(), "good files are taken over again");
    });
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let secret = Secret::new();
    std::fs::remove_file(secret.path().join("ca.crt")).unwrap();
    assert!(secret.load(&[]).is_ok());
    assert!(matches!(secret.load(&["*"]), Err(TlsError::NoAuthorities)));
    secret.write("ca.crt", "nonsense");
    assert!(secret.load(&[]).is_ok(), "without client names nobody reads it");
    assert!(matches!(
        secret.load(&["*"]),
        Err(TlsError::Unusable { file: "ca.crt", .. })
    ));
    secret.write("tls.key", "");
    assert!(matches!(
        secret.load(&[]),
        Err(TlsError::Unusable { file: "tls.key", .. })
    ));
}

#[test]
fn plain_http_on_a_tls_port_and_silent_clients_are_closed() {
    on_one_thread(async {
        let secret = Secret::new();
        let (tls, _) = secret.load(&[]).unwrap();
        let port = serve(&tls);
        let answer = port.raw(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        let begun = std::time::Instant::now();
        assert!(port.raw(b"").await.is_empty());
        assert!(begun.elapsed() >= HANDSHAKE && begun.elapsed() < 2 * HANDSHAKE);
        assert_eq!(tls.counters().failed_handshakes.load(Relaxed), 2);
        assert_eq!(port.metrics.open(), 0);
    });
}
