//! `spec.access` and `spec.decisionLog`.

use serde_json::{Value, json};

use super::{Row, merge};

fn access(access: Value) -> Value {
    json!({ "spec": { "access": access } })
}

/// TLS to the pods behind a route, changed as told.
fn mtls(change: Value) -> Value {
    let mut mtls = json!({ "caSecretRef": { "name": "scorer-ca" } });
    merge(&mut mtls, &change);
    json!({ "spec": { "ingress": { "host": "a.test" }, "access": { "mtls": mtls } } })
}

fn named(names: &[&str]) -> Value {
    mtls(json!({ "allowedSANs": names }))
}

fn rate(change: Value) -> Value {
    let mut rate = json!({ "requestsPerSecond": 50 });
    merge(&mut rate, &change);
    access(json!({ "rateLimit": rate }))
}

fn log(log: Value) -> Value {
    json!({ "spec": { "decisionLog": log } })
}

pub fn rows() -> Vec<Row> {
    let mut rows = callers();
    rows.extend(logs());
    rows
}

fn callers() -> Vec<Row> {
    let wrong_name = Some("access.mtls.allowedSANs must be DNS names in lower case or URIs");
    vec![
        (
            "everything about callers",
            json!({ "spec": { "ingress": { "host": "a.test" }, "access": {
                "tokensSecretRef": { "name": "callers" },
                "mtls": { "caSecretRef": { "name": "scorer-ca" },
                    "allowedSANs": ["checkout.shop.svc", "localhost", "spiffe://example.com/ns/shop/sa/checkout"] },
                "rateLimit": { "requestsPerSecond": 0.5, "burst": 100 } } } }),
            None,
        ),
        (
            "nothing about callers",
            access(json!({})),
            Some("access needs at least one of tokensSecretRef, mtls and rateLimit"),
        ),
        (
            "tokens",
            access(json!({ "tokensSecretRef": { "name": "callers" } })),
            None,
        ),
        (
            "tokens in a Secret whose name is none",
            access(json!({ "tokensSecretRef": { "name": "My Callers" } })),
            Some("name must be the name of a Secret in this namespace"),
        ),
        ("TLS behind a route", mtls(json!({})), None),
        (
            "TLS without an authority",
            mtls(json!({ "caSecretRef": null })),
            Some("spec.access.mtls.caSecretRef"),
        ),
        (
            "TLS that nobody has a certificate for",
            access(json!({ "mtls": { "caSecretRef": { "name": "ca" } } })),
            Some("access.mtls without ingress needs allowedSANs"),
        ),
        (
            "TLS for callers inside the cluster",
            access(
                json!({ "mtls": { "caSecretRef": { "name": "ca" }, "allowedSANs": ["checkout.shop.svc"] } }),
            ),
            None,
        ),
        ("every caller", named(&["*"]), wrong_name),
        ("a family of callers", named(&["*.shop.svc"]), wrong_name),
        ("two callers in one", named(&["a.test,b.test"]), wrong_name),
        ("a caller in upper case", named(&["Checkout"]), wrong_name),
        (
            "a caller that the kubelet would expand",
            named(&["spiffe://$(HOSTNAME)"]),
            wrong_name,
        ),
        (
            "a caller without a name",
            named(&[""]),
            Some("spec.access.mtls.allowedSANs[0]"),
        ),
        (
            "a caller twice",
            named(&["a.test", "a.test"]),
            Some("spec.access.mtls.allowedSANs[1]"),
        ),
        (
            "too many callers",
            mtls(json!({ "allowedSANs": (0..17).map(|i| format!("a{i}.test")).collect::<Vec<_>>() })),
            Some("spec.access.mtls.allowedSANs"),
        ),
        ("a rate", rate(json!({})), None),
        (
            "a rate of nothing",
            rate(json!({ "requestsPerSecond": 0 })),
            Some("access.rateLimit.requestsPerSecond must be between 0.01 and 1000000"),
        ),
        (
            "a rate without end",
            rate(json!({ "requestsPerSecond": 2_000_000 })),
            Some("access.rateLimit.requestsPerSecond must be between 0.01 and 1000000"),
        ),
        (
            "a burst without a rate",
            rate(json!({ "requestsPerSecond": null, "burst": 5 })),
            Some("spec.access.rateLimit.requestsPerSecond"),
        ),
        (
            "a burst of nothing",
            rate(json!({ "burst": 0 })),
            Some("spec.access.rateLimit.burst"),
        ),
        (
            "an unknown way in",
            access(json!({ "tokensSecretRef": { "name": "a" }, "oidc": {} })),
            Some("unknown field \"spec.access.oidc\""),
        ),
    ]
}

fn logs() -> Vec<Row> {
    vec![
        ("a log of decisions", log(json!({})), None),
        (
            "every field of a log",
            log(
                json!({ "enabled": false, "approvals": 1, "pseudonymKeySecretRef": { "name": "decision-log" } }),
            ),
            None,
        ),
        (
            "more approvals than all",
            log(json!({ "approvals": 1.5 })),
            Some("decisionLog.approvals must be between 0 and 1"),
        ),
        (
            "a pseudonym key in a Secret whose name is none",
            log(json!({ "pseudonymKeySecretRef": { "name": "Decision Log" } })),
            Some("name must be the name of a Secret in this namespace"),
        ),
        (
            "a log in a file",
            log(json!({ "file": "/var/log/decisions" })),
            Some("unknown field \"spec.decisionLog.file\""),
        ),
    ]
}
