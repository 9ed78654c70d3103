//! Gates: what a candidate has to show, and what its numbers say.

mod error_ratio;
mod slow_ratio;

use super::{
    evidence::{Counts, Ledger},
    sequential::Count,
    wilson,
};

/// The gates. Each has two tests: against the stable version, and against a highest rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Requests that ended in an error.
    ErrorRatio,
    /// Answers that took too long.
    SlowRatio,
}

/// The limits of a gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// How many times as frequent as with the stable version.
    pub ratio: f64,
    /// Share of the candidate's exposures.
    pub max_rate: f64,
    /// Requests of the candidate that a step needs before it can pass.
    pub min_samples: u64,
}

/// What the numbers of a gate say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough requests, within the limits.
    Pass,
    /// Beyond a limit, proven.
    Fail,
    /// Not enough requests, or beyond the highest rate without proof.
    Inconclusive,
    /// Nothing is known.
    NoData,
}

/// What one gate says, and on what numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Which gate.
    pub gate: Gate,
    /// What it says.
    pub verdict: Verdict,
    /// The candidate's rate at this step; none without exposures.
    pub value: Option<f64>,
    /// The stable version's.
    pub stable_value: Option<f64>,
    /// The highest rate.
    pub limit: f64,
    /// The candidate's exposures at this step.
    pub samples: u64,
    /// In words, with the numbers.
    pub message: String,
}

impl Gate {
    /// All gates.
    pub const ALL: [Self; 2] = [Self::ErrorRatio, Self::SlowRatio];

    /// The name in spec and status.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRatio => error_ratio::NAME,
            Self::SlowRatio => slow_ratio::NAME,
        }
    }

    /// What the test against the stable version counts.
    pub fn compared(self, counts: Counts) -> Count {
        match self {
            Self::ErrorRatio => error_ratio::compared(counts),
            Self::SlowRatio => slow_ratio::counted(counts),
        }
    }

    /// What the test against the highest rate counts.
    pub fn bounded(self, counts: Counts) -> Count {
        match self {
            Self::ErrorRatio => error_ratio::bounded(counts),
            Self::SlowRatio => slow_ratio::counted(counts),
        }
    }

    fn events(self) -> &'static str {
        match self {
            Self::ErrorRatio => error_ratio::EVENTS,
            Self::SlowRatio => slow_ratio::EVENTS,
        }
    }

    /// Judges what `ledger` holds. `unread`: why the numbers of this moment are not complete. Only what is complete
    /// passes; what is proven fails all the same. Each of the two tests has half of `alpha`.
    pub fn judge(self, limits: Limits, alpha: f64, ledger: &Ledger, unread: Option<&str>) -> Judgement {
        let (candidate, stable) = (self.compared(ledger.candidate), self.compared(ledger.stable));
        let bounded = self.bounded(ledger.candidate);
        let tests = ledger.tests.get(&self).copied().unwrap_or_default();
        let numbers = format!(
            "{}: {}; stable: {}",
            self.events(),
            told(candidate),
            rate_told(stable)
        );
        let (verdict, why) = if tests.ratio.refutes(alpha / 2.0) {
            let why = format!(
                "proven more than {} times as frequent as with stable",
                limits.ratio
            );
            (Verdict::Fail, why)
        } else if tests.rate.refutes(alpha / 2.0) {
            (
                Verdict::Fail,
                format!("proven above {}", percent(limits.max_rate)),
            )
        } else if let Some(unread) = unread {
            (Verdict::NoData, unread.to_owned())
        } else if candidate.exposures == 0 {
            (Verdict::NoData, "no request of the candidate at this step".into())
        } else if candidate.exposures < limits.min_samples {
            let why = format!("{} of {} requests", candidate.exposures, limits.min_samples);
            (Verdict::Inconclusive, why)
        } else if bounded.rate().is_some_and(|rate| rate > limits.max_rate) {
            let why = format!("above {}, which is not proven yet", percent(limits.max_rate));
            (Verdict::Inconclusive, why)
        } else {
            (Verdict::Pass, "within the limits".into())
        };
        Judgement {
            gate: self,
            verdict,
            value: candidate.rate(),
            stable_value: stable.rate(),
            limit: limits.max_rate,
            samples: candidate.exposures,
            message: format!("{why}; {numbers}"),
        }
    }
}

fn told(count: Count) -> String {
    match wilson::interval(count) {
        None => rate_told(count),
        Some((low, high)) => format!(
            "{}, 99 % interval {} to {}",
            rate_told(count),
            percent(low),
            percent(high)
        ),
    }
}

fn rate_told(count: Count) -> String {
    match count.rate() {
        None => "no requests".into(),
        Some(rate) => format!("{} in {} ({})", count.events, count.exposures, percent(rate)),
    }
}

/// Three digits that count, whatever the size.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        p if p >= 10.0 => 1,
        p if p >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{percent:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rollout::evidence::{Arm, Sample};

    const LIMITS: Limits = Limits {
        ratio: 2.0,
        max_rate: 0.01,
        min_samples: 500,
    };

    fn counts(requests: u64, errors: u64) -> Counts {
        Counts {
            requests,
            errors,
            answers: requests,
            ..Counts::default()
        }
    }

    fn ledger(candidate: Counts, stable: Counts) -> Ledger {
        let sample = |arm, pod: &str, counts| Sample {
            arm,
            pod: pod.into(),
            started: 1,
            counts,
        };
        let samples = [
            sample(Arm::Candidate, "c", candidate),
            sample(Arm::Stable, "s", stable),
        ];
        let mut ledger = Ledger::default();
        ledger.fold(
            &samples,
            &Gate::ALL
                .map(|gate| (gate, LIMITS))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        );
        ledger
    }

    fn verdict(gate: Gate, ledger: &Ledger) -> Verdict {
        gate.judge(LIMITS, 0.01, ledger, None).verdict
    }

    #[test]
    fn the_verdict_on_errors_follows_from_the_counts() {
        use Verdict::*;
        for (told, candidate, stable, expected) in [
            ("nothing", (0, 0), (0, 0), NoData),
            ("no request of the candidate", (0, 0), (9500, 0), NoData),
            ("one request too few", (499, 0), (9500, 0), Inconclusive),
            ("enough", (500, 0), (9500, 0), Pass),
            (
                "enough, the stable version has no traffic",
                (500, 0),
                (0, 0),
                Pass,
            ),
            ("as many errors as stable", (1000, 5), (19_000, 95), Pass),
            ("at the highest rate", (500, 5), (9500, 95), Pass),
            (
                "above the highest rate, which stable is too",
                (500, 8),
                (9500, 150),
                Inconclusive,
            ),
            (
                "the second request of all is the second error",
                (2, 2),
                (40, 0),
                Inconclusive,
            ),
            (
                "the third request of all is the third error",
                (3, 3),
                (57, 0),
                Fail,
            ),
            ("one error first does not decide", (1, 1), (19, 0), Inconclusive),
            (
                "ten times as many as stable, below the highest rate",
                (20_000, 100),
                (380_000, 190),
                Fail,
            ),
            ("a fifth of all, as with stable", (500, 100), (9500, 1900), Fail),
        ] {
            let ledger = ledger(counts(candidate.0, candidate.1), counts(stable.0, stable.1));
            assert_eq!(verdict(Gate::ErrorRatio, &ledger), expected, "{told}");
        }
    }

    #[test]
    fn requests_that_the_schema_refuses_count_against_stable_only() {
        let refused = |requests, refused| Counts {
            requests,
            refused,
            ..Counts::default()
        };
        let callers_fault = ledger(refused(600, 120), refused(11_400, 2280));
        assert_eq!(verdict(Gate::ErrorRatio, &callers_fault), Verdict::Pass);
        let models_fault = ledger(refused(20, 20), refused(380, 0));
        assert_eq!(verdict(Gate::ErrorRatio, &models_fault), Verdict::Fail);
    }

    #[test]
    fn slow_answers_are_judged_by_themselves() {
        let slow = |answers, slow| Counts {
            requests: answers,
            answers,
            slow,
            ..Counts::default()
        };
        let ledger = ledger(slow(600, 90), slow(11_400, 10));
        assert_eq!(verdict(Gate::ErrorRatio, &ledger), Verdict::Pass);
        assert_eq!(verdict(Gate::SlowRatio, &ledger), Verdict::Fail);
    }

    #[test]
    fn numbers_that_could_not_be_read_never_pass_but_a_proof_stays_one() {
        let good = ledger(counts(10_000, 0), counts(10_000, 0));
        let judged = Gate::ErrorRatio.judge(LIMITS, 0.01, &good, Some("1 of 2 pods could not be read"));
        assert_eq!(judged.verdict, Verdict::NoData);
        assert!(judged.message.starts_with("1 of 2 pods could not be read; "));
        let bad = ledger(counts(100, 50), counts(1000, 0));
        assert_eq!(
            Gate::ErrorRatio.judge(LIMITS, 0.01, &bad, Some("x")).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn a_judgement_shows_its_numbers() {
        let judged = Gate::ErrorRatio.judge(LIMITS, 0.01, &ledger(counts(512, 3), counts(9701, 1)), None);
        assert_eq!((judged.samples, judged.limit), (512, 0.01));
        assert_eq!(judged.value, Some(3.0 / 512.0));
        assert_eq!(
            judged.message,
            "within the limits; errors: 3 in 512 (0.586 %), 99 % interval 0.148 % to 2.29 %; stable: 1 in 9701 (0.01 %)"
        );
    }
}
