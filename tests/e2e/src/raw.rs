//! Bytes to Traefik, as they are: what no HTTP client would send.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::Stage;

/// Traefik answers or closes within milliseconds; a connection on which nothing comes for so long waits for more.
const SILENCE: Duration = Duration::from_millis(500);

impl Stage {
    /// Sends `bytes` over a TLS connection of its own to Traefik, for `host` and without HTTP/2. Gives what came back until
    /// the connection ended or fell silent.
    pub fn send_raw(&self, host: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.fact("CA_FILE")?)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address: SocketAddr = format!("{}:443", self.fact("TRAEFIK_ADDRESS")?).parse()?;
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::try_from(host.to_owned())?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream);
        stream.write_all(bytes)?;
        let (mut answer, mut part) = (vec![], [0; 4096]);
        loop {
            match stream.read(&mut part) {
                Ok(0) => return Ok(answer),
                Ok(count) => answer.extend_from_slice(&part[..count]),
                Err(error) => match error.kind() {
                    // Silent, closed without TLS's own word, or reset: the test looks at what came before.
                    ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset => return Ok(answer),
                    _ => return Err(error.into()),
                },
            }
        }
    }
}
