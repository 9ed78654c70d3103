//! Leader election by a Lease: at most one replica works at a time.
//!
//! A candidate takes the Lease when it is absent, without a holder, or unchanged for its whole duration; every write
//! carries the resourceVersion that was read, so of two candidates one gets a conflict. The leader renews it, stops its
//! work when no renewal came through for two thirds of the duration, and clears the holder when it ends in order.
//! Not guaranteed: a write that left this process just before it lost the Lease may still arrive later; therefore
//! deletes carry preconditions and everything else is server-side apply.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use claim::{Candidate, Claim, Watched};
pub use fence::{Fence, NotLeader};

mod claim;
mod fence;

/// How the time as leader ended, if not by the end of the work.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Another process holds the Lease, or may hold it by now.
    #[error("lost the Lease {lease}: {cause}; the process ends so that it starts afresh")]
    Lost {
        /// Namespace and name of the Lease.
        lease: String,
        /// What was seen.
        cause: String,
    },
}

/// One process's part in the election.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    candidate: Candidate,
    fence: Fence,
    watched: Watched,
}

/// What one look at the Lease brought.
enum Attempt {
    Held,
    Other(String),
    Contended,
}

impl Election {
    /// Takes part as `identity`, which must be unique, for the Lease `namespace`/`name` that holds for `ttl`.
    ///
    /// `client` must not be behind `fence`: a candidate has to write before it leads.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
        ttl: Duration,
        fence: Fence,
    ) -> Self {
        let candidate = Candidate {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity,
            ttl,
        };
        Self {
            api: Api::namespaced(client, namespace),
            candidate,
            fence,
            watched: Watched::default(),
        }
    }

    /// Waits for the Lease, then runs `work` while it is held.
    ///
    /// `shutdown` ends the waiting (then the answer is `None`). Work that is under way must listen to it itself: the
    /// Lease is renewed until the work has ended, and released then. When the Lease is lost the work is dropped where
    /// it stands.
    pub async fn lead<W, F>(
        mut self,
        shutdown: CancellationToken,
        work: W,
    ) -> Result<Option<F::Output>, LeaderError>
    where
        W: FnOnce() -> F,
        F: Future,
    {
        let won = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            last = self.stand_by() => Some(last),
        };
        let Some(last) = won else {
            self.release().await; // a claim may have been under way
            return Ok(None);
        };
        info!(lease = %self.name(), identity = %self.candidate.identity, "became the leader");
        // Biased: after a freeze of the process the loss is seen before the work gets another turn.
        let outcome = tokio::select! {
            biased;
            cause = self.renew(last) => Err(cause),
            output = work() => Ok(output),
        };
        self.fence.close();
        match outcome {
            Ok(output) => {
                self.release().await;
                Ok(Some(output))
            }
            Err(cause) => Err(LeaderError::Lost {
                lease: self.name(),
                cause,
            }),
        }
    }

    /// Returns when the Lease is ours, with the time just before it was written.
    async fn stand_by(&mut self) -> Instant {
        let mut holder = String::new();
        loop {
            let before = Instant::now();
            match self.attempt().await {
                Ok(Attempt::Held) => {
                    self.fence.extend(before + self.deadline());
                    return before;
                }
                Ok(Attempt::Other(other)) if other != holder => {
                    info!(lease = %self.name(), holder = %other, "standing by");
                    holder = other;
                }
                Ok(Attempt::Other(_) | Attempt::Contended) => {}
                Err(cause) => warn!(lease = %self.name(), %cause, "can't read or take the Lease"),
            }
            self.pause().await;
        }
    }

    /// Renews until that fails; the answer says why.
    async fn renew(&mut self, mut last: Instant) -> String {
        loop {
            let end = last + self.deadline();
            tokio::select! {
                biased;
                () = sleep_until(end) => return format!("no renewal for {:?}", self.deadline()),
                () = sleep(self.candidate.ttl * 2 / 15) => {}
            }
            let before = Instant::now();
            let attempt = tokio::select! {
                biased;
                () = sleep_until(end) => return format!("no renewal for {:?}", self.deadline()),
                attempt = self.attempt() => attempt,
            };
            match attempt {
                Ok(Attempt::Held) => {
                    last = before;
                    self.fence.extend(last + self.deadline());
                }
                Ok(Attempt::Other(holder)) => return format!("held by {holder}"),
                // The answer to our own earlier write may have been lost: the next look tells.
                Ok(Attempt::Contended) => debug!(lease = %self.name(), "the Lease changed under a renewal"),
                Err(cause) => warn!(lease = %self.name(), %cause, "can't renew the Lease"),
            }
        }
    }

    /// Reads the Lease and writes it where that is our right.
    async fn attempt(&mut self) -> Result<Attempt, String> {
        let limit = self.candidate.ttl / 5;
        match timeout(limit, self.read_and_write()).await {
            Ok(answer) => answer.map_err(|err| err.to_string()),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }

    async fn read_and_write(&mut self) -> kube::Result<Attempt> {
        let lease = self.api.get_opt(&self.candidate.name).await?;
        let claim = self
            .watched
            .decide(lease, &self.candidate, Instant::now(), Timestamp::now());
        let written = match claim {
            Claim::Wait { holder } => return Ok(Attempt::Other(holder)),
            Claim::Write(lease) if lease.resource_version().is_none() => {
                self.api.create(&PostParams::default(), &lease).await
            }
            Claim::Write(lease) => {
                self.api
                    .replace(&self.candidate.name, &PostParams::default(), &lease)
                    .await
            }
        };
        match written {
            Ok(_) => Ok(Attempt::Held),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Attempt::Contended)
            }
            Err(err) => Err(err),
        }
    }

    /// Clears the holder, so that another candidate takes over at its next look; what fails is left to the clock.
    async fn release(&self) {
        let released = timeout(self.candidate.ttl / 5, async {
            let Some(lease) = self.api.get_opt(&self.candidate.name).await? else {
                return Ok(false);
            };
            let Some(lease) = self.candidate.released(lease) else {
                return Ok(false);
            };
            self.api
                .replace(&self.candidate.name, &PostParams::default(), &lease)
                .await
                .map(|_| true)
        });
        match released.await {
            Ok(Ok(true)) => {
                info!(lease = %self.name(), identity = %self.candidate.identity, "released the Lease")
            }
            Ok(Ok(false)) => {}
            Ok(Err(cause)) => {
                warn!(lease = %self.name(), %cause, "can't release the Lease: it runs out by itself")
            }
            Err(_) => {
                warn!(lease = %self.name(), "no answer to the release of the Lease: it runs out by itself")
            }
        }
    }

    /// Waits for the next look: soon enough for a hand-over, and exactly when the Lease goes stale.
    async fn pause(&self) {
        let ttl = self.candidate.ttl;
        let next = Instant::now() + ttl / 15;
        let stale = self.watched.stale_at(ttl).filter(|stale| *stale > Instant::now());
        sleep_until(stale.map_or(next, |stale| stale.min(next))).await;
    }

    /// Without a renewal for this long the work stops.
    fn deadline(&self) -> Duration {
        self.candidate.ttl * 2 / 3
    }

    fn name(&self) -> String {
        format!("{}/{}", self.candidate.namespace, self.candidate.name)
    }
}

#[cfg(test)]
mod tests;
