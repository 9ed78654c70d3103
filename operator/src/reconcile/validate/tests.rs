use super::*;
use crate::fixture;

#[test]
fn the_fixture_is_valid_and_named_by_version_and_digest() {
    let valid = validate(&fixture::model(), &fixture::defaults()).unwrap();
    assert_eq!(valid.wanted.version, "2026.11.1");
    assert_eq!(valid.wanted.digest, format!("sha256:{}", "a".repeat(64)));
    assert_eq!(valid.wanted.hash.len(), 8);
}

#[test]
fn another_place_of_the_same_bytes_is_the_same_version() {
    let here = Model {
        version: "1".into(),
        uri: "https://here/m.onnx".into(),
        sha256: Some("b".repeat(64)),
        ..Model::default()
    };
    let there = Model {
        uri: "https://there/m.onnx".into(),
        ..here.clone()
    };
    let other = Model {
        version: "2".into(),
        ..here.clone()
    };
    let hash = |model, mtls| version_of(model, mtls).unwrap().hash;
    assert_eq!(hash(&here, false), hash(&there, false));
    assert_ne!(hash(&here, false), hash(&other, false));
    assert_ne!(hash(&here, false), hash(&here, true), "TLS makes another version");
}

#[test]
fn a_model_without_a_digest_is_refused_with_the_way_out() {
    let model = Model {
        version: "1".into(),
        uri: "oci://r/fraud:v1".into(),
        ..Model::default()
    };
    let message = version_of(&model, false).unwrap_err().to_string();
    assert!(message.starts_with("spec.model.sha256: is required"), "{message}");
    assert!(message.contains("sha256sum"), "{message}");
}

#[test]
fn text_that_would_change_a_rule_of_traefik_is_refused() {
    for (host, path) in [
        ("a`) || Host(`b", "/"),
        ("A.example", "/"),
        ("a_b", "/"),
        ("a.test", "/`"),
        ("a.test", "x"),
    ] {
        let mut model = fixture::model();
        let ingress = model.spec.ingress.as_mut().unwrap();
        ingress.host = host.into();
        ingress.path = path.into();
        assert!(validate(&model, &fixture::defaults()).is_err(), "{host} {path}");
    }
}

fn with(rules: serde_json::Value, lists: serde_json::Value) -> Result<ValidModel, Invalid> {
    let mut model = fixture::model();
    model.spec.rules = serde_json::from_value(rules).unwrap();
    model.spec.lists = serde_json::from_value(lists).unwrap();
    validate(&model, &fixture::defaults())
}

#[test]
fn rules_and_lists_that_could_not_be_served_are_refused() {
    use serde_json::json;
    let rule = |name: &str| json!({ "name": name, "when": "true", "action": "block" });
    assert!(with(json!([rule("a"), rule("b")]), json!({ "vip": { "values": [] } })).is_ok());
    assert!(with(json!([rule("a"), rule("a")]), json!({})).is_err());
    assert!(with(json!([rule("a_b")]), json!({})).is_err());
    for lists in [
        json!({ "a/../b": { "values": [1] } }),
        json!({ "..": { "configMapRef": { "name": "a" } } }),
        json!({ "a": {} }),
        json!({ "a": { "values": [1], "configMapRef": { "name": "a" } } }),
    ] {
        assert!(with(json!([]), lists.clone()).is_err(), "{lists}");
    }
}

#[test]
fn a_policy_that_does_not_fit_the_environment_is_refused_with_the_way_out() {
    use serde_json::json;
    let rule = |i| json!({ "name": format!("r{i}"), "when": format!("'{}' == ''", "$".repeat(1000)), "action": "block" });
    let error = with((0..64).map(rule).collect(), json!({}))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("spec.rules: ") && error.contains("spec.lists"),
        "{error}"
    );
}

#[test]
fn paths_that_lead_out_of_a_volume_are_refused() {
    for uri in [
        "pvc://claim",
        "pvc://claim/../x",
        "pvc://claim//x",
        "pvc://claim/a/.",
        "configMap://",
    ] {
        let mut model = fixture::model();
        model.spec.model.uri = uri.into();
        assert!(validate(&model, &fixture::defaults()).is_err(), "{uri}");
    }
}

#[test]
fn a_digest_counts_only_at_the_end_of_an_artifact() {
    assert_eq!(pinned_digest("oci://r/card@sha256:aa"), Some("aa"));
    assert_eq!(pinned_digest("s3://bucket/card@sha256:aa"), None);
}

#[test]
fn a_cache_needs_one_place_inside_the_node_and_a_size() {
    let cache = |host_path: Option<&str>, pvc: Option<&str>, max_size: &str| Cache {
        host_path: host_path.map(Into::into),
        pvc: pvc.map(Into::into),
        max_size: max_size.into(),
    };
    assert!(validate_cache(&cache(Some("/var/cache"), None, "1Gi")).is_ok());
    for bad in [
        cache(None, None, "1Gi"),
        cache(Some("/a"), Some("b"), "1Gi"),
        cache(Some("/a/../etc"), None, "1Gi"),
        cache(Some("a"), None, "1Gi"),
        cache(None, Some("b"), "1G"),
    ] {
        assert!(validate_cache(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn names_that_do_not_fit_are_refused() {
    for name in ["", "1a", "a.b", "A", "-a", "a-", &"a".repeat(41)] {
        let mut model = fixture::model();
        model.metadata.name = Some(name.into());
        assert!(validate(&model, &fixture::defaults()).is_err(), "{name:?}");
    }
    let mut model = fixture::model();
    model.metadata.name = Some("a".repeat(40));
    assert!(validate(&model, &fixture::defaults()).is_ok());
}
