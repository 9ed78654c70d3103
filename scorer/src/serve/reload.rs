//! Puts models into service as they come from the loader: the first one, and with `--reload` each that takes its place.
//!
//! All that can fail has been done when a model arrives here. Each thread gets its pipeline in one message and exchanges it
//! between two requests; what is under way ends on the pipeline that it began with, which goes with the last of its requests.

use std::time::Instant;

use jiff::Timestamp;
use tokio::{
    signal::unix::Signal,
    sync::mpsc::{Receiver, UnboundedSender},
    task::spawn_local,
};

use super::{Candidate, Server, loader::News, services::Services};
use crate::{
    http::{Facts, Install},
    metrics::ModelLabels,
    model::{ModelError, Reason},
    state::Rejected,
};

/// Asks the loader for a look at each SIGHUP.
pub fn ask_on(mut hangup: Signal, ask: std::sync::mpsc::Sender<()>) {
    spawn_local(async move { while hangup.recv().await.is_some() && ask.send(()).is_ok() {} });
}

/// Where models go.
pub struct Service<'a> {
    server: &'a Server,
    /// One for each thread.
    installs: Vec<UnboundedSender<Install>>,
    /// Made for the first model.
    services: Option<Services>,
    /// Whether the loader has told anything before: what comes then is a reload.
    is_told: bool,
}

impl<'a> Service<'a> {
    /// Nothing is in service.
    pub fn new(server: &'a Server, installs: Vec<UnboundedSender<Install>>) -> Self {
        Self {
            server,
            installs,
            services: None,
            is_told: false,
        }
    }

    /// Takes what the loader tells, until it tells nothing more.
    pub async fn follow(mut self, mut news: Receiver<News>) {
        while let Some(told) = news.recv().await {
            match told {
                News::Prepared { candidate, begun } => self.put_into_service(*candidate, begun).await,
                News::Rejected { sha256, error } => self.reject(sha256, error),
                News::Restored => {
                    tracing::info!("the model file is again the one that serves");
                    self.server.state.set_rejected(None);
                }
            }
            self.is_told = true;
        }
        if !self.is_told {
            let message = "there is no thread that verifies the model";
            self.reject(None, ModelError::new(Reason::ModelUnreadable, message));
        } else if self.server.arguments.reload.is_some() {
            tracing::error!("the thread that looks at the model file has ended; what serves goes on");
        }
        // The lists are looked after for as long as the services are held.
        std::future::pending().await
    }

    async fn put_into_service(&mut self, mut candidate: Candidate, begun: Instant) {
        let services = match self.services.take() {
            Some(services) => services,
            None => match Services::start(self.server, &candidate) {
                Ok(services) => services,
                Err(error) => return self.reject(Some(candidate.card.sha256), error),
            },
        };
        let services = self.services.insert(services);
        let installs = services.installs(&mut candidate);
        let mut pending = Vec::new();
        for (thread, (install, installed)) in self.installs.iter().zip(installs) {
            let _ = thread.send(install);
            pending.push(installed);
        }
        for installed in pending {
            if installed.await.is_err() {
                return; // the thread has ended, and its end is reported
            }
        }
        services.serve(self.server, &candidate);
        self.announce(candidate, begun);
    }

    /// Says everywhere which model serves.
    fn announce(&self, candidate: Candidate, begun: Instant) {
        let server = self.server;
        let Candidate { card, policy, .. } = candidate;
        if let Some(bridge) = &server.bridge {
            bridge.announce(Some(Facts {
                name: policy.name.clone(),
                version: policy.version.clone(),
                width: policy.schema.width(),
            }));
        }
        let since = if self.is_told { begun } else { server.started };
        let took = since.elapsed();
        let (version, sha256, algorithm) =
            (card.version.clone(), card.sha256.clone(), card.algorithm.clone());
        let (model, engine, before) = (card.name.as_str(), card.engine.as_str(), server.state.card());
        match before {
            None => tracing::info!(model, version, sha256, algorithm, engine, ?took, "ready"),
            Some(before) => tracing::info!(
                model,
                version,
                sha256,
                algorithm,
                engine,
                ?took,
                before = before.version,
                before_sha256 = before.sha256,
                "another model serves"
            ),
        }
        server.metrics.set_model_name(&card.name);
        let labels = ModelLabels {
            version,
            sha256,
            algorithm,
        };
        server.metrics.set_model(labels, took);
        if self.is_told {
            server.metrics.reloaded(true);
        }
        server.state.set_rejected(None);
        server.state.set_ready(card);
    }

    /// A file that cannot be served leaves everything as it was.
    fn reject(&self, sha256: Option<String>, error: ModelError) {
        let server = self.server;
        let (reason, message) = (error.reason.as_str(), error.message.as_str());
        if self.is_told {
            server.metrics.reloaded(false);
        }
        if server.state.card().is_none() {
            tracing::error!(reason, message, "the model cannot be served");
            return server.state.set_failed(error);
        }
        tracing::error!(
            reason,
            message,
            sha256,
            "the changed model file cannot be served, the model before it goes on"
        );
        server.state.set_rejected(Some(Rejected {
            sha256,
            error,
            at: Timestamp::now(),
        }));
    }
}
