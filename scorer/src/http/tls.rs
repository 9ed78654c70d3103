//! TLS of a port: certificate and client authorities from a mounted Secret, reloaded when they change.

mod clients;
mod files;
mod reload;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub use clients::ClientName;
pub use files::TlsError;
pub use reload::Reloader;

/// From accept to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Where TLS comes from, and whom it lets in.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Directory with `tls.crt`, `tls.key` and, where clients need certificates, `ca.crt`.
    pub directory: PathBuf,
    /// Names of which a client's certificate must carry one. Empty: clients need no certificate, and `ca.crt` is not read,
    /// because cert-manager puts one into every Secret.
    pub clients: Vec<ClientName>,
}

/// What happened to TLS since the start.
#[derive(Debug, Default)]
pub struct TlsCounters {
    /// Handshakes that failed or took too long.
    pub failed_handshakes: AtomicU64,
    /// Changed files that were taken over.
    pub reloads: AtomicU64,
    /// Changed files that could not be used; the certificate before them stays.
    pub failed_reloads: AtomicU64,
}

/// TLS as connections see it: cheap to clone, always the newest certificate that could be used.
#[derive(Clone)]
pub struct Tls {
    config: watch::Receiver<Arc<ServerConfig>>,
    counters: Arc<TlsCounters>,
}

impl Tls {
    /// Reads the files for the first time. The reloader must be run for changes to be noticed.
    pub fn load(options: TlsOptions) -> Result<(Self, Reloader), TlsError> {
        let files = files::Files::read(&options.directory)?;
        let config = files.config(&options)?;
        let (sender, receiver) = watch::channel(Arc::new(config));
        let counters = Arc::new(TlsCounters::default());
        let tls = Self {
            config: receiver,
            counters: Arc::clone(&counters),
        };
        Ok((tls, Reloader::new(options, files, sender, counters)))
    }

    /// What happened so far.
    pub fn counters(&self) -> &Arc<TlsCounters> {
        &self.counters
    }

    /// The stream after the handshake; none when it failed or took too long, which is counted.
    pub async fn handshake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.borrow());
        match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(_)) | Err(_) => {
                self.counters.failed_handshakes.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
