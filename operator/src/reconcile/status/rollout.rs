//! The part of `status` that says what was decided: the next decision builds on it. Pure.

use fraudops_crds::{
    FraudModelStatus,
    fraud_model::{Candidate, GateStatus, HistoryEntry, Outcome, RejectedVersion, RetiringVersion},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    reconcile::{plan::Plan, remember, validate::ValidModel},
    rollout::{Ended, Stage},
};

/// Rejections and history entries that are kept.
const MAX_REJECTED: usize = 16;
const MAX_HISTORY: usize = 10;
/// Longest message of a rejection or a history entry.
const MAX_MESSAGE: usize = 1024;

/// Writes what `plan` decided into `status`; `before`: the status that the plan was made from.
pub(super) fn record(
    status: &mut FraudModelStatus,
    before: &FraudModelStatus,
    valid: &ValidModel,
    plan: &Plan,
    now: Timestamp,
) {
    status.phase = Some(plan.phase());
    status.stable = plan.stable.clone();
    status.retiring = plan
        .step
        .retiring
        .iter()
        .map(|(hash, entry)| RetiringVersion {
            hash: hash.clone(),
            since: Time(entry.since),
            requests: entry.requests.and_then(|n| i64::try_from(n).ok()),
            successor_requests: entry.heir.and_then(|n| i64::try_from(n).ok()),
        })
        .collect();
    let gates: Vec<GateStatus> = plan.step.judgements.iter().map(remember::gate).collect();
    status.candidate = candidate(before, valid, plan, gates);
    let needed = valid.rollout.iter().flat_map(|strategy| &strategy.gates);
    let needed = needed.map(|(gate, limits)| (*gate, limits.min_samples)).collect();
    status.gates = match &status.candidate {
        Some(candidate) if !candidate.gates.is_empty() => {
            remember::summary(&plan.step.judgements, &needed).or_else(|| before.gates.clone())
        }
        _ => None,
    };
    status.evidence = plan.step.canary.as_ref().map(remember::evidence);
    status.rejected = plan.rejected.clone();
    status.retried = plan.retried.clone();
    status.history = before.history.clone();
    let Some(ended) = &plan.step.ended else { return };
    if let Some(entry) = entry(ended, before, valid, plan, now) {
        if entry.outcome == Outcome::RolledBack {
            reject(&mut status.rejected, &entry);
        }
        status.history.push(entry);
        let surplus = status.history.len().saturating_sub(MAX_HISTORY);
        status.history.drain(..surplus);
    }
}

/// The candidate, or, after a rollback, what was rejected, with the numbers that it was rejected for.
fn candidate(
    before: &FraudModelStatus,
    valid: &ValidModel,
    plan: &Plan,
    gates: Vec<GateStatus>,
) -> Option<Candidate> {
    if let Some(version) = &plan.candidate {
        return Some(remember::candidate(version, plan.step.canary.as_ref(), gates));
    }
    if !plan.is_rejected(valid) {
        return None;
    }
    let mut shown = match &before.candidate {
        Some(known) if known.hash == valid.wanted.hash => known.clone(),
        _ => remember::candidate(&valid.wanted, None, vec![]),
    };
    (shown.weight, shown.since) = (0, None);
    if !gates.is_empty() {
        shown.gates = gates;
    }
    Some(shown)
}

fn entry(
    ended: &Ended,
    before: &FraudModelStatus,
    valid: &ValidModel,
    plan: &Plan,
    now: Timestamp,
) -> Option<HistoryEntry> {
    let left = || before.candidate.as_ref().map(Candidate::model_version);
    let (version, message) = match ended {
        Ended::Promoted => (plan.stable.clone(), promoted(plan)),
        Ended::RolledBack(why) => (Some(valid.wanted.clone()), why.clone()),
        Ended::Aborted(why) | Ended::Superseded(why) => (left(), why.clone()),
    };
    let version = version?;
    Some(HistoryEntry {
        version: version.version,
        digest: version.digest,
        outcome: remember::outcome(ended),
        message: message.chars().take(MAX_MESSAGE).collect(),
        time: Time(now),
    })
}

fn promoted(plan: &Plan) -> String {
    if plan.step.judgements.is_empty() {
        return "verified and ready; there were no steps to go through".into();
    }
    numbers(plan)
}

/// What the gates say, in one line.
pub(super) fn numbers(plan: &Plan) -> String {
    let told = plan.step.judgements.iter();
    let told = told.map(|judgement| format!("{}: {}", judgement.gate.name(), judgement.message));
    told.collect::<Vec<_>>().join("; ")
}

fn reject(rejected: &mut Vec<RejectedVersion>, entry: &HistoryEntry) {
    rejected.retain(|other| other.digest != entry.digest);
    rejected.push(RejectedVersion {
        digest: entry.digest.clone(),
        version: entry.version.clone(),
        reason: entry.message.clone(),
        time: entry.time.clone(),
    });
    let surplus = rejected.len().saturating_sub(MAX_REJECTED);
    rejected.drain(..surplus);
}

impl Plan {
    /// Whether the spec names a version that gets no traffic because it was rejected, now or before.
    pub(super) fn is_rejected(&self, valid: &ValidModel) -> bool {
        let now = matches!(self.step.ended, Some(Ended::RolledBack(_)));
        let before = self.rejected.iter().any(|r| r.digest == valid.wanted.digest);
        let backed = matches!(self.step.stage, Stage::RollingBack | Stage::RolledBack);
        backed && (now || before) && self.step.stable.as_ref() != Some(&valid.wanted.hash)
    }
}

#[cfg(test)]
mod tests;
