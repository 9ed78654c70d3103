//! From what scorer processes have counted since their start to what was counted at a step: each request once, whatever
//! restarts, vanishes, comes back or is read twice.

use std::collections::BTreeMap;

use super::{
    gate::{Gate, Limits},
    sequential::Sums,
};

/// Processes that are remembered although they were not seen in this visit.
const MAX_PROCESSES: usize = 256;

/// Counters of one process since its start, or of one version at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Predictions that were asked for.
    pub requests: u64,
    /// Those that ended in a 5xx, or in an answer that `onModelError` gave.
    pub errors: u64,
    /// Those that the model's schema refused.
    pub refused: u64,
    /// Those that were answered.
    pub answers: u64,
    /// Answers above 25 ms.
    pub slow: u64,
}

impl Counts {
    fn zip(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: join(self.requests, other.requests),
            errors: join(self.errors, other.errors),
            refused: join(self.refused, other.refused),
            answers: join(self.answers, other.answers),
            slow: join(self.slow, other.slow),
        }
    }

    /// What no counter can honestly exceed: a process that lies about one of them can't make more events than exposures.
    fn plausible(self) -> Self {
        let errors = self.errors.min(self.requests);
        Self {
            errors,
            refused: self.refused.min(self.requests - errors),
            slow: self.slow.min(self.answers),
            ..self
        }
    }
}

/// The two versions that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The version that is judged.
    Candidate,
    /// The version that it is compared with.
    Stable,
}

/// What one process said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The version that it serves.
    pub arm: Arm,
    /// What identifies its pod: never another pod's.
    pub pod: String,
    /// When it started, in milliseconds of Unix time.
    pub started: i64,
    /// What it has counted since.
    pub counts: Counts,
}

/// What a process had counted when it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// When it started, in milliseconds of Unix time.
    pub started: i64,
    /// The highest value of each counter that was seen.
    pub counts: Counts,
}

/// The sums of the tests of one gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tests {
    /// Candidate against stable.
    pub ratio: Sums,
    /// Candidate against the highest rate.
    pub rate: Sums,
}

/// The evidence of one rollout. All of it is persisted, so that any operator decides the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// An unknown process that started after this is counted from its start on; one that started before was there when the
    /// step began, and what it counted until it is first read is not told apart from that.
    pub from: i64,
    /// The candidate at this step.
    pub candidate: Counts,
    /// The stable version in the same time.
    pub stable: Counts,
    /// The tests, over all steps.
    pub tests: BTreeMap<Gate, Tests>,
    /// By pod.
    pub processes: BTreeMap<String, Process>,
}

impl Ledger {
    /// Counts at the step begin at zero; `now` in milliseconds of Unix time. The tests go on.
    pub fn begin_step(&mut self, now: i64) {
        self.candidate = Counts::default();
        self.stable = Counts::default();
        self.from = self.from.max(now);
    }

    /// Reads the counters without counting: nothing is judged yet.
    pub fn note(&mut self, samples: &[Sample]) {
        self.increments(samples);
    }

    /// Takes what the processes say now into the counts and the tests.
    pub fn fold(&mut self, samples: &[Sample], limits: &BTreeMap<Gate, Limits>) {
        let (candidate, stable) = self.increments(samples);
        self.candidate = self.candidate.zip(candidate, u64::saturating_add);
        self.stable = self.stable.zip(stable, u64::saturating_add);
        for (gate, limits) in limits {
            let tests = self.tests.entry(*gate).or_default();
            tests
                .ratio
                .compare(limits.ratio, gate.compared(candidate), gate.compared(stable));
            tests.rate.bound(limits.max_rate, gate.bounded(candidate));
        }
    }

    fn increments(&mut self, samples: &[Sample]) -> (Counts, Counts) {
        let (mut candidate, mut stable) = (Counts::default(), Counts::default());
        for sample in samples {
            let sum = match sample.arm {
                Arm::Candidate => &mut candidate,
                Arm::Stable => &mut stable,
            };
            *sum = sum.zip(self.increment(sample).plausible(), u64::saturating_add);
        }
        self.forget(samples);
        (candidate, stable)
    }

    fn increment(&mut self, sample: &Sample) -> Counts {
        let Sample {
            arm: _,
            pod,
            started,
            counts,
        } = sample;
        let known = self.processes.get(pod).copied();
        let seen = match known {
            // A late answer of a process that was replaced since.
            Some(known) if known.started > *started => return Counts::default(),
            Some(known) if known.started == *started => known.counts,
            // The pod's container was started anew, after the one before was read: all that it counted is new.
            Some(_) => Counts::default(),
            None if *started > self.from => Counts::default(),
            None => *counts,
        };
        let process = Process {
            started: *started,
            counts: counts.zip(seen, u64::max),
        };
        self.processes.insert(pod.clone(), process);
        counts.zip(seen, u64::saturating_sub)
    }

    /// Forgets what is gone for longest when there is too much. What came before it may then be seen for the first time
    /// again, so it is not counted from its start any more.
    fn forget(&mut self, samples: &[Sample]) {
        while self.processes.len() > MAX_PROCESSES.max(samples.len()) {
            let gone = |pod: &String| samples.iter().all(|sample| sample.pod != *pod);
            let oldest = self
                .processes
                .iter()
                .filter(|(pod, _)| gone(pod))
                .min_by_key(|(_, process)| process.started)
                .map(|(pod, process)| (pod.clone(), process.started));
            let Some((pod, started)) = oldest else { return };
            self.processes.remove(&pod);
            self.from = self.from.max(started);
        }
    }
}

#[cfg(test)]
mod tests;
