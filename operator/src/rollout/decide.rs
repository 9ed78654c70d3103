//! The decision of one visit.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    canary::{Canary, Hold, Sight, Turn},
    gate::Judgement,
    retire::{self, Retiring, Waits},
    strategy::Strategy,
};

/// How often a candidate with traffic is looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// Shortest pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What earlier visits decided: the part of `status` that the next decision builds on. Versions are named by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The version that takes the traffic.
    pub stable: Option<String>,
    /// The candidate of a rollout in steps.
    pub canary: Option<Canary>,
    /// Whether a candidate was there, or is on its way out.
    pub giving_up: bool,
    /// Versions without traffic.
    pub retiring: BTreeMap<String, Retiring>,
}

/// What is true now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The version that the spec names.
    pub wanted: String,
    /// Whether a rollout ended for the bytes of the wanted version, and no retry was asked for.
    pub rejected: bool,
    /// The steps that the spec asks for; without them a version takes over when it is ready.
    pub strategy: Option<Strategy>,
    /// What is seen of the wanted version, for its steps.
    pub sight: Sight,
    /// Versions whose pods are all there, verified and behind their Service.
    pub ready: BTreeSet<String>,
    /// Versions that have objects in the cluster.
    pub existing: BTreeSet<String>,
    /// Versions that the weighted list names as it stands in the cluster.
    pub routed: BTreeSet<String>,
    /// The version that the route falls back to as it stands in the cluster.
    pub fallback: Option<String>,
    /// Requests that the ready pods of a version have taken since they started; absent where a pod did not say.
    pub requests: BTreeMap<String, u64>,
}

/// Where the replacement stands after this visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The candidate is not ready.
    Verifying,
    /// The candidate has a share of the traffic.
    Canary,
    /// The candidate stays where it is because the spec says so.
    Paused,
    /// The wanted version has the traffic, versions before it are still there.
    Promoting,
    /// The candidate has no traffic any more, its pods are still there.
    RollingBack,
    /// The wanted version was rejected.
    RolledBack,
    /// One version.
    Stable,
}

/// How the rollout of a version ended in this visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is stable now.
    Promoted,
    /// It was rejected, and why.
    RolledBack(String),
    /// The spec went back to the stable version.
    Aborted(String),
    /// The spec named another version.
    Superseded(String),
}

/// What this visit decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Where the replacement stands.
    pub stage: Stage,
    /// The version that is to have the traffic that the candidate has not.
    pub stable: Option<String>,
    /// The version that is being started, or judged.
    pub candidate: Option<String>,
    /// How far the candidate is in its steps.
    pub canary: Option<Canary>,
    /// What the gates say of it.
    pub judgements: Vec<Judgement>,
    /// Why its weight stays.
    pub hold: Option<Hold>,
    /// A rollout that ended in this visit.
    pub ended: Option<Ended>,
    /// The version that answers where the proxy cannot use the list, because it has not heard of a Service in it yet.
    pub fallback: Option<String>,
    /// Versions that are kept although they have no traffic.
    pub retiring: BTreeMap<String, Retiring>,
    /// Versions whose objects go now.
    pub removed: BTreeSet<String>,
    /// Whether a share of the traffic moves in this visit.
    pub moved: bool,
    /// When to look again although nothing changed.
    pub wait: Option<Duration>,
}

impl Step {
    /// The share of the traffic, in percent, that a version is to have. The shares of all versions are 100 together.
    pub fn weight_of(&self, version: &str) -> u8 {
        let taken = self.canary.as_ref().map_or(0, |canary| canary.weight.min(100));
        if self.stable.as_deref() == Some(version) {
            100 - taken
        } else if self.candidate.as_deref() == Some(version) {
            taken
        } else {
            0
        }
    }
}

/// The part of a decision that says who has the traffic.
struct Traffic {
    stable: Option<String>,
    candidate: Option<String>,
    canary: Option<Canary>,
    judgements: Vec<Judgement>,
    hold: Option<Hold>,
    ended: Option<Ended>,
    wait: Option<Duration>,
}

/// Decides one visit: leads the wanted version through its steps, or promotes it when it is ready where there are none, and
/// removes what nothing reaches any more.
///
/// Not guaranteed: that a version is removed exactly then; it is removed by the first visit after it.
pub fn next(progress: &Progress, evidence: &Evidence, waits: Waits, now: Timestamp) -> Step {
    let traffic = traffic(progress, evidence, now);
    let (mut retiring, mut removed, mut wait) = (BTreeMap::new(), BTreeSet::new(), traffic.wait);
    let heir = traffic.stable.as_ref();
    let heir = heir.and_then(|stable| evidence.requests.get(stable).copied());
    for version in &evidence.existing {
        if Some(version) == traffic.stable.as_ref() || Some(version) == traffic.candidate.as_ref() {
            continue;
        }
        let look = retire::Look {
            routed: evidence.routed.contains(version),
            requests: evidence.requests.get(version).copied(),
            heir,
        };
        let (entry, left) = retire::look(progress.retiring.get(version), look, waits, now);
        if left.is_zero() && !look.routed {
            removed.insert(version.clone());
        } else {
            retiring.insert(version.clone(), entry);
            // A proof that nothing reaches it may be there long before the longest wait is over.
            let look_again = left.min(waits.removal).max(LOOK_AGAIN);
            wait = Some(wait.map_or(look_again, |w| w.min(look_again)));
        }
    }
    let kept = evidence
        .fallback
        .as_ref()
        .filter(|version| retiring.contains_key(*version));
    Step {
        stage: stage(progress, evidence, &traffic, &retiring),
        moved: traffic.stable != progress.stable || share(&traffic.canary) != share(&progress.canary),
        fallback: traffic
            .stable
            .as_ref()
            .map(|stable| kept.unwrap_or(stable).clone()),
        stable: traffic.stable,
        candidate: traffic.candidate,
        canary: traffic.canary,
        judgements: traffic.judgements,
        hold: traffic.hold,
        ended: traffic.ended,
        retiring,
        removed,
        wait,
    }
}

fn share(canary: &Option<Canary>) -> Option<(&str, u8)> {
    let canary = canary.as_ref().filter(|canary| canary.weight > 0)?;
    Some((&canary.version, canary.weight))
}

fn traffic(progress: &Progress, evidence: &Evidence, now: Timestamp) -> Traffic {
    let wanted = &evidence.wanted;
    let mut traffic = Traffic {
        stable: progress.stable.clone(),
        candidate: (progress.stable.as_ref() != Some(wanted) && !evidence.rejected).then(|| wanted.clone()),
        canary: None,
        judgements: vec![],
        hold: None,
        ended: abandoned(progress, evidence),
        wait: None,
    };
    match (&traffic.candidate, &evidence.strategy, &progress.stable) {
        (None, _, _) => {}
        (Some(_), Some(strategy), Some(_)) => step(&mut traffic, progress, evidence, strategy, now),
        // Without steps, or with nothing to compare with: all at once.
        (Some(_), None, _) | (Some(_), _, None) if evidence.ready.contains(wanted) => promote(&mut traffic),
        (Some(_), _, _) => {}
    }
    traffic
}

fn step(
    traffic: &mut Traffic,
    progress: &Progress,
    evidence: &Evidence,
    strategy: &Strategy,
    now: Timestamp,
) {
    let known = progress
        .canary
        .clone()
        .filter(|canary| canary.version == evidence.wanted);
    let mut canary = known.unwrap_or_else(|| Canary::new(evidence.wanted.clone(), now));
    let (turn, judgements) = canary.advance(strategy, &evidence.sight, now);
    traffic.judgements = judgements;
    traffic.wait = Some(INTERVAL);
    match turn {
        Turn::Step => {}
        Turn::Hold(hold) => {
            if let Hold::Duration(left) = hold {
                traffic.wait = Some(left.clamp(LOOK_AGAIN, INTERVAL));
            }
            traffic.hold = Some(hold);
        }
        Turn::Promote => return promote(traffic),
        Turn::Reject(reason) => {
            traffic.candidate = None;
            traffic.ended = Some(Ended::RolledBack(reason));
            return;
        }
    }
    traffic.canary = Some(canary);
}

fn promote(traffic: &mut Traffic) {
    traffic.stable = traffic.candidate.take();
    traffic.ended = Some(Ended::Promoted);
}

/// What became of a rollout whose version the spec does not name any more.
fn abandoned(progress: &Progress, evidence: &Evidence) -> Option<Ended> {
    let canary = progress.canary.as_ref()?;
    if canary.version == evidence.wanted || Some(&canary.version) == progress.stable.as_ref() {
        return None;
    }
    let at = format!("at {} % of the traffic", canary.weight);
    Some(if progress.stable.as_ref() == Some(&evidence.wanted) {
        Ended::Aborted(format!("the spec went back to the stable version, {at}"))
    } else {
        Ended::Superseded(format!("the spec named another version, {at}"))
    })
}

fn stage(
    progress: &Progress,
    evidence: &Evidence,
    traffic: &Traffic,
    retiring: &BTreeMap<String, Retiring>,
) -> Stage {
    let rejected = evidence.rejected || matches!(traffic.ended, Some(Ended::RolledBack(_)));
    let weight = traffic.canary.as_ref().map_or(0, |canary| canary.weight);
    match &traffic.candidate {
        Some(_) if traffic.hold == Some(Hold::Paused) => Stage::Paused,
        Some(_) if weight > 0 => Stage::Canary,
        Some(_) => Stage::Verifying,
        None if rejected && traffic.stable.as_ref() != Some(&evidence.wanted) => {
            match retiring.contains_key(&evidence.wanted) {
                true => Stage::RollingBack,
                false => Stage::RolledBack,
            }
        }
        None if retiring.is_empty() => Stage::Stable,
        None if progress.giving_up && traffic.ended != Some(Ended::Promoted) => Stage::RollingBack,
        None => Stage::Promoting,
    }
}

#[cfg(test)]
mod tests;
