//! One candidate on its way through the steps: a pure function of what was persisted, what is seen, and the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    evidence::{Ledger, Sample},
    gate::{Judgement, Verdict},
    strategy::Strategy,
};

/// A candidate that lost all its serving pods under traffic so often is given up.
const LOSSES: u32 = 3;

/// A candidate and what is known of it. All of it is persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The hash of its version.
    pub version: String,
    /// The step that it is at, or that it begins with (from 0 on).
    pub step: usize,
    /// Its share of the requests; 0 before the first step.
    pub weight: u8,
    /// Since when it has that share.
    pub since: Timestamp,
    /// How often it lost all its serving pods under traffic.
    pub losses: u32,
    /// The evidence.
    pub ledger: Ledger,
}

/// What is seen of a candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// All its pods are there, verified and behind its Service.
    pub ready: bool,
    /// At least one of its pods is behind its Service.
    pub serving: bool,
    /// The route is in place.
    pub routable: bool,
    /// What processes of both versions say.
    pub samples: Vec<Sample>,
    /// Why the samples are not complete.
    pub unread: Option<String>,
}

/// Why nothing moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The candidate is not ready for its first step.
    Starting,
    /// The route is not in place.
    Route,
    /// The spec says so.
    Paused,
    /// The step has to take so long yet.
    Duration(Duration),
    /// A gate does not pass.
    Gates,
    /// Some of its pods are not ready.
    NotReady,
    /// It lost all its serving pods, so it begins again.
    Lost,
}

/// What becomes of the candidate in this visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing moves; a candidate that lost its pods falls to weight 0.
    Hold(Hold),
    /// The next step begins.
    Step,
    /// It takes all the traffic.
    Promote,
    /// It loses its traffic for good.
    Reject(String),
}

impl Canary {
    /// A candidate without traffic.
    pub fn new(version: String, now: Timestamp) -> Self {
        Self {
            version,
            step: 0,
            weight: 0,
            since: now,
            losses: 0,
            ledger: Ledger::default(),
        }
    }

    /// Decides one visit. The gates are judged whenever the candidate has traffic.
    pub fn advance(&mut self, strategy: &Strategy, sight: &Sight, now: Timestamp) -> (Turn, Vec<Judgement>) {
        // A clock that was set back must not hold a step for ever.
        self.since = self.since.min(now);
        if self.weight == 0 {
            return (self.begin(strategy, sight, now), vec![]);
        }
        self.ledger.fold(&sight.samples, &strategy.gates);
        if !strategy.paused {
            self.realign(strategy, now);
        }
        let judgements: Vec<Judgement> = strategy
            .gates
            .iter()
            .map(|(gate, limits)| gate.judge(*limits, strategy.alpha, &self.ledger, sight.unread.as_deref()))
            .collect();
        let turn = self.judged(strategy, sight, &judgements, now);
        match turn {
            Turn::Reject(_) => self.weight = 0,
            Turn::Step => self.enter(strategy, self.step + 1, now),
            Turn::Promote | Turn::Hold(_) => {}
        }
        (turn, judgements)
    }

    fn begin(&mut self, strategy: &Strategy, sight: &Sight, now: Timestamp) -> Turn {
        if !sight.ready || !sight.serving {
            return Turn::Hold(Hold::Starting);
        }
        if strategy.paused {
            return Turn::Hold(Hold::Paused);
        }
        if !sight.routable {
            return Turn::Hold(Hold::Route);
        }
        self.ledger.note(&sight.samples);
        self.enter(strategy, 0, now);
        Turn::Step
    }

    fn enter(&mut self, strategy: &Strategy, step: usize, now: Timestamp) {
        let Some(weight) = strategy.steps.get(step).map(|step| step.weight) else {
            return;
        };
        (self.step, self.weight, self.since) = (step, weight, now);
        self.ledger.begin_step(now.as_millisecond());
    }

    fn judged(&mut self, strategy: &Strategy, sight: &Sight, gates: &[Judgement], now: Timestamp) -> Turn {
        if let Some(failed) = gates.iter().find(|gate| gate.verdict == Verdict::Fail) {
            return Turn::Reject(format!("{} failed: {}", failed.gate.name(), failed.message));
        }
        if !sight.serving {
            return self.lose();
        }
        if strategy.paused {
            return Turn::Hold(Hold::Paused);
        }
        let left = strategy.steps.get(self.step).map_or(Duration::ZERO, |step| {
            let waited = now
                .duration_since(self.since)
                .max(SignedDuration::ZERO)
                .unsigned_abs();
            step.min_duration.saturating_sub(waited)
        });
        if !left.is_zero() {
            return Turn::Hold(Hold::Duration(left));
        }
        if gates.iter().any(|gate| gate.verdict != Verdict::Pass) {
            return Turn::Hold(Hold::Gates);
        }
        if !sight.ready {
            return Turn::Hold(Hold::NotReady);
        }
        if !sight.routable {
            return Turn::Hold(Hold::Route);
        }
        if self.step + 1 < strategy.steps.len() {
            Turn::Step
        } else {
            Turn::Promote
        }
    }

    /// An entry without endpoints takes the whole route down, so the candidate leaves it at once.
    fn lose(&mut self) -> Turn {
        (self.step, self.weight, self.losses) = (0, 0, self.losses + 1);
        if self.losses < LOSSES {
            return Turn::Hold(Hold::Lost);
        }
        Turn::Reject(format!(
            "it lost all its serving pods under traffic {LOSSES} times"
        ))
    }

    /// Finds the place in steps that were changed: never one of more weight, but for the first, which needs no pass.
    fn realign(&mut self, strategy: &Strategy, now: Timestamp) {
        let known = strategy.steps.get(self.step).map(|step| step.weight);
        if known == Some(self.weight) {
            return;
        }
        match strategy.steps.iter().position(|step| step.weight == self.weight) {
            Some(step) => self.step = step,
            None => self.enter(strategy, strategy.step_of(self.weight).unwrap_or(0), now),
        }
    }
}

#[cfg(test)]
mod tests;
