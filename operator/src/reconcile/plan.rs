//! From what was read to what is to exist. Pure.

use std::{collections::BTreeSet, time::Duration};

use fraudops_crds::{
    FraudModel,
    fraud_model::{ModelVersion, Phase, RejectedVersion},
};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    observed::{CertificateState, Observed},
    remember,
    validate::ValidModel,
};
use crate::{
    build::{self, Around, Backend, Child, Kind, Served, VERSION_HASH, version_name},
    rollout::{self, Evidence, Progress, Retiring, Sight, Stage, Step, Waits},
};

/// Pause before a kind that is missing is looked for again, or a problem that others must solve.
const RETRY: Duration = Duration::from_secs(15);
/// While pods start, their status changes anyway; this catches what no watch tells (a pod's own `/readyz`).
const STARTING: Duration = Duration::from_secs(3);

/// What a visit is about to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the rollout decided.
    pub step: Step,
    /// The version that is to have the traffic.
    pub stable: Option<ModelVersion>,
    /// The version that is being started.
    pub candidate: Option<ModelVersion>,
    /// What is to exist, in the order of application.
    pub desired: Vec<Child>,
    /// What keeps the route from being written.
    pub route_blocked: Option<RouteBlocked>,
    /// Pods of the wanted version are being replaced, after a change of the spec that made no other version.
    pub updating: bool,
    /// Versions that were rejected before this visit, without one whose retry was asked for.
    pub rejected: Vec<RejectedVersion>,
    /// The retry that is honoured.
    pub retried: Option<String>,
    /// Whether some pods speak TLS, so that what Traefik and they need for it has to stay.
    pub mtls_in_use: bool,
    /// ConfigMaps of lists that pods have mounted.
    pub lists_in_use: BTreeSet<String>,
}

/// What keeps the route from being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteBlocked {
    /// Traefik's kinds are not installed.
    TraefikMissing,
    /// cert-manager's kinds are not installed.
    CertManagerMissing,
    /// An older FraudModel has the host.
    HostTaken(String),
    /// The certificate is not there yet.
    CertificateNotReady(String),
    /// No version has serving endpoints yet.
    NoEndpoints,
}

impl Plan {
    /// The phase for `status`.
    pub fn phase(&self) -> Phase {
        match self.step.stage {
            Stage::Verifying => Phase::Verifying,
            Stage::Canary => Phase::Canary,
            Stage::Paused => Phase::Paused,
            Stage::Promoting => Phase::Promoting,
            Stage::RollingBack => Phase::RollingBack,
            Stage::RolledBack => Phase::RolledBack,
            Stage::Stable => Phase::Stable,
        }
    }

    /// Whether an object of ours that is not `desired` is to be left in place for now.
    pub fn keeps(&self, model: &ValidModel, kind: Kind, child: &kube::core::DynamicObject) -> bool {
        if let Some(hash) = child.labels().get(VERSION_HASH) {
            return self.step.retiring.contains_key(hash);
        }
        // What pods and Traefik show each other is needed until such pods are gone.
        let name = child.name_any();
        let between = [
            build::server_certificate_name(&model.name),
            build::client_certificate_name(&model.name),
        ];
        if matches!(kind, Kind::Issuer | Kind::ServersTransport)
            || (kind == Kind::Certificate && between.contains(&name))
        {
            return self.mtls_in_use && model.access.mtls.is_none();
        }
        // A pod of before cannot start again without what it has mounted.
        if kind == Kind::ConfigMap {
            return self.lists_in_use.contains(&name);
        }
        let route = matches!(kind, Kind::TraefikService | Kind::IngressRoute);
        // A route that serves is never taken down because its certificate is being renewed or its pods restart.
        route && model.ingress.is_some() && !matches!(self.route_blocked, Some(RouteBlocked::HostTaken(_)))
    }

    /// When to look again although nothing changed; `obstructed`: somebody else's object is in the way.
    pub fn next_visit(&self, obstructed: bool, resync: Duration) -> Duration {
        let mut wait = resync;
        if let Some(step) = self.step.wait {
            wait = wait.min(step);
        }
        if self.step.candidate.is_some() || self.updating {
            wait = wait.min(STARTING);
        }
        if self.route_blocked.is_some() || obstructed {
            wait = wait.min(RETRY);
        }
        wait
    }
}

/// Plans a visit.
pub fn plan(
    model: &FraudModel,
    valid: &ValidModel,
    observed: &Observed,
    waits: Waits,
    now: Timestamp,
) -> Plan {
    let (progress, known) = recall(model, valid, observed);
    let (rejected, retried) = remember::rejections(model);
    let blocked = route_blocked(valid, observed, known.as_ref());
    let in_reach = |hash: &str| is_in_reach(valid, observed, hash);
    let sight = observed.sight(&valid.name, &valid.wanted.hash, progress.stable.as_deref());
    let evidence = Evidence {
        wanted: valid.wanted.hash.clone(),
        rejected: rejected.iter().any(|r| r.digest == valid.wanted.digest),
        strategy: valid.rollout.clone(),
        sight: Sight {
            routable: blocked.is_none(),
            ready: sight.ready && in_reach(&valid.wanted.hash),
            ..sight
        },
        ready: observed
            .existing_versions()
            .into_iter()
            .filter(|h| observed.is_ready(&valid.name, h) && in_reach(h))
            .collect(),
        existing: observed.existing_versions(),
        routed: observed.routed_versions(&valid.name),
        fallback: observed.fallback_version(&valid.name),
        requests: observed.requests(),
    };
    let step = rollout::next(&progress, &evidence, waits, now);
    let named = |hash: &Option<String>| {
        let hash = hash.as_ref()?;
        // The wanted version is named by the spec, so that a moved uri reaches its Deployment.
        [Some(&valid.wanted), known.as_ref()]
            .into_iter()
            .flatten()
            .find(|v| v.hash == *hash)
            .cloned()
    };
    let (stable, candidate) = (named(&step.stable), named(&step.candidate));
    let route_blocked = route_blocked(valid, observed, stable.as_ref());
    let versions: Vec<(&ModelVersion, u8)> = [stable.as_ref(), candidate.as_ref()]
        .into_iter()
        .flatten()
        .map(|version| (version, step.weight_of(&version.hash)))
        .collect();
    let desired = desired(
        valid,
        observed,
        &versions,
        stable.as_ref(),
        step.fallback.as_deref(),
        route_blocked.as_ref(),
    );
    let planned = versions.iter().any(|(version, _)| version.mtls);
    let mut existing = observed.existing_versions().into_iter();
    let mtls_in_use = planned || existing.any(|hash| observed.speaks_mtls(&valid.name, &hash));
    Plan {
        step,
        stable,
        candidate,
        desired,
        route_blocked,
        updating: observed.is_updating(&valid.name, &valid.wanted.hash),
        rejected,
        retried,
        mtls_in_use,
        lists_in_use: observed.pods.iter().flat_map(|pod| pod.lists.clone()).collect(),
    }
}

/// Whether Traefik has what it needs to speak with the pods of a version.
fn is_in_reach(valid: &ValidModel, observed: &Observed, hash: &str) -> bool {
    let mtls = (valid.wanted.hash == hash && valid.wanted.mtls) || observed.speaks_mtls(&valid.name, hash);
    !mtls || valid.ingress.is_none() || observed.transport_lacks(&valid.name).is_none()
}

/// What earlier visits decided: from `status`, or, where that was lost, from the route as it stands.
fn recall(model: &FraudModel, valid: &ValidModel, observed: &Observed) -> (Progress, Option<ModelVersion>) {
    let status = model.status.clone().unwrap_or_default();
    let canary = remember::canary(&status);
    let giving_up = status.candidate.is_some() || status.phase == Some(Phase::RollingBack);
    let routed = || {
        // The stable version is the first of the list.
        let routed = observed.routed_in_order(&valid.name);
        routed
            .iter()
            .find_map(|hash| observed.described_version(&valid.name, hash))
    };
    let stable = status.stable.or_else(routed);
    let count = |n: i64| u64::try_from(n).ok();
    let retiring = status.retiring.into_iter().map(|r| {
        let entry = Retiring {
            since: r.since.0,
            requests: r.requests.and_then(count),
            heir: r.successor_requests.and_then(count),
        };
        (r.hash, entry)
    });
    (
        Progress {
            stable: stable.as_ref().map(|s| s.hash.clone()),
            canary,
            giving_up,
            retiring: retiring.collect(),
        },
        stable,
    )
}

fn route_blocked(
    valid: &ValidModel,
    observed: &Observed,
    stable: Option<&ModelVersion>,
) -> Option<RouteBlocked> {
    let ingress = valid.ingress.as_ref()?;
    let missing = |kind| observed.missing.contains(&kind);
    if let Some(rival) = &observed.rival {
        return Some(RouteBlocked::HostTaken(rival.clone()));
    }
    if missing(Kind::IngressRoute) || missing(Kind::TraefikService) {
        return Some(RouteBlocked::TraefikMissing);
    }
    if ingress.tls.as_ref().is_some_and(|tls| tls.issuer_ref.is_some()) {
        if missing(Kind::Certificate) {
            return Some(RouteBlocked::CertManagerMissing);
        }
        let asked = build::certificate(valid).map(|child| child.body["spec"].clone());
        let live = observed
            .child(Kind::Certificate, &valid.name)
            .map(|c| &c.data["spec"]);
        let current = asked
            .zip(live)
            .is_some_and(|(asked, live)| super::difference::is_within(&asked, live));
        match observed.certificate(&valid.name) {
            CertificateState::Ready if current => {}
            CertificateState::Ready => {
                return Some(RouteBlocked::CertificateNotReady("its spec just changed".into()));
            }
            CertificateState::NotReady(why) => return Some(RouteBlocked::CertificateNotReady(why)),
        }
    }
    if stable.is_some_and(|stable| stable.mtls) {
        if missing(Kind::ServersTransport) {
            return Some(RouteBlocked::TraefikMissing);
        }
        if let Some(why) = observed.transport_lacks(&valid.name) {
            return Some(RouteBlocked::CertificateNotReady(why));
        }
    }
    let serving = stable.is_some_and(|s| observed.serving(&version_name(&valid.name, &s.hash)) > 0);
    (!serving).then_some(RouteBlocked::NoEndpoints)
}

/// `versions`: all that are to run, the stable one first, with their shares of the traffic.
fn desired(
    valid: &ValidModel,
    observed: &Observed,
    versions: &[(&ModelVersion, u8)],
    stable: Option<&ModelVersion>,
    fallback: Option<&str>,
    blocked: Option<&RouteBlocked>,
) -> Vec<Child> {
    let replicas_of_stable = stable.map_or(0, |s| observed.pods_of(&valid.name, &s.hash).1);
    let served: Vec<Served<'_>> = versions
        .iter()
        .map(|(version, _)| Served {
            version,
            initial_replicas: initial_replicas(valid, observed, version, replicas_of_stable),
        })
        .collect();
    let around = Around {
        pod_monitors: !observed.missing.contains(&Kind::PodMonitor),
        guarded: observed.all_pods_ask(),
    };
    let mut desired = build::workloads(valid, &served, around);
    desired.extend(stable.map(|stable| build::stable_service(valid, stable)));
    let installed = |child: &Child| !observed.missing.contains(&child.kind);
    desired.extend(build::mtls(valid).into_iter().filter(installed));
    if !observed.missing.contains(&Kind::Certificate) && !matches!(blocked, Some(RouteBlocked::HostTaken(_)))
    {
        desired.extend(build::certificate(valid));
    }
    if let Some(stable) = stable {
        let live: BTreeSet<Kind> = observed.children.keys().map(|(kind, _)| *kind).collect();
        let fallback = match fallback {
            Some(hash) if hash != stable.hash => Backend {
                hash,
                mtls: observed.speaks_mtls(&valid.name, hash),
            },
            _ => Backend::of(stable),
        };
        desired.extend(
            build::route(valid, versions, fallback)
                .into_iter()
                .filter(|child| match (blocked, child.kind) {
                    (None, _) => true,
                    // The list of versions moves on also while a new certificate is on its way.
                    (Some(RouteBlocked::CertificateNotReady(_)), Kind::TraefikService) => {
                        live.contains(&Kind::TraefikService)
                    }
                    _ => false,
                }),
        );
    }
    desired.sort_by_key(|child| child.kind);
    desired
}

/// With an autoscaler: the pods that a Deployment begins with, so that a new version is not smaller than the one it
/// replaces. None once it is there: the number is the autoscaler's.
fn initial_replicas(
    valid: &ValidModel,
    observed: &Observed,
    version: &ModelVersion,
    stable: i64,
) -> Option<i32> {
    let bounds = valid.scorer.autoscaling.as_ref()?;
    let there = observed
        .child(Kind::Deployment, &version_name(&valid.name, &version.hash))
        .is_some();
    (!there).then(|| {
        i32::try_from(stable)
            .unwrap_or(bounds.max)
            .clamp(bounds.min, bounds.max)
    })
}

#[cfg(test)]
mod tests;
