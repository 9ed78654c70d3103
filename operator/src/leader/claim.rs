//! Who may take the Lease: pure, the clock comes in as a parameter.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use tokio::time::Instant;

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Claim {
    /// Write this object: it keeps, takes or (without resourceVersion) creates the Lease.
    Write(Box<Lease>),
    /// Somebody else holds it.
    Wait { holder: String },
}

/// The Lease as one candidate saw it over time.
///
/// Clocks of two machines are never compared: a Lease is stale when its resourceVersion stood still for its whole
/// duration on our own monotonic clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    seen: Option<(String, Instant)>,
}

impl Watched {
    /// Decides about `lease` as just read by `candidate`; `now` is our monotonic clock, `wall` goes into the object.
    pub(super) fn decide(
        &mut self,
        lease: Option<Lease>,
        candidate: &Candidate,
        now: Instant,
        wall: Timestamp,
    ) -> Claim {
        let Some(lease) = lease else {
            return Claim::Write(Box::new(candidate.first(wall)));
        };
        let still = self.stood_still(&lease, now);
        let spec = lease.spec.clone().unwrap_or_default();
        match spec.holder_identity.clone().filter(|holder| !holder.is_empty()) {
            Some(holder) if holder == candidate.identity => {
                Claim::Write(Box::new(candidate.renewed(lease, spec, wall)))
            }
            Some(holder) if still < promised(&spec).unwrap_or(candidate.ttl) => Claim::Wait { holder },
            Some(_) | None => Claim::Write(Box::new(candidate.taken(lease, spec, wall))),
        }
    }

    /// For how long the Lease has not changed, as far as we saw.
    fn stood_still(&mut self, lease: &Lease, now: Instant) -> Duration {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => now.duration_since(*since),
            _ => {
                self.seen = Some((version, now));
                Duration::ZERO
            }
        }
    }

    /// When the Lease, if it stays as it is, may be taken.
    pub(super) fn stale_at(&self, ttl: Duration) -> Option<Instant> {
        self.seen.as_ref().map(|(_, since)| *since + ttl)
    }
}

/// Who wants the Lease.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) ttl: Duration,
}

impl Candidate {
    fn first(&self, wall: Timestamp) -> Lease {
        let metadata = ObjectMeta {
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            ..ObjectMeta::default()
        };
        Lease {
            metadata,
            spec: Some(self.held_since(wall, 0)),
        }
    }

    fn renewed(&self, lease: Lease, spec: LeaseSpec, wall: Timestamp) -> Lease {
        let held = self.held_since(wall, spec.lease_transitions.unwrap_or(0));
        let spec = LeaseSpec {
            acquire_time: spec.acquire_time.or(held.acquire_time.clone()),
            ..held
        };
        Lease {
            spec: Some(spec),
            ..lease
        }
    }

    fn taken(&self, lease: Lease, spec: LeaseSpec, wall: Timestamp) -> Lease {
        let transitions = spec.lease_transitions.unwrap_or(0).saturating_add(1);
        Lease {
            spec: Some(self.held_since(wall, transitions)),
            ..lease
        }
    }

    /// The Lease without a holder, if it is still ours.
    pub(super) fn released(&self, lease: Lease) -> Option<Lease> {
        let spec = lease
            .spec
            .clone()
            .filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity))?;
        Some(Lease {
            spec: Some(LeaseSpec {
                holder_identity: None,
                ..spec
            }),
            ..lease
        })
    }

    fn held_since(&self, wall: Timestamp, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(whole_seconds(self.ttl)),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// How long the holder asked the others to wait.
fn promised(spec: &LeaseSpec) -> Option<Duration> {
    spec.lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs)
}

fn whole_seconds(ttl: Duration) -> i32 {
    i32::try_from(ttl.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
