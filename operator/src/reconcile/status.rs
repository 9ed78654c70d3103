//! What `status` says: a pure function of what was read, planned and done; then one patch, if it differs.

use fraudops_crds::{
    FraudModel, FraudModelStatus,
    fraud_model::{
        Condition, ConditionReason as Reason, ConditionType as Type, Phase, RetiringVersion, upsert,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use thiserror::Error;

use super::{
    Context,
    apply::Applied,
    observed::Observed,
    plan::{Plan, RouteBlocked},
    validate::{Invalid, ValidModel},
};
use crate::{FIELD_MANAGER, build, events};

/// The status could not be written.
#[derive(Debug, Error)]
#[error("write the status of {name}")]
pub struct StatusError {
    name: String,
    source: kube::Error,
}

impl StatusError {
    /// What the API server said.
    pub fn cause(&self) -> &kube::Error {
        &self.source
    }
}

/// A condition before it has a time: status, reason and message.
struct Claim(&'static str, String, String);

fn claim(status: bool, reason: Reason, message: impl Into<String>) -> Claim {
    Claim(
        if status { "True" } else { "False" },
        reason.as_str().into(),
        message.into(),
    )
}

/// The status of a model whose spec can't be built. What served before keeps serving.
pub fn invalid(model: &FraudModel, invalid: &Invalid, now: Timestamp) -> FraudModelStatus {
    let mut status = model.status.clone().unwrap_or_default();
    status.observed_generation = model.metadata.generation;
    if status.stable.is_none() {
        status.phase = Some(Phase::Pending);
    }
    let mut conditions = Conditions::new(model, now);
    conditions.set(
        Type::Ready,
        claim(false, Reason::InvalidSpec, invalid.to_string()),
    );
    conditions.set(
        Type::Stalled,
        claim(true, Reason::InvalidSpec, invalid.to_string()),
    );
    conditions.clear(Type::Reconciling);
    status.conditions = conditions.list;
    status
}

/// The status after a visit.
pub fn status_of(
    model: &FraudModel,
    valid: &ValidModel,
    observed: &Observed,
    plan: &Plan,
    applied: &Applied,
    now: Timestamp,
) -> FraudModelStatus {
    let (ready_pods, wanted_pods) = plan
        .stable
        .as_ref()
        .map_or((0, 0), |stable| observed.pods_of(&valid.name, &stable.hash));
    let taken = taken(applied);
    let route = route(valid, observed, plan, taken.as_ref());
    let verified = verified(valid, observed, plan);
    let stalled = stalled(plan, &verified, taken.as_ref());
    let ready = ready(valid, plan, &route, &verified, taken, (ready_pods, wanted_pods));

    let mut conditions = Conditions::new(model, now);
    if ready.0 == "True" {
        conditions.clear(Type::Reconciling);
        conditions.clear(Type::Stalled);
    } else if let Some(Claim(_, reason, message)) = stalled {
        conditions.clear(Type::Reconciling);
        conditions.set(Type::Stalled, Claim("True", reason, message));
    } else {
        conditions.clear(Type::Stalled);
        conditions.set(Type::Reconciling, Claim("True", ready.1.clone(), ready.2.clone()));
    }
    conditions.set(Type::Ready, ready);
    conditions.set(Type::Available, available(plan, ready_pods, wanted_pods));
    conditions.set(Type::Progressing, progressing(plan));
    conditions.set(Type::ModelVerified, verified);
    conditions.set(Type::CertificateReady, certificate(valid, observed, plan));
    conditions.set(Type::RouteReady, route);
    conditions.list.sort_by_key(|condition| order(&condition.type_));

    FraudModelStatus {
        observed_generation: model.metadata.generation,
        phase: Some(plan.phase()),
        stable: plan.stable.clone(),
        candidate: plan.candidate.clone(),
        retiring: plan
            .step
            .retiring
            .iter()
            .map(|(hash, since)| RetiringVersion {
                hash: hash.clone(),
                since: Time(*since),
            })
            .collect(),
        url: Some(build::url(valid)),
        replicas: i32::try_from(wanted_pods).unwrap_or(i32::MAX),
        selector: plan.stable.as_ref().map(|stable| {
            let labels = build::selector(&valid.name, &stable.hash);
            labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(",")
        }),
        conditions: conditions.list,
    }
}

fn ready(
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
    if plan.candidate.is_some() {
        let serving = plan.stable.as_ref().map_or("nothing serves yet".into(), |s| {
            format!("{} keeps serving", s.version)
        });
        return Claim("False", verified.1.clone(), format!("{}; {serving}", verified.2));
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
    let message = format!(
        "{} serves at {} with {ready_pods} of {wanted_pods} pods",
        valid.wanted.version,
        build::url(valid)
    );
    claim(true, Reason::Reconciled, message)
}

fn available(plan: &Plan, ready_pods: i64, wanted_pods: i64) -> Claim {
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

fn progressing(plan: &Plan) -> Claim {
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

fn verified(valid: &ValidModel, observed: &Observed, plan: &Plan) -> Claim {
    let version = &valid.wanted.version;
    let (ready_pods, wanted_pods) = observed.pods_of(&valid.name, &valid.wanted.hash);
    match observed.problem(&valid.wanted.hash) {
        // Where one pod has verified the same bytes, another one's trouble is not the model's.
        Some((reason, message)) if ready_pods == 0 => Claim(
            "False",
            reason.into(),
            format!("{version} is not served: {message}"),
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

fn certificate(valid: &ValidModel, observed: &Observed, plan: &Plan) -> Claim {
    use super::observed::CertificateState;
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
            format!("Certificate {} is not issued: {why}", valid.name),
        ),
    }
}

const CERT_MANAGER_MISSING: &str = "kind Certificate (cert-manager.io/v1) is not installed: install cert-manager, or name a Secret of yours in spec.ingress.tls.secretName; looked for again every 15 s";
const TRAEFIK_MISSING: &str = "kinds IngressRoute and TraefikService (traefik.io/v1alpha1) are not installed: install Traefik with its CRDs, or remove spec.ingress; looked for again every 15 s";

fn route(valid: &ValidModel, observed: &Observed, plan: &Plan, taken: Option<&Claim>) -> Claim {
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
fn taken(applied: &Applied) -> Option<Claim> {
    if let Some(((kind, name), manager)) = applied.contested.iter().next() {
        let message = format!(
            "field manager {manager} keeps changing {kind:?} {name}: it is left as it is for up to {} min; stop that manager",
            super::truce::WINDOW.as_secs() / 60
        );
        return Some(claim(false, Reason::FieldConflict, message));
    }
    let (kind, name) = applied.taken.iter().next()?;
    let message =
        format!("{kind:?} {name} belongs to somebody else: remove or rename it, or rename this FraudModel");
    Some(claim(false, Reason::NameTaken, message))
}

/// What does not pass without somebody's help.
fn stalled(plan: &Plan, verified: &Claim, taken: Option<&Claim>) -> Option<Claim> {
    if let Some(Claim(status, reason, message)) = taken {
        return Some(Claim(status, reason.clone(), message.clone()));
    }
    let starting = [Reason::Starting.as_str(), Reason::PodsPending.as_str()].contains(&verified.1.as_str());
    if plan.candidate.is_some() && verified.0 == "False" && !starting {
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

fn order(type_: &str) -> usize {
    let order = [
        "Ready",
        "Available",
        "Progressing",
        "ModelVerified",
        "CertificateReady",
        "RouteReady",
    ];
    order
        .iter()
        .position(|known| *known == type_)
        .unwrap_or(order.len())
}

/// The conditions as they were, on their way to what they are.
struct Conditions {
    list: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    fn new(model: &FraudModel, now: Timestamp) -> Self {
        let list = model
            .status
            .as_ref()
            .map(|status| status.conditions.clone())
            .unwrap_or_default();
        Self {
            list,
            generation: model.metadata.generation,
            now,
        }
    }

    fn set(&mut self, type_: Type, Claim(status, reason, message): Claim) {
        let condition = Condition {
            type_: type_.as_str().into(),
            status: status.into(),
            reason,
            message,
            observed_generation: self.generation,
            last_transition_time: Time(self.now),
        };
        upsert(&mut self.list, condition, self.now);
    }

    fn clear(&mut self, type_: Type) {
        self.list.retain(|condition| condition.type_ != type_.as_str());
    }
}

/// Writes `status` if it differs, and tells what is new.
///
/// # Errors
/// When the API server refuses it or can't be reached.
pub async fn publish(ctx: &Context, model: &FraudModel, status: FraudModelStatus) -> Result<(), StatusError> {
    let before = model.status.clone().unwrap_or_default();
    if model.status.is_some() && before == status {
        return Ok(());
    }
    let (name, namespace) = (model.name_any(), model.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": "fraudops.dev/v1alpha1",
        "kind": "FraudModel",
        "metadata": { "name": name, "namespace": namespace, "uid": model.uid() },
        "status": status,
    });
    let api = Api::<FraudModel>::namespaced(ctx.client.clone(), &namespace);
    let ours = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&name, &ours, &Patch::Apply(&body))
        .await
        .map_err(|source| StatusError { name, source })?;
    ctx.events.tell(model, events::news(&before, &status)).await;
    Ok(())
}
