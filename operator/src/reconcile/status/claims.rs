//! What each condition claims, and the words for it. docs/operations.md explains every reason.

mod access;

use fraudops_crds::fraud_model::{ConditionReason as Reason, RETRY};

use crate::{
    build,
    reconcile::{
        apply::Applied,
        observed::{CertificateState, Observed},
        plan::{Plan, RouteBlocked},
        validate::ValidModel,
    },
    rollout::{Ended, Hold, Stage},
};

pub(super) use access::{certificate, feedback};

/// A condition before it has a time: status, reason and message.
pub(super) struct Claim(pub &'static str, pub String, pub String);

pub(super) fn claim(status: bool, reason: Reason, message: impl Into<String>) -> Claim {
    Claim(
        if status { "True" } else { "False" },
        reason.as_str().into(),
        message.into(),
    )
}

pub(super) fn ready(
    valid: &ValidModel,
    plan: &Plan,
    route: &Claim,
    verified: &Claim,
    taken: Option<Claim>,
    (ready_pods, wanted_pods): (i64, i64),
) -> Claim {
    if let Some(taken) = taken {
        return taken;
    }
    if let Some(claim) = judged(valid, plan) {
        return claim;
    }
    if plan.candidate.is_some() {
        let serving = match &plan.stable {
            None => "nothing serves yet".into(),
            Some(stable) => format!("{} keeps serving", stable.version),
        };
        let Claim(status, reason, message) = verified;
        // Checked, but the pods have to stay ready for a moment before the traffic moves.
        let reason = if *status == "True" {
            Reason::Starting.as_str()
        } else {
            reason
        };
        return Claim("False", reason.into(), format!("{message}; {serving}"));
    }
    if valid.ingress.is_some() && route.0 != "True" {
        return Claim("False", route.1.clone(), route.2.clone());
    }
    if ready_pods == 0 {
        return claim(
            false,
            Reason::NoReadyPods,
            format!("0 of {wanted_pods} pods of {} are ready", valid.wanted.version),
        );
    }
    if let Claim("False", reason, message) = verified {
        return Claim("False", reason.clone(), message.clone());
    }
    let message = format!(
        "{} serves at {} with {ready_pods} of {wanted_pods} pods",
        valid.wanted.version,
        build::url(valid)
    );
    claim(true, Reason::Reconciled, message)
}

pub(super) fn available(plan: &Plan, ready_pods: i64, wanted_pods: i64) -> Claim {
    match &plan.stable {
        None => claim(false, Reason::NoStableVersion, "no version serves yet"),
        Some(stable) if ready_pods == 0 => claim(
            false,
            Reason::NoReadyPods,
            format!("0 of {wanted_pods} pods of {} are ready", stable.version),
        ),
        Some(stable) => {
            let message = format!(
                "{ready_pods} of {wanted_pods} pods of {} are ready",
                stable.version
            );
            claim(true, Reason::PodsReady, message)
        }
    }
}

pub(super) fn progressing(valid: &ValidModel, plan: &Plan) -> Claim {
    match (judged(valid, plan), plan.step.stage) {
        (Some(Claim(_, reason, message)), Stage::RolledBack) => return Claim("False", reason, message),
        (Some(Claim(_, reason, message)), _) => return Claim("True", reason, message),
        (None, _) => {}
    }
    match (&plan.candidate, plan.step.retiring.is_empty()) {
        (Some(candidate), _) => claim(
            true,
            Reason::Starting,
            format!("{} is being started", candidate.version),
        ),
        (None, false) => claim(
            true,
            Reason::Retiring,
            "the version before is kept until no request can reach it",
        ),
        (None, true) => claim(false, Reason::Idle, "nothing is under way"),
    }
}

/// What is said of a version that has a share of the traffic, had one, or is kept from it by the spec.
fn judged(valid: &ValidModel, plan: &Plan) -> Option<Claim> {
    let wanted = &valid.wanted.version;
    let stable = plan.stable.as_ref().map_or("nothing", |stable| &stable.version);
    if plan.is_rejected(valid) {
        let known = plan.rejected.iter().find(|r| r.digest == valid.wanted.digest);
        let why = match &plan.step.ended {
            Some(Ended::RolledBack(why)) => why,
            _ => &known?.reason,
        };
        let message = format!(
            "{wanted} gets no traffic, {stable} has it all: {why}. Name another version, or set the annotation {RETRY} to {}",
            valid.wanted.digest
        );
        return Some(claim(false, Reason::RolledBack, message));
    }
    let reason = match plan.step.stage {
        Stage::Canary => Reason::Canary,
        Stage::Paused => Reason::Paused,
        Stage::Verifying | Stage::Promoting | Stage::RollingBack | Stage::RolledBack | Stage::Stable => {
            return None;
        }
    };
    let (canary, steps) = (plan.step.canary.as_ref()?, &valid.rollout.as_ref()?.steps);
    let at = match canary.weight {
        0 => "without traffic".into(),
        weight => format!("at {weight} %, step {} of {}", canary.step + 1, steps.len()),
    };
    let why = plan.step.hold.as_ref().map_or("the step just began".into(), held);
    let mut message = format!("{wanted} {at}, {stable} keeps serving; {why}");
    if !plan.step.judgements.is_empty() {
        message = format!("{message}; {}", super::rollout::numbers(plan));
    }
    Some(claim(false, reason, message))
}

fn held(hold: &Hold) -> String {
    match hold {
        Hold::Starting => "its pods are being started".into(),
        Hold::Route => "it waits for the route".into(),
        Hold::Paused => "spec.rollout.paused keeps it there".into(),
        Hold::Duration(_) => "the step has not taken its minDuration yet".into(),
        Hold::Gates => "it waits for its gates".into(),
        Hold::NotReady => "some of its pods are not ready".into(),
        Hold::Lost => "it lost all its serving pods and begins again".into(),
    }
}

pub(super) fn verified(valid: &ValidModel, observed: &Observed, plan: &Plan) -> Claim {
    let version = &valid.wanted.version;
    let (ready_pods, wanted_pods) = observed.pods_of(&valid.name, &valid.wanted.hash);
    if plan.candidate.as_ref().is_some_and(|candidate| candidate.mtls)
        && let Some(claim) = access::awaits_certificate(valid, observed)
    {
        return claim;
    }
    match observed.problem(&valid.wanted.hash) {
        // Where one pod has verified the same bytes, another one's trouble is not the model's.
        Some((reason, message)) if ready_pods == 0 => Claim(
            "False",
            reason.into(),
            format!("{version} is not served: {message}"),
        ),
        // A change of the spec that cannot be used, such as a rule.
        Some((reason, message)) if plan.updating => Claim(
            "False",
            reason.into(),
            format!("{version} goes on as it was before the change: {message}"),
        ),
        _ if ready_pods > 0 => claim(
            true,
            Reason::Verified,
            format!("{version} was fetched, checked and warmed up"),
        ),
        // Checked before, and now without a ready pod: the bytes are the same.
        _ if plan.candidate.is_none() => {
            claim(true, Reason::Verified, format!("{version} was checked before"))
        }
        _ => claim(
            false,
            Reason::Starting,
            format!("{version}: {ready_pods} of {wanted_pods} pods are ready"),
        ),
    }
}

fn route_certificate(valid: &ValidModel, observed: &Observed, plan: &Plan) -> Claim {
    let Some(tls) = valid.ingress.as_ref().and_then(|ingress| ingress.tls.as_ref()) else {
        return claim(true, Reason::NotRequested, "the spec asks for no certificate");
    };
    if let Some(secret) = &tls.secret_name {
        return claim(
            true,
            Reason::UserProvided,
            format!("Secret {secret} is used as it is; the operator reads no Secrets"),
        );
    }
    if plan.route_blocked == Some(RouteBlocked::CertManagerMissing)
        || observed.missing.contains(&build::Kind::Certificate)
    {
        return claim(false, Reason::CertManagerMissing, CERT_MANAGER_MISSING);
    }
    match observed.certificate(&valid.name) {
        CertificateState::Ready => claim(
            true,
            Reason::Issued,
            format!("Secret {} is there", build::secret_name(&valid.name)),
        ),
        CertificateState::NotReady(why) => claim(
            false,
            Reason::NotIssued,
            format!(
                "Certificate {} is not issued{}: {why}",
                valid.name,
                tls.issuer_ref.as_ref().map_or_else(String::new, |issuer| format!(
                    " by {} {}",
                    issuer.kind.as_str(),
                    issuer.name
                )),
            ),
        ),
    }
}

const CERT_MANAGER_MISSING: &str = "kind Certificate (cert-manager.io/v1) is not installed: install cert-manager, or name a Secret of yours in spec.ingress.tls.secretName; looked for again every 15 s";
const TRAEFIK_MISSING: &str = "kinds IngressRoute and TraefikService (traefik.io/v1alpha1) are not installed: install Traefik with its CRDs, or remove spec.ingress; looked for again every 15 s";

pub(super) fn route(valid: &ValidModel, observed: &Observed, plan: &Plan, taken: Option<&Claim>) -> Claim {
    if valid.ingress.is_none() {
        return claim(true, Reason::NotRequested, "the spec asks for no route");
    }
    if let Some(Claim(status, reason, message)) = taken {
        return Claim(status, reason.clone(), message.clone());
    }
    let there = observed.child(build::Kind::IngressRoute, &valid.name).is_some();
    match &plan.route_blocked {
        None => claim(true, Reason::Routed, build::url(valid)),
        Some(RouteBlocked::TraefikMissing) => claim(false, Reason::TraefikMissing, TRAEFIK_MISSING),
        Some(RouteBlocked::CertManagerMissing) => {
            claim(false, Reason::CertManagerMissing, CERT_MANAGER_MISSING)
        }
        Some(RouteBlocked::HostTaken(rival)) => claim(
            false,
            Reason::HostTaken,
            format!(
                "host and path belong to FraudModel {rival}, which is older: choose another spec.ingress.host or path"
            ),
        ),
        Some(RouteBlocked::CertificateNotReady(why)) => claim(
            false,
            Reason::CertificateNotReady,
            format!("the route waits for the certificate: {why}"),
        ),
        Some(RouteBlocked::NoEndpoints) if there => claim(true, Reason::Routed, build::url(valid)),
        Some(RouteBlocked::NoEndpoints) => claim(
            false,
            Reason::NoStableVersion,
            "the route waits for a version that serves",
        ),
    }
}

/// What others hold: a name, or the fields of an object.
pub(super) fn taken(applied: &Applied) -> Option<Claim> {
    if let Some(((kind, name), manager)) = applied.contested.iter().next() {
        let message = format!(
            "field manager {manager} keeps changing {kind:?} {name}: it is left as it is for up to {} min; stop that manager",
            crate::reconcile::truce::WINDOW.as_secs() / 60
        );
        return Some(claim(false, Reason::FieldConflict, message));
    }
    let (kind, name) = applied.taken.iter().next()?;
    let message =
        format!("{kind:?} {name} belongs to somebody else: remove or rename it, or rename this FraudModel");
    Some(claim(false, Reason::NameTaken, message))
}

/// What does not pass without somebody's help.
pub(super) fn stalled(
    valid: &ValidModel,
    plan: &Plan,
    verified: &Claim,
    taken: Option<&Claim>,
) -> Option<Claim> {
    if let Some(Claim(status, reason, message)) = taken {
        return Some(Claim(status, reason.clone(), message.clone()));
    }
    let starting = [Reason::Starting.as_str(), Reason::PodsPending.as_str()].contains(&verified.1.as_str());
    if plan.step.stage == Stage::RolledBack
        && let Some(Claim(_, reason, message)) = judged(valid, plan)
    {
        return Some(Claim("True", reason, message));
    }
    if (plan.candidate.is_some() || plan.updating) && verified.0 == "False" && !starting {
        return Some(Claim("True", verified.1.clone(), verified.2.clone()));
    }
    match &plan.route_blocked {
        Some(RouteBlocked::HostTaken(rival)) => Some(claim(
            true,
            Reason::HostTaken,
            format!("host and path belong to FraudModel {rival}"),
        )),
        Some(RouteBlocked::TraefikMissing) => Some(claim(true, Reason::TraefikMissing, TRAEFIK_MISSING)),
        Some(RouteBlocked::CertManagerMissing) => {
            Some(claim(true, Reason::CertManagerMissing, CERT_MANAGER_MISSING))
        }
        _ => None,
    }
}
