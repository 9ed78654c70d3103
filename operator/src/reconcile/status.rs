//! What `status` says: a pure function of what was read, planned and done; then one patch, if it differs.

mod claims;
mod rollout;

use fraudops_crds::{
    FraudModel, FraudModelStatus,
    fraud_model::{Condition, ConditionReason as Reason, ConditionType as Type, Phase, upsert},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use thiserror::Error;

use self::claims::{
    Claim, available, certificate, claim, feedback, progressing, ready, route, stalled, taken, verified,
};
use super::{Context, apply::Applied, observed::Observed, plan::Plan, validate::ValidModel};
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

/// The status of a model that nothing could be done for: its spec can't be built (`InvalidSpec`), or the API server
/// refused what is needed (`Forbidden`). What served before keeps serving.
pub fn obstructed(model: &FraudModel, reason: Reason, message: &str, now: Timestamp) -> FraudModelStatus {
    let mut status = model.status.clone().unwrap_or_default();
    status.observed_generation = model.metadata.generation;
    if status.stable.is_none() {
        status.phase = Some(Phase::Pending);
    }
    let mut conditions = Conditions::new(model, now);
    conditions.set(Type::Ready, claim(false, reason, message));
    conditions.set(Type::Stalled, claim(true, reason, message));
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
    let stalled = stalled(valid, plan, &verified, taken.as_ref());
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
    conditions.set(Type::Progressing, progressing(valid, plan));
    conditions.set(Type::ModelVerified, verified);
    conditions.set(Type::CertificateReady, certificate(valid, observed, plan));
    conditions.set(Type::RouteReady, route);
    conditions.set(Type::FeedbackProtected, feedback(valid, observed));
    conditions.list.sort_by_key(|condition| order(&condition.type_));

    let before = model.status.clone().unwrap_or_default();
    let mut status = FraudModelStatus {
        observed_generation: model.metadata.generation,
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
        ..FraudModelStatus::default()
    };
    rollout::record(&mut status, &before, valid, plan, now);
    status
}

/// The status with what `plan` decided, and nothing else changed.
pub fn decided(model: &FraudModel, valid: &ValidModel, plan: &Plan, now: Timestamp) -> FraudModelStatus {
    let before = model.status.clone().unwrap_or_default();
    let mut status = before.clone();
    rollout::record(&mut status, &before, valid, plan, now);
    status
}

fn order(type_: &str) -> usize {
    let order = [
        "Ready",
        "Available",
        "Progressing",
        "ModelVerified",
        "CertificateReady",
        "RouteReady",
        "FeedbackProtected",
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

/// Writes `status` if it differs from what was there `before`, and tells what is new.
///
/// # Errors
/// When the API server refuses it or can't be reached.
pub async fn publish(
    ctx: &Context,
    model: &FraudModel,
    before: Option<&FraudModelStatus>,
    status: &FraudModelStatus,
) -> Result<(), StatusError> {
    if before == Some(status) {
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
    let before = before.cloned().unwrap_or_default();
    ctx.events.tell(model, events::news(&before, status)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::{
        fixture::{self, Scene},
        reconcile::{
            plan::plan,
            pods::{PodReport, Problem},
            validate::validate,
        },
    };

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn visit(model: &FraudModel, observed: &Observed, applied: &Applied) -> FraudModelStatus {
        let valid = validate(model, &fixture::defaults()).unwrap();
        let plan = plan(model, &valid, observed, crate::rollout::Waits::default(), now());
        status_of(model, &valid, observed, &plan, applied, now())
    }

    fn told(status: &FraudModelStatus, type_: &str) -> (String, String) {
        let found = status.conditions.iter().find(|c| c.type_ == type_);
        found.map_or(("absent".into(), String::new()), |c| {
            (c.status.clone(), c.reason.clone())
        })
    }

    /// kstatus (sigs.k8s.io/cli-utils): what `kubectl wait`, Flux and others make of a status.
    fn kstatus(status: &FraudModelStatus) -> &'static str {
        let is_true = |type_| told(status, type_).0 == "True";
        match (is_true("Reconciling"), is_true("Stalled"), is_true("Ready")) {
            (true, _, _) => "InProgress",
            (_, true, _) => "Failed",
            (_, _, true) => "Current",
            _ => "InProgress",
        }
    }

    #[test]
    fn a_first_visit_is_in_progress_with_a_generation_on_every_condition() {
        let status = visit(&fixture::model(), &Observed::default(), &Applied::default());
        assert_eq!(kstatus(&status), "InProgress");
        assert_eq!(status.phase, Some(Phase::Verifying));
        assert_eq!(status.observed_generation, Some(1));
        assert!(status.conditions.iter().all(|c| c.observed_generation == Some(1)));
        let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        let all = [
            "Ready",
            "Available",
            "Progressing",
            "ModelVerified",
            "CertificateReady",
            "RouteReady",
            "FeedbackProtected",
            "Reconciling",
        ];
        assert_eq!(types, all);
        let untrue = all[..7]
            .iter()
            .filter(|type_| told(&status, type_).0 == "False")
            .count();
        assert_eq!(untrue, 6, "only Progressing is true: {:?}", status.conditions);
    }

    #[test]
    fn a_model_that_serves_is_current() {
        let scene = Scene::serving();
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(kstatus(&status), "Current");
        assert_eq!(status.phase, Some(Phase::Stable));
        assert_eq!(status.url.as_deref(), Some("https://card-fraud.example.test"));
        assert_eq!(
            (status.replicas, told(&status, "RouteReady").1.as_str()),
            (2, "Routed")
        );
        assert_eq!(
            told(&status, "FeedbackProtected"),
            ("False".into(), "Open".into()),
            "which is told, and no reason to be less than Ready"
        );
        assert_eq!(status.conditions.len(), 7);
    }

    #[test]
    fn a_candidate_that_fails_is_stalled_while_the_stable_version_stays_available() {
        let mut scene = Scene::serving();
        scene.model.spec.model.version = "2".into();
        let wanted = validate(&scene.model, &fixture::defaults()).unwrap().wanted;
        let problem = Problem {
            reason: "GoldenMismatch".into(),
            message: "row 3: 0.5, expected 0.1".into(),
        };
        scene.observed.pods = vec![PodReport {
            hash: wanted.hash,
            problem: Some(problem),
            ..Default::default()
        }];
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(kstatus(&status), "Failed");
        assert_eq!(
            told(&status, "ModelVerified"),
            ("False".into(), "GoldenMismatch".into())
        );
        assert_eq!(told(&status, "Available").0, "True");
        assert_eq!(status.stable.map(|s| s.version).as_deref(), Some("2026.11.1"));
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(
            ready.message,
            "2 is not served: row 3: 0.5, expected 0.1; 2026.11.1 keeps serving"
        );
    }

    #[test]
    fn a_change_that_its_pods_refuse_is_stalled_while_those_of_before_go_on() {
        let mut scene = Scene::serving();
        let hash = validate(&scene.model, &fixture::defaults()).unwrap().wanted.hash;
        let problem = Problem {
            reason: "RuleInvalid".into(),
            message: "rule `vip`: line 1, column 1: there is no field X".into(),
        };
        let ready = PodReport {
            hash: hash.clone(),
            ready: true,
            ..PodReport::default()
        };
        let refusing = PodReport {
            ready: false,
            problem: Some(problem),
            ..ready.clone()
        };
        scene.observed.pods = vec![ready.clone(), ready, refusing];
        // One more than wanted, and in trouble by itself: nothing that the spec could be blamed for.
        scene.deployment(&json!({ "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2 }));
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(kstatus(&status), "Current");

        scene.deployment(&json!({ "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2 }));
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(kstatus(&status), "Failed");
        let refused = ("False".into(), "RuleInvalid".into());
        assert_eq!(told(&status, "ModelVerified"), refused);
        assert_eq!(told(&status, "Ready"), refused);
        assert_eq!(told(&status, "Available").0, "True");
        assert_eq!(status.phase, Some(Phase::Stable));
        assert_eq!(
            status.conditions[0].message,
            "2026.11.1 goes on as it was before the change: rule `vip`: line 1, column 1: there is no field X"
        );

        scene.observed.pods.pop();
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(
            kstatus(&status),
            "Current",
            "a change that is under way has no problem yet"
        );
    }

    #[test]
    fn a_host_that_is_taken_is_stalled_and_names_the_owner() {
        let mut scene = Scene::serving();
        scene.observed.rival = Some("other/older".into());
        let status = visit(&scene.model, &scene.observed, &Applied::default());
        assert_eq!(kstatus(&status), "Failed");
        assert_eq!(told(&status, "RouteReady"), ("False".into(), "HostTaken".into()));
        assert!(status.conditions[0].message.contains("other/older"));
    }

    #[test]
    fn a_certificate_that_is_renewed_keeps_the_route() {
        let mut scene = Scene::serving();
        scene.certificate("False", "renewing");
        let valid = validate(&scene.model, &fixture::defaults()).unwrap();
        let plan = plan(
            &scene.model,
            &valid,
            &scene.observed,
            crate::rollout::Waits::default(),
            now(),
        );
        for kind in [build::Kind::IngressRoute, build::Kind::TraefikService] {
            let route = scene.observed.child(kind, "card-fraud").unwrap();
            assert!(plan.keeps(&valid, kind, route) || plan.desired.iter().any(|child| child.kind == kind));
        }
        assert_eq!(
            told(
                &visit(&scene.model, &scene.observed, &Applied::default()),
                "CertificateReady"
            )
            .1,
            "NotIssued"
        );
    }

    #[test]
    fn an_invalid_spec_keeps_what_serves() {
        let mut scene = Scene::serving();
        scene.model.status = Some(visit(&scene.model, &scene.observed, &Applied::default()));
        scene.model.spec.model.sha256 = None;
        let error = validate(&scene.model, &fixture::defaults()).unwrap_err();
        let status = obstructed(&scene.model, Reason::InvalidSpec, &error.to_string(), now());
        assert_eq!(kstatus(&status), "Failed");
        assert_eq!(told(&status, "Ready").1, "InvalidSpec");
        assert_eq!(status.stable.map(|s| s.version).as_deref(), Some("2026.11.1"));
    }

    #[test]
    fn an_error_keeps_what_the_api_server_said() {
        let said = Status {
            code: 403,
            message: "forbidden".into(),
            ..Status::default()
        };
        let error = StatusError {
            name: "a".into(),
            source: kube::Error::Api(Box::new(said)),
        };
        assert!(matches!(error.cause(), kube::Error::Api(status) if status.code == 403));
    }
}
