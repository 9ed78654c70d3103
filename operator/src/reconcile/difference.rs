//! Whether an object already is what we would send. Pure.

use serde_json::Value;

/// Lists that the API server merges by key, so that others may have added to them.
const MERGED: [&str; 9] = [
    "ownerReferences",
    "containers",
    "initContainers",
    "volumes",
    "volumeMounts",
    "env",
    "ports",
    "imagePullSecrets",
    "topologySpreadConstraints",
];

/// Whether everything in `wanted` is in `live`: then sending it would change nothing. Fields that only `live` has belong
/// to somebody else, or to the API server.
pub fn is_within(wanted: &Value, live: &Value) -> bool {
    within("", wanted, live)
}

fn within(field: &str, wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.iter().all(|(key, value)| match live.get(key) {
                Some(other) => within(key, value, other),
                None => is_nothing(value),
            })
        }
        (Value::Array(wanted), Value::Array(live)) if MERGED.contains(&field) => wanted
            .iter()
            .all(|item| live.iter().any(|other| within("", item, other))),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len()
                && wanted
                    .iter()
                    .zip(live)
                    .all(|(item, other)| within("", item, other))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (wanted, live) => wanted == live,
    }
}

/// What the API server drops when it stores an object.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_added_is_no_difference() {
        let wanted = json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "replicas": 2 } });
        let live = json!({ "metadata": { "labels": { "a": "1", "theirs": "x" }, "uid": "u" },
            "spec": { "replicas": 2, "paused": false }, "status": {} });
        assert!(is_within(&wanted, &live));
    }

    #[test]
    fn a_changed_and_a_removed_field_are_differences() {
        let wanted = json!({ "spec": { "replicas": 2, "selector": { "a": "b" } } });
        assert!(!is_within(
            &wanted,
            &json!({ "spec": { "replicas": 3, "selector": { "a": "b" } } })
        ));
        assert!(!is_within(&wanted, &json!({ "spec": { "replicas": 2 } })));
    }

    #[test]
    fn an_entry_that_was_slipped_into_a_route_is_a_difference() {
        let wanted = json!({ "services": [{ "name": "a", "weight": 100 }] });
        let live = json!({ "services": [{ "name": "a", "weight": 100 }, { "name": "evil", "weight": 100 }] });
        assert!(!is_within(&wanted, &live));
    }

    #[test]
    fn a_sidecar_that_was_added_is_left_alone() {
        let wanted = json!({ "containers": [{ "name": "scorer", "image": "a" }] });
        let live =
            json!({ "containers": [{ "name": "mesh" }, { "name": "scorer", "image": "a", "stdin": false }] });
        assert!(is_within(&wanted, &live));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_is_within_itself(value in json()) {
            prop_assert!(is_within(&value, &value));
        }
    }
}
