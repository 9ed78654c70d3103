//! Events of a model: one for each change of phase and each new reason why it is not ready.

use fraudops_crds::{
    FraudModel, FraudModelStatus,
    fraud_model::{Candidate, Condition, Outcome},
};
use kube::{Client, Resource};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::{info, warn};

/// Longest note of an event (events.k8s.io).
const MAX_NOTE: usize = 1000;

/// Writes events.
#[derive(Clone)]
pub struct Events(Recorder);

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    warning: bool,
    reason: String,
    action: &'static str,
    note: String,
}

impl News {
    /// Something that is wrong and is in no condition.
    pub fn warning(reason: &str, action: &'static str, note: String) -> Self {
        Self {
            warning: true,
            reason: reason.into(),
            action,
            note,
        }
    }
}

impl Events {
    /// Events of the process `instance`.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: crate::FIELD_MANAGER.into(),
            instance: Some(instance),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Tells `news` of `model`, in the log and as events. An event that can't be written is no reason to stop.
    pub async fn tell(&self, model: &FraudModel, news: Vec<News>) {
        let name = model.metadata.name.as_deref().unwrap_or_default();
        let namespace = model.metadata.namespace.as_deref().unwrap_or_default();
        for News {
            warning,
            reason,
            action,
            note,
        } in news
        {
            info!(namespace, model = name, reason, note, "{action}");
            let event = Event {
                type_: if warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason,
                note: Some(note.chars().take(MAX_NOTE).collect()),
                action: action.into(),
                secondary: None,
            };
            if let Err(error) = self.0.publish(&event, &model.object_ref(&())).await {
                warn!(namespace, model = name, %error, "event not written");
            }
        }
    }
}

/// What is new in `now` compared with `before`. Pure.
pub fn news(before: &FraudModelStatus, now: &FraudModelStatus) -> Vec<News> {
    let mut all = vec![];
    if let Some(phase) = now.phase.filter(|phase| before.phase != Some(*phase)) {
        let candidate = now.candidate.as_ref().map(Candidate::model_version);
        let version = candidate.as_ref().or(now.stable.as_ref());
        let was = before.phase.map_or("nothing", |p| p.as_str());
        let told = version.map_or_else(String::new, |v| format!(", version {} ({})", v.version, v.digest));
        all.push(News {
            warning: false,
            reason: phase.as_str().into(),
            action: "PhaseChanged",
            note: format!("{was} to {}{told}", phase.as_str()),
        });
    }
    all.extend(moved(before, now));
    if let Some(last) = now
        .history
        .last()
        .filter(|last| before.history.last() != Some(*last))
    {
        all.push(News {
            warning: last.outcome == Outcome::RolledBack,
            reason: last.outcome.as_str().into(),
            action: "RolloutEnded",
            note: format!("{} ({}): {}", last.version, last.digest, last.message),
        });
    }
    for condition in &now.conditions {
        let abnormal = condition.status == "False"
            && ["ModelVerified", "RouteReady", "Ready"].contains(&&*condition.type_);
        let old = before.conditions.iter().find(|c| c.type_ == condition.type_);
        if abnormal && is_problem(condition) && old.is_none_or(|old| old.reason != condition.reason) {
            all.push(News {
                warning: true,
                reason: condition.reason.clone(),
                action: "ConditionChanged",
                note: condition.message.clone(),
            });
        }
    }
    all.dedup_by(|a, b| a.reason == b.reason);
    all
}

/// A share of the traffic that moved, and the numbers that it was decided on.
fn moved(before: &FraudModelStatus, now: &FraudModelStatus) -> Option<News> {
    let candidate = now.candidate.as_ref()?;
    let known = before
        .candidate
        .as_ref()
        .filter(|known| known.hash == candidate.hash);
    let was = known.map_or(0, |known| known.weight);
    if was == candidate.weight {
        return None;
    }
    let gates = candidate
        .gates
        .iter()
        .map(|gate| format!("; {}: {}", gate.name, gate.message));
    Some(News {
        warning: candidate.weight < was,
        reason: "WeightChanged".into(),
        action: "WeightChanged",
        note: format!(
            "{} ({}): {was} % to {} %{}",
            candidate.version,
            candidate.digest,
            candidate.weight,
            gates.collect::<String>()
        ),
    })
}

/// What passes by itself is no news.
fn is_problem(condition: &Condition) -> bool {
    ![
        "Starting",
        "CertificateNotReady",
        "NoStableVersion",
        "NoReadyPods",
        "PodsPending",
        "Retiring",
        "Canary",
        "Paused",
        // told by the end of the rollout, with its numbers
        "RolledBack",
    ]
    .contains(&condition.reason.as_str())
}
