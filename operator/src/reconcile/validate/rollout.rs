//! `spec.rollout` as the rollout needs it.

use std::time::Duration;

use fraudops_crds::fraud_model::{GateLimits, Gates, Rollout, RolloutStep};

use super::{Invalid, invalid};
use crate::rollout::{Gate, Limits, Strategy, WeightStep};

pub(super) fn strategy(rollout: &Rollout, has_route: bool) -> Result<Strategy, Invalid> {
    if !has_route {
        return Err(invalid(
            "spec.rollout",
            "needs spec.ingress: without a route there is no traffic to share out",
        ));
    }
    let steps: Vec<WeightStep> = rollout.steps.iter().map(step).collect::<Result<_, _>>()?;
    let ascending = steps.windows(2).all(|pair| pair[0].weight < pair[1].weight);
    let shares = steps.iter().all(|step| (1..=100).contains(&step.weight));
    if steps.is_empty() || !ascending || !shares {
        return Err(invalid(
            "spec.rollout.steps",
            "needs at least one step, in ascending order of weight, from 1 to 100",
        ));
    }
    if !(0.0001..=0.2).contains(&rollout.alpha) {
        return Err(invalid("spec.rollout.alpha", "must be between 0.0001 and 0.2"));
    }
    let Gates {
        error_ratio,
        slow_ratio,
    } = &rollout.gates;
    let gates = [(Gate::ErrorRatio, error_ratio), (Gate::SlowRatio, slow_ratio)];
    let gates = gates.map(|(gate, asked)| limits(asked).map(|limits| (gate, limits)));
    Ok(Strategy {
        steps,
        gates: gates.into_iter().collect::<Result<_, _>>()?,
        alpha: rollout.alpha,
        paused: rollout.paused,
    })
}

fn step(step: &RolloutStep) -> Result<WeightStep, Invalid> {
    let min_duration = duration(&step.min_duration).ok_or_else(|| {
        invalid(
            "spec.rollout.steps[].minDuration",
            "must be a number of at most four digits and s, m or h: 30s, 5m, 1h",
        )
    })?;
    Ok(WeightStep {
        weight: step.weight,
        min_duration,
    })
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 4)?;
    Some(Duration::from_secs(number * seconds))
}

fn limits(limits: &GateLimits) -> Result<Limits, Invalid> {
    let good = (1.0..=100.0).contains(&limits.ratio)
        && limits.max_rate > 0.0
        && limits.max_rate <= 1.0
        && limits.min_samples > 0;
    if !good {
        return Err(invalid(
            "spec.rollout.gates",
            "need a ratio from 1 to 100, a maxRate above 0 and up to 1, and at least one sample",
        ));
    }
    Ok(Limits {
        ratio: limits.ratio,
        max_rate: limits.max_rate,
        min_samples: limits.min_samples,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(change: Value) -> Result<Strategy, Invalid> {
        let mut rollout = json!({ "steps": [{ "weight": 5 }, { "weight": 50, "minDuration": "1h" }] });
        for (key, value) in change.as_object().unwrap() {
            rollout[key] = value.clone();
        }
        strategy(&serde_json::from_value(rollout).unwrap(), true)
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let strategy = parsed(json!({})).unwrap();
        let durations: Vec<u64> = strategy
            .steps
            .iter()
            .map(|step| step.min_duration.as_secs())
            .collect();
        assert_eq!(durations, [300, 3600]);
        let limits = Limits {
            ratio: 2.0,
            max_rate: 0.01,
            min_samples: 500,
        };
        assert_eq!(strategy.gates, Gate::ALL.map(|gate| (gate, limits)).into());
        assert_eq!((strategy.alpha, strategy.paused), (0.01, false));
    }

    #[test]
    fn what_a_missing_admission_rule_would_let_through_is_refused_here() {
        for bad in [
            json!({ "steps": [] }),
            json!({ "steps": [{ "weight": 0 }] }),
            json!({ "steps": [{ "weight": 101 }] }),
            json!({ "steps": [{ "weight": 9 }, { "weight": 9 }] }),
            json!({ "steps": [{ "weight": 9, "minDuration": "5" }] }),
            json!({ "steps": [{ "weight": 9, "minDuration": "" }] }),
            json!({ "steps": [{ "weight": 9, "minDuration": "+5s" }, { "weight": 9, "minDuration": "99999s" }] }),
            json!({ "alpha": 0.0 }),
            json!({ "gates": { "errorRatio": { "ratio": 0.5 } } }),
            json!({ "gates": { "slowRatio": { "maxRate": 0.0 } } }),
            json!({ "gates": { "slowRatio": { "minSamples": 0 } } }),
        ] {
            assert!(parsed(bad.clone()).is_err(), "{bad}");
        }
        let rollout = serde_json::from_value(json!({ "steps": [{ "weight": 5 }] })).unwrap();
        assert!(
            strategy(&rollout, false)
                .unwrap_err()
                .to_string()
                .contains("spec.ingress")
        );
    }
}
