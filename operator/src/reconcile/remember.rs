//! A rollout in the words of `status`, and back. Pure. What is written is all that a decision needs, so that another
//! operator, or the same one after a restart, decides the same.

use std::{collections::BTreeMap, str::FromStr};

use fraudops_crds::{
    FraudModel, FraudModelStatus,
    fraud_model::{
        ArmCounts, Candidate, GateStatus, GateVerdict, ModelVersion, Outcome, RETRY, RejectedVersion,
        RolloutEvidence, TestSums,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::rollout::{Canary, Counts, Ended, Gate, Judgement, Ledger, Process, Sums, Tests, Verdict};

/// Longest message of a gate in `status`.
const MAX_MESSAGE: usize = 1024;
/// Longest value of the retry annotation that is kept; a digest has 71 characters.
const MAX_RETRY: usize = 128;

/// The candidate that earlier visits have decided about.
pub fn canary(status: &FraudModelStatus) -> Option<Canary> {
    let candidate = status.candidate.as_ref()?;
    let since = candidate.since.as_ref()?.0;
    let evidence = status.evidence.as_ref().filter(|e| e.hash == candidate.hash);
    Some(Canary {
        version: candidate.hash.clone(),
        step: usize::try_from(candidate.step.saturating_sub(1)).unwrap_or(usize::MAX),
        weight: candidate.weight.min(100),
        since,
        losses: candidate.losses,
        // Without evidence nothing is known of this step: no request from before now is taken for one of it.
        ledger: evidence.and_then(ledger).unwrap_or_else(|| Ledger {
            from: since.as_millisecond(),
            ..Ledger::default()
        }),
    })
}

/// The candidate for `status`; `canary`: how far it is, once that is decided.
pub fn candidate(version: &ModelVersion, canary: Option<&Canary>, gates: Vec<GateStatus>) -> Candidate {
    let begun = canary.filter(|canary| canary.weight > 0);
    Candidate {
        version: version.version.clone(),
        digest: version.digest.clone(),
        uri: version.uri.clone(),
        hash: version.hash.clone(),
        mtls: version.mtls,
        step: begun.map_or(0, |canary| u32::try_from(canary.step + 1).unwrap_or(u32::MAX)),
        weight: begun.map_or(0, |canary| canary.weight),
        since: canary.map(|canary| Time(canary.since)),
        losses: canary.map_or(0, |canary| canary.losses),
        gates,
    }
}

/// The evidence for `status`.
pub fn evidence(canary: &Canary) -> RolloutEvidence {
    let Ledger {
        from,
        candidate,
        stable,
        tests,
        processes,
    } = &canary.ledger;
    let tests = tests.iter().flat_map(|(gate, tests)| {
        let Tests { ratio, rate } = tests;
        [("ratio", ratio), ("rate", rate)].map(|(test, sums)| TestSums {
            test: format!("{}/{test}", gate.name()),
            sums: sums.0.to_vec(),
        })
    });
    RolloutEvidence {
        hash: canary.version.clone(),
        from: *from,
        candidate: arm(*candidate),
        stable: arm(*stable),
        tests: tests.collect(),
        processes: processes
            .iter()
            .map(|(pod, process)| line(pod, process))
            .collect(),
    }
}

/// A gate for `status`.
pub fn gate(judgement: &Judgement) -> GateStatus {
    GateStatus {
        name: judgement.gate.name().into(),
        verdict: match judgement.verdict {
            Verdict::Pass => GateVerdict::Pass,
            Verdict::Fail => GateVerdict::Fail,
            Verdict::Inconclusive => GateVerdict::Inconclusive,
            Verdict::NoData => GateVerdict::NoData,
        },
        value: judgement.value.map(rounded),
        stable_value: judgement.stable_value.map(rounded),
        limit: judgement.limit,
        samples: judgement.samples,
        message: judgement.message.chars().take(MAX_MESSAGE).collect(),
    }
}

/// How a rollout ended, for `status`.
pub fn outcome(ended: &Ended) -> Outcome {
    match ended {
        Ended::Promoted => Outcome::Promoted,
        Ended::RolledBack(_) => Outcome::RolledBack,
        Ended::Aborted(_) => Outcome::Aborted,
        Ended::Superseded(_) => Outcome::Superseded,
    }
}

/// Versions that are refused, and the retry that was honoured, once the annotation `fraudops.dev/retry` is heeded: it counts
/// when its value is new.
pub fn rejections(model: &FraudModel) -> (Vec<RejectedVersion>, Option<String>) {
    let status = model.status.as_ref();
    let mut rejected = status.map(|status| status.rejected.clone()).unwrap_or_default();
    let honoured = status.and_then(|status| status.retried.as_deref());
    let asked = model.annotations().get(RETRY).map(|value| value.trim());
    if asked.is_some() && asked != honoured {
        rejected.retain(|rejected| Some(rejected.digest.as_str()) != asked);
    }
    (
        rejected,
        asked.map(|value| value.chars().take(MAX_RETRY).collect()),
    )
}

/// The gates in one line: `errorRatio=pass slowRatio=inconclusive(312/500)`.
pub fn summary(judgements: &[Judgement], needed: &BTreeMap<Gate, u64>) -> Option<String> {
    let told = judgements.iter().map(|judgement| {
        let (name, verdict) = (judgement.gate.name(), gate(judgement).verdict.as_str());
        match needed.get(&judgement.gate) {
            Some(needed) if judgement.verdict == Verdict::Inconclusive && judgement.samples < *needed => {
                format!("{name}={verdict}({}/{needed})", judgement.samples)
            }
            _ => format!("{name}={verdict}"),
        }
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// Six digits after the point: a rate is shown, not computed with.
fn rounded(rate: f64) -> f64 {
    (rate * 1e6).round() / 1e6
}

fn arm(counts: Counts) -> ArmCounts {
    let Counts {
        requests,
        errors,
        refused,
        answers,
        slow,
    } = counts;
    ArmCounts {
        requests,
        errors,
        refused,
        answers,
        slow,
    }
}

fn counts(arm: ArmCounts) -> Counts {
    let ArmCounts {
        requests,
        errors,
        refused,
        answers,
        slow,
    } = arm;
    Counts {
        requests,
        errors,
        refused,
        answers,
        slow,
    }
}

/// None when it is not what [`evidence`] writes.
fn ledger(evidence: &RolloutEvidence) -> Option<Ledger> {
    let mut tests: BTreeMap<Gate, Tests> = BTreeMap::new();
    for TestSums { test, sums } in &evidence.tests {
        let (name, test) = test.split_once('/')?;
        let gate = Gate::ALL.into_iter().find(|gate| gate.name() == name)?;
        let sums = Sums(sums.as_slice().try_into().ok()?);
        let tests = tests.entry(gate).or_default();
        match test {
            "ratio" => tests.ratio = sums,
            "rate" => tests.rate = sums,
            _ => return None,
        }
    }
    Some(Ledger {
        from: evidence.from,
        candidate: counts(evidence.candidate),
        stable: counts(evidence.stable),
        tests,
        processes: evidence
            .processes
            .iter()
            .map(|text| process(text))
            .collect::<Option<_>>()?,
    })
}

fn line(pod: &str, process: &Process) -> String {
    let Counts {
        requests,
        errors,
        refused,
        answers,
        slow,
    } = process.counts;
    format!(
        "{pod} {} {requests} {errors} {refused} {answers} {slow}",
        process.started
    )
}

fn process(line: &str) -> Option<(String, Process)> {
    let mut words = line.split(' ');
    let pod = words.next()?.to_owned();
    let started = words.next()?.parse().ok()?;
    let mut next = || u64::from_str(words.next()?).ok();
    let counts = Counts {
        requests: next()?,
        errors: next()?,
        refused: next()?,
        answers: next()?,
        slow: next()?,
    };
    words
        .next()
        .is_none()
        .then_some((pod, Process { started, counts }))
}

#[cfg(test)]
mod tests;
