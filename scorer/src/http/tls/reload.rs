//! Looks at the files from time to time. Kubernetes swaps a mounted Secret by a link, which no watch on a file sees.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{sync::watch, time::sleep};

use super::{
    TlsCounters, TlsOptions,
    files::{Files, TlsError},
};

/// Takes over changed files. Open connections keep the certificate that they began with.
pub struct Reloader {
    options: TlsOptions,
    current: Files,
    /// Files that were refused, so that they are not complained about again.
    refused: Option<Files>,
    sender: watch::Sender<Arc<ServerConfig>>,
    counters: Arc<TlsCounters>,
}

impl Reloader {
    pub(super) fn new(
        options: TlsOptions,
        current: Files,
        sender: watch::Sender<Arc<ServerConfig>>,
        counters: Arc<TlsCounters>,
    ) -> Self {
        Self {
            options,
            current,
            refused: None,
            sender,
            counters,
        }
    }

    /// Looks at the files again and again until nobody uses TLS any more.
    pub async fn run(mut self, every: Duration) {
        while !self.sender.is_closed() {
            sleep(every).await;
            match self.look() {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(directory = %self.options.directory.display(), "TLS files reloaded")
                }
                Err(error) => {
                    tracing::error!(%error, "changed TLS files cannot be used: the certificate before them stays");
                }
            }
        }
    }

    /// True when changed files were taken over. Content that cannot be used is an error once, a missing file each time.
    pub fn look(&mut self) -> Result<bool, TlsError> {
        let outcome = self.take_over();
        match &outcome {
            Ok(false) => {}
            Ok(true) => {
                self.counters.reloads.fetch_add(1, Relaxed);
            }
            Err(_) => {
                self.counters.failed_reloads.fetch_add(1, Relaxed);
            }
        }
        outcome
    }

    fn take_over(&mut self) -> Result<bool, TlsError> {
        let files = Files::read(&self.options.directory)?;
        if files == self.current || self.refused.as_ref() == Some(&files) {
            return Ok(false);
        }
        match files.config(&self.options) {
            Ok(config) => {
                self.sender.send_replace(Arc::new(config));
                (self.current, self.refused) = (files, None);
                Ok(true)
            }
            Err(error) => {
                self.refused = Some(files);
                Err(error)
            }
        }
    }
}
