//! `spec.rollout`.

use serde_json::{Value, json};

use super::{Row, merge};

/// One step, changed as told, behind a route.
fn rollout(change: Value) -> Value {
    let mut rollout = json!({ "steps": [{ "weight": 5 }] });
    merge(&mut rollout, &change);
    json!({ "spec": { "ingress": { "host": "a.test" }, "rollout": rollout } })
}

fn gates(limits: Value) -> Value {
    rollout(json!({ "gates": { "errorRatio": limits } }))
}

pub fn rows() -> Vec<Row> {
    vec![
        ("one step", rollout(json!({})), None),
        (
            "steps without a route",
            json!({ "spec": { "rollout": { "steps": [{ "weight": 5 }] } } }),
            Some("rollout needs ingress"),
        ),
        (
            "every field",
            rollout(json!({
                "steps": [{ "weight": 1, "minDuration": "0s" }, { "weight": 100, "minDuration": "9999h" }],
                "gates": { "errorRatio": { "ratio": 1, "maxRate": 1, "minSamples": 1 },
                    "slowRatio": { "ratio": 100, "maxRate": 0.001, "minSamples": 100_000_000 } },
                "alpha": 0.2, "paused": true,
            })),
            None,
        ),
        (
            "no steps",
            rollout(json!({ "steps": [] })),
            Some("spec.rollout.steps"),
        ),
        (
            "steps missing",
            rollout(json!({ "steps": null })),
            Some("spec.rollout.steps"),
        ),
        (
            "a weight of 0",
            rollout(json!({ "steps": [{ "weight": 0 }] })),
            Some("spec.rollout.steps[0].weight"),
        ),
        (
            "a weight above 100",
            rollout(json!({ "steps": [{ "weight": 101 }] })),
            Some("spec.rollout.steps[0].weight"),
        ),
        (
            "weights that fall",
            rollout(json!({ "steps": [{ "weight": 50 }, { "weight": 25 }] })),
            Some("rollout.steps must be in ascending order of weight"),
        ),
        (
            "a weight twice",
            rollout(json!({ "steps": [{ "weight": 5 }, { "weight": 5 }] })),
            Some("rollout.steps must be in ascending order of weight"),
        ),
        (
            "a duration without a unit",
            rollout(json!({ "steps": [{ "weight": 5, "minDuration": "300" }] })),
            Some("rollout.steps[].minDuration must be a number"),
        ),
        (
            "a duration below 0",
            rollout(json!({ "steps": [{ "weight": 5, "minDuration": "-5m" }] })),
            Some("rollout.steps[].minDuration must be a number"),
        ),
        (
            "a ratio below 1",
            gates(json!({ "ratio": 0.5 })),
            Some("rollout.gates.*.ratio must be between 1 and 100"),
        ),
        (
            "a highest rate of 0",
            gates(json!({ "maxRate": 0 })),
            Some("rollout.gates.*.maxRate must be above 0"),
        ),
        (
            "a highest rate above 1",
            gates(json!({ "maxRate": 1.5 })),
            Some("rollout.gates.*.maxRate must be above 0"),
        ),
        (
            "no samples",
            gates(json!({ "minSamples": 0 })),
            Some("spec.rollout.gates.errorRatio.minSamples"),
        ),
        (
            "a gate that is none",
            rollout(json!({ "gates": { "alertRate": {} } })),
            Some("unknown field \"spec.rollout.gates.alertRate\""),
        ),
        (
            "an alpha of 0",
            rollout(json!({ "alpha": 0 })),
            Some("rollout.alpha must be between 0.0001 and 0.2"),
        ),
        (
            "an alpha above 0.2",
            rollout(json!({ "alpha": 0.5 })),
            Some("rollout.alpha must be between 0.0001 and 0.2"),
        ),
    ]
}
