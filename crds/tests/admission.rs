//! Every admission rule of FraudModel against a real kube-apiserver: what must pass passes, what can't be honoured is
//! refused with a message that names the field and the way out. Starts an API server on loopback.

#[path = "admission/access.rs"]
mod access;
#[path = "admission/rollout.rs"]
mod rollout;

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail, ensure};
use fraudops_testcluster::ApiServer;
use kube::{
    Api,
    api::PostParams,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What is changed in a good FraudModel, and what the refusal must say (nothing: it is admitted).
type Row = (&'static str, Value, Option<&'static str>);

fn good() -> Value {
    json!({
        "apiVersion": "fraudops.dev/v1alpha1", "kind": "FraudModel",
        "metadata": { "name": "card-fraud", "namespace": "default" },
        "spec": { "model": { "version": "1", "uri": "https://models.example/m.onnx", "sha256": SHA } },
    })
}

fn uri(uri: &str) -> Value {
    json!({ "spec": { "model": { "uri": uri } } })
}

fn uri_alone(uri: &str) -> Value {
    json!({ "spec": { "model": { "uri": uri, "sha256": null } } })
}

fn model_with(uri: &str, more: Value) -> Value {
    let mut model = json!({ "uri": uri });
    merge(&mut model, &more);
    json!({ "spec": { "model": model } })
}

fn cache(cache: Value) -> Value {
    scorer(json!({ "cache": cache }))
}

fn host(host: &str) -> Value {
    json!({ "spec": { "ingress": { "host": host } } })
}

fn tls(tls: Value) -> Value {
    json!({ "spec": { "ingress": { "host": "a.test", "tls": tls } } })
}

fn scorer(scorer: Value) -> Value {
    json!({ "spec": { "scorer": scorer } })
}

fn receipts(name: &str) -> Value {
    json!({ "spec": { "receipts": { "keySecretRef": { "name": name } } } })
}

fn idempotency(idempotency: Value) -> Value {
    json!({ "spec": { "idempotency": idempotency } })
}

fn redis(change: Value) -> Value {
    let mut redis = json!({ "secretRef": { "name": "redis" } });
    merge(&mut redis, &change);
    idempotency(json!({ "redis": redis }))
}

fn rules(rules: Value) -> Value {
    json!({ "spec": { "rules": rules } })
}

fn rule(change: Value) -> Value {
    let mut rule = json!({ "name": "amount", "when": "TX_AMOUNT > 1.0", "action": "block" });
    merge(&mut rule, &change);
    rules(json!([rule]))
}

fn list(name: &str, list: Value) -> Value {
    json!({ "spec": { "lists": { name: list } } })
}

fn rows() -> Vec<Row> {
    let pinned = "oci://registry.example:5000/fraud/card@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let mut rows: Vec<Row> = vec![
        ("the least that is needed", json!({}), None),
        // metadata.name
        (
            "the longest name",
            json!({ "metadata": { "name": "a".repeat(40) } }),
            None,
        ),
        (
            "a name that is too long",
            json!({ "metadata": { "name": "a".repeat(41) } }),
            Some("metadata.name must be at most 40 characters"),
        ),
        (
            "a name with a dot",
            json!({ "metadata": { "name": "card.fraud" } }),
            Some("metadata.name must begin with a letter"),
        ),
        (
            "a name that begins with a digit",
            json!({ "metadata": { "name": "1card" } }),
            Some("metadata.name must begin with a letter"),
        ),
        // spec.model
        (
            "a version with dots",
            json!({ "spec": { "model": { "version": "2026.11.1-rc_1" } } }),
            None,
        ),
        (
            "a version that is no label",
            json!({ "spec": { "model": { "version": "v 1" } } }),
            Some("model.version is used as a label"),
        ),
        (
            "a version that is too long",
            json!({ "spec": { "model": { "version": "v".repeat(64) } } }),
            Some("spec.model.version"),
        ),
        (
            "no version",
            json!({ "spec": { "model": { "version": null } } }),
            Some("spec.model.version"),
        ),
        ("a file in the image", uri("file:///models/m.onnx"), None),
        (
            "a file without an absolute path",
            uri("file://m.onnx"),
            Some("a file:// model.uri needs an absolute path"),
        ),
        ("an artifact by digest, without sha256", uri_alone(pinned), None),
        (
            "an artifact by tag, with sha256",
            uri("oci://registry.example/fraud/card:v1"),
            None,
        ),
        (
            "an artifact by tag, without sha256",
            uri_alone("oci://registry.example/fraud/card:v1"),
            Some("model.sha256 is required because model.uri pins no digest"),
        ),
        (
            "an unknown scheme",
            uri("ftp://models.example/m.onnx"),
            Some("model.uri must begin with oci://, https://, s3://"),
        ),
        (
            "plain http",
            uri("http://models.example/m.onnx"),
            Some("model.uri must begin with oci://, https://, s3://"),
        ),
        (
            "a uri with a space",
            uri("https://models.example/a b.onnx"),
            Some("model.uri must hold printable ASCII characters"),
        ),
        (
            "an artifact with a short digest",
            uri("oci://r.example/f@sha256:abc"),
            Some("the digest in model.uri must be @sha256: and 64"),
        ),
        (
            "an artifact without a repository",
            uri("oci://registry.example"),
            Some("an oci:// model.uri is oci://registry/repository"),
        ),
        (
            "an artifact without tag and digest",
            uri("oci://registry.example/fraud/card"),
            Some("an oci:// model.uri needs a :tag or a @sha256:"),
        ),
        (
            "a sha256 in upper case",
            json!({ "spec": { "model": { "sha256": SHA.to_uppercase() } } }),
            Some("model.sha256 must be 64 lower-case hex digits"),
        ),
        (
            "a sha256 that is too short",
            json!({ "spec": { "model": { "sha256": "abc" } } }),
            Some("model.sha256 must be 64 lower-case hex digits"),
        ),
        ("an object of S3", uri("s3://fraud-models/card/1.onnx"), None),
        ("an object of Google's", uri("gs://fraud_models/card.onnx"), None),
        ("a blob of Azure's", uri("az://models/card.onnx"), None),
        (
            "a bucket without a key",
            uri("s3://fraud-models"),
            Some("an s3://, gs:// or az:// model.uri is a bucket"),
        ),
        (
            "a version of an object",
            uri("s3://fraud-models/card.onnx?versionId=1"),
            Some("an s3://, gs:// or az:// model.uri is a bucket"),
        ),
        (
            "an object without sha256",
            uri_alone("s3://fraud-models/card.onnx"),
            Some("model.sha256 is required"),
        ),
        (
            "a key that only looks like a digest",
            uri_alone(&format!("s3://fraud-models/card@sha256:{SHA}")),
            Some("model.sha256 is required"),
        ),
        ("a file of a claim", uri("pvc://models/card/1.onnx"), None),
        (
            "a claim without a path",
            uri("pvc://models"),
            Some("a pvc:// model.uri is pvc://claim/path"),
        ),
        (
            "a path that leaves the claim",
            uri("pvc://models/../secret"),
            Some("model.uri must not hold empty parts"),
        ),
        (
            "a path with an empty part",
            uri("pvc://models/a//b"),
            Some("model.uri must not hold empty parts"),
        ),
        (
            "a folder",
            uri("file:///models/"),
            Some("model.uri must not hold empty parts"),
        ),
        ("a key of a ConfigMap", uri("configMap://card/card.onnx"), None),
        (
            "a path in a ConfigMap",
            uri("configMap://card/a/card.onnx"),
            Some("a configMap:// model.uri is configMap://name/key"),
        ),
        (
            "credentials for a store",
            model_with(
                "s3://fraud-models/card.onnx",
                json!({ "credentialsSecretRef": { "name": "store" } }),
            ),
            None,
        ),
        (
            "credentials for a file",
            model_with(
                "file:///card.onnx",
                json!({ "credentialsSecretRef": { "name": "store" } }),
            ),
            Some("model.credentialsSecretRef is for s3://, gs://, az:// and https:// uris"),
        ),
        (
            "credentials in a Secret whose name is none",
            model_with(
                "s3://fraud-models/card.onnx",
                json!({ "credentialsSecretRef": { "name": "My Store" } }),
            ),
            Some("name must be the name of a Secret in this namespace"),
        ),
        (
            "the cloud's metadata service for a store",
            model_with("gs://fraud-models/card.onnx", json!({ "instanceMetadata": true })),
            None,
        ),
        (
            "the cloud's metadata service for a registry",
            model_with("oci://r.example/card:1", json!({ "instanceMetadata": true })),
            Some("model.instanceMetadata is for s3://, gs:// and az:// uris"),
        ),
        (
            "a signature",
            model_with(
                "oci://r.example/card:1",
                json!({ "verify": { "publicKeySecretRef": { "name": "cosign" } } }),
            ),
            None,
        ),
        (
            "a signature of a file",
            model_with(
                "https://models.example/m",
                json!({ "verify": { "publicKeySecretRef": { "name": "cosign" } } }),
            ),
            Some("model.verify checks signatures of oci:// artifacts"),
        ),
        (
            "a signature without a key",
            model_with("oci://r.example/card:1", json!({ "verify": {} })),
            Some("spec.model.verify.publicKeySecretRef"),
        ),
        (
            "a public key in a Secret whose name is none",
            model_with(
                "oci://r.example/card:1",
                json!({ "verify": { "publicKeySecretRef": { "name": "A" } } }),
            ),
            Some("publicKeySecretRef.name must be the name of a Secret"),
        ),
        (
            "a public key under a key that is none",
            model_with(
                "oci://r.example/card:1",
                json!({ "verify": { "publicKeySecretRef": { "name": "a", "key": "a/b" } } }),
            ),
            Some("publicKeySecretRef.key must be a key of a Secret"),
        ),
        // spec.decision
        (
            "thresholds at the ends",
            json!({ "spec": { "decision": { "review": 0, "block": 1 } } }),
            None,
        ),
        (
            "equal thresholds",
            json!({ "spec": { "decision": { "review": 0.4, "block": 0.4 } } }),
            None,
        ),
        (
            "block below review",
            json!({ "spec": { "decision": { "review": 0.6, "block": 0.5 } } }),
            Some("decision.block must not be below decision.review"),
        ),
        (
            "review above the default of block",
            json!({ "spec": { "decision": { "review": 0.9 } } }),
            Some("decision.block must not be below decision.review"),
        ),
        (
            "review below 0",
            json!({ "spec": { "decision": { "review": -0.1 } } }),
            Some("decision.review must be between 0 and 1"),
        ),
        (
            "block above 1",
            json!({ "spec": { "decision": { "block": 1.1 } } }),
            Some("decision.block must be between 0 and 1"),
        ),
        (
            "a threshold that is no number",
            json!({ "spec": { "decision": { "block": "high" } } }),
            Some("spec.decision.block"),
        ),
        (
            "an unknown onModelError",
            json!({ "spec": { "decision": { "onModelError": "ignore" } } }),
            Some("spec.decision.onModelError"),
        ),
        (
            "every field of a decision",
            json!({ "spec": { "decision": { "onModelError": "rulesOnly", "deadline": "20ms", "blockStatus": 403, "maxBatch": 1 } } }),
            None,
        ),
        (
            "no time to answer",
            json!({ "spec": { "decision": { "deadline": "0ms" } } }),
            Some("decision.deadline must be a time between 1ms and 10s"),
        ),
        (
            "a deadline that is no time",
            json!({ "spec": { "decision": { "deadline": "soon" } } }),
            Some("decision.deadline must be a time between 1ms and 10s"),
        ),
        (
            "a block that answers 500",
            json!({ "spec": { "decision": { "blockStatus": 500 } } }),
            Some("decision.blockStatus must be 200 or 403"),
        ),
        (
            "an endless batch",
            json!({ "spec": { "decision": { "maxBatch": 100000 } } }),
            Some("spec.decision.maxBatch"),
        ),
        // spec.rules
        (
            "rules",
            rules(json!([
                { "name": "a", "when": "score > 0.9", "action": "block", "mode": "enforce", "reason": "very likely fraud" },
                { "name": "b-1", "when": "CUSTOMER_ID in lists.vip", "action": "allow", "mode": "shadow" },
                { "name": "1", "when": "TX_AMOUNT > 1.0", "action": "review" },
            ])),
            None,
        ),
        (
            "a rule's name with an underscore",
            rule(json!({ "name": "a_b" })),
            Some("rules[].name must hold only a-z, 0-9 and '-'"),
        ),
        (
            "a rule's name that is too long",
            rule(json!({ "name": "a".repeat(64) })),
            Some("spec.rules[0].name"),
        ),
        (
            "two rules of one name",
            rules(json!([
                { "name": "a", "when": "true", "action": "block" },
                { "name": "a", "when": "false", "action": "block" },
            ])),
            Some("rules[].name must be unique"),
        ),
        (
            "as many rules as there may be",
            rules(
                (0..64)
                    .map(|i| json!({ "name": format!("r{i}"), "when": "true", "action": "block" }))
                    .collect(),
            ),
            None,
        ),
        (
            "too many rules",
            rules(
                (0..65)
                    .map(|i| json!({ "name": format!("r{i}"), "when": "true", "action": "block" }))
                    .collect(),
            ),
            Some("spec.rules"),
        ),
        (
            "a rule without a condition",
            rule(json!({ "when": null })),
            Some("spec.rules[0].when"),
        ),
        (
            "a condition that is too long",
            rule(json!({ "when": "1".repeat(1025) })),
            Some("spec.rules[0].when"),
        ),
        (
            "an unknown action",
            rule(json!({ "action": "deny" })),
            Some("spec.rules[0].action"),
        ),
        (
            "an unknown mode",
            rule(json!({ "mode": "off" })),
            Some("spec.rules[0].mode"),
        ),
        (
            "a reason of two lines",
            rule(json!({ "reason": "a\nb" })),
            Some("rules[].reason must be one line"),
        ),
        (
            "a reason that is too long",
            rule(json!({ "reason": "a".repeat(257) })),
            Some("spec.rules[0].reason"),
        ),
        (
            "an unknown field of a rule",
            rule(json!({ "weight": 1 })),
            Some("unknown field \"spec.rules[0].weight\""),
        ),
        // spec.lists
        (
            "a list of ids",
            list(
                "blockedCustomers_2",
                json!({ "values": [0, 323, 9007199254740993_i64] }),
            ),
            None,
        ),
        (
            "a list in a ConfigMap",
            list("vip", json!({ "configMapRef": { "name": "vip-customers" } })),
            None,
        ),
        (
            "a list of values and a ConfigMap",
            list("vip", json!({ "values": [1], "configMapRef": { "name": "vip" } })),
            Some("values and configMapRef of an entry of spec.lists exclude each other"),
        ),
        (
            "a list of nothing",
            list("vip", json!({})),
            Some("an entry of spec.lists needs values"),
        ),
        (
            "a list of texts",
            list("vip", json!({ "values": ["a"] })),
            Some("spec.lists.vip.values[0]"),
        ),
        (
            "a list that is too long",
            list("vip", json!({ "values": (0..1001).collect::<Vec<_>>() })),
            Some("spec.lists.vip.values"),
        ),
        (
            "a ConfigMap's name that is none",
            list("vip", json!({ "configMapRef": { "name": "VIP customers" } })),
            Some("configMapRef.name of an entry of spec.lists must be the name of a ConfigMap"),
        ),
        (
            "a list's name with a hyphen",
            list("blocked-customers", json!({ "values": [1] })),
            Some("a name in spec.lists begins with a lower-case letter"),
        ),
        (
            "a list's name that begins with a digit",
            list("1st", json!({ "values": [1] })),
            Some("a name in spec.lists begins with a lower-case letter"),
        ),
        (
            "a list's name that is too long",
            list(&"a".repeat(64), json!({ "values": [1] })),
            Some("a name in spec.lists begins with a lower-case letter"),
        ),
        (
            "a list's name that is a word of CEL",
            list("in", json!({ "values": [1] })),
            Some("a name in spec.lists must not be false, in, null or true"),
        ),
        (
            "too many lists",
            json!({ "spec": { "lists": (0..17).map(|i| (format!("l{i}"), json!({ "values": [1] }))).collect::<serde_json::Map<_, _>>() } }),
            Some("spec.lists"),
        ),
        // spec.scorer
        ("replicas", scorer(json!({ "replicas": 3 })), None),
        (
            "no replicas at all",
            scorer(json!({ "replicas": 0 })),
            Some("spec.scorer.replicas"),
        ),
        (
            "autoscaling",
            scorer(json!({ "autoscaling": { "min": 2, "max": 4 } })),
            None,
        ),
        (
            "replicas and autoscaling",
            scorer(json!({ "replicas": 2, "autoscaling": { "min": 2, "max": 4 } })),
            Some("scorer.replicas and scorer.autoscaling exclude each other"),
        ),
        (
            "min above max",
            scorer(json!({ "autoscaling": { "min": 5, "max": 4 } })),
            Some("scorer.autoscaling.min must not be above"),
        ),
        (
            "autoscaling with a CPU request",
            scorer(
                json!({ "autoscaling": { "min": 1, "max": 4 }, "resources": { "requests": { "cpu": 1 } } }),
            ),
            None,
        ),
        (
            "autoscaling without a CPU request",
            scorer(
                json!({ "autoscaling": { "min": 1, "max": 4 }, "resources": { "limits": { "memory": "1Gi" } } }),
            ),
            Some("set scorer.resources.requests.cpu"),
        ),
        (
            "labels of one's own",
            scorer(json!({ "podLabels": { "team": "risk" } })),
            None,
        ),
        (
            "labels of ours",
            scorer(json!({ "podLabels": { "fraudops.dev/model": "x" } })),
            Some("scorer.podLabels must not set"),
        ),
        (
            "environment of one's own",
            scorer(json!({ "env": [{ "name": "OTEL_SERVICE_NAME", "value": "x" }] })),
            None,
        ),
        (
            "environment of ours",
            scorer(json!({ "env": [{ "name": "FRAUDOPS_MODEL", "value": "x" }] })),
            Some("scorer.env must not set"),
        ),
        (
            "a folder of the node as cache",
            cache(json!({ "hostPath": "/var/cache/fraudops" })),
            None,
        ),
        (
            "a volume as cache",
            cache(json!({ "pvc": "models", "maxSize": "512Mi" })),
            None,
        ),
        (
            "a cache in two places",
            cache(json!({ "hostPath": "/var/cache/fraudops", "pvc": "models" })),
            Some("scorer.cache needs exactly one of hostPath and pvc"),
        ),
        (
            "a cache nowhere",
            cache(json!({ "maxSize": "1Gi" })),
            Some("scorer.cache needs exactly one of hostPath and pvc"),
        ),
        (
            "a cache in a folder above",
            cache(json!({ "hostPath": "/var/../etc" })),
            Some("scorer.cache.hostPath must be an absolute path"),
        ),
        (
            "a cache in a claim whose name is none",
            cache(json!({ "pvc": "My Models" })),
            Some("scorer.cache.pvc must be the name of a PersistentVolumeClaim"),
        ),
        (
            "a cache of an odd size",
            cache(json!({ "pvc": "models", "maxSize": "2G" })),
            Some("scorer.cache.maxSize must be a whole number of Mi or Gi"),
        ),
        (
            "an identity for the pods",
            scorer(
                json!({ "serviceAccountAnnotations": { "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x" } }),
            ),
            None,
        ),
        (
            "an unknown pull policy",
            scorer(json!({ "imagePullPolicy": "Sometimes" })),
            Some("spec.scorer.imagePullPolicy"),
        ),
        // spec.ingress
        ("a host", host("card-fraud.example.test"), None),
        ("a host of one label", host("localhost"), None),
        (
            "a host with a wildcard",
            host("*.example.test"),
            Some("ingress.host must be a DNS name"),
        ),
        (
            "a host with a port",
            host("a.test:443"),
            Some("ingress.host must be a DNS name"),
        ),
        (
            "a host in upper case",
            host("A.test"),
            Some("ingress.host must be a DNS name"),
        ),
        (
            "a host that breaks out of the rule",
            host("a`) || Host(`b"),
            Some("ingress.host must be a DNS name"),
        ),
        (
            "a label of 64 characters",
            host(&format!("{}.test", "a".repeat(64))),
            Some("ingress.host must be a DNS name"),
        ),
        (
            "a path",
            json!({ "spec": { "ingress": { "host": "a.test", "path": "/predict" } } }),
            None,
        ),
        (
            "a path without a slash",
            json!({ "spec": { "ingress": { "host": "a.test", "path": "predict" } } }),
            Some("ingress.path must begin with '/'"),
        ),
        (
            "an issuer",
            tls(json!({ "issuerRef": { "name": "ca", "kind": "ClusterIssuer" } })),
            None,
        ),
        ("a secret", tls(json!({ "secretName": "my-tls" })), None),
        (
            "an issuer and a secret",
            tls(json!({ "issuerRef": { "name": "ca" }, "secretName": "my-tls" })),
            Some("ingress.tls.issuerRef and ingress.tls.secretName exclude each other"),
        ),
        (
            "neither issuer nor secret",
            tls(json!({})),
            Some("ingress.tls needs issuerRef"),
        ),
        (
            "a secret's name that is none",
            tls(json!({ "secretName": "My TLS" })),
            Some("ingress.tls.secretName must be the name of a Secret"),
        ),
        // spec.receipts and spec.idempotency
        ("keys of one's own", receipts("receipt-keys"), None),
        (
            "a Secret's name that is none",
            receipts("Receipt Keys"),
            Some("name must be the name of a Secret in this namespace"),
        ),
        ("an hour", idempotency(json!({ "ttl": "1h30m" })), None),
        (
            "a time without a unit",
            idempotency(json!({ "ttl": "90" })),
            Some("idempotency.ttl must be a duration such as 24h"),
        ),
        (
            "half a second",
            idempotency(json!({ "ttl": "500ms" })),
            Some("idempotency.ttl must be between 1s and 168h"),
        ),
        (
            "eight days",
            idempotency(json!({ "ttl": "192h" })),
            Some("idempotency.ttl must be between 1s and 168h"),
        ),
        ("a shared memory", redis(json!({})), None),
        (
            "a shared memory with everything",
            redis(json!({ "port": 6380, "timeout": "5ms" })),
            None,
        ),
        (
            "a shared memory without a Secret",
            redis(json!({ "secretRef": null })),
            Some("spec.idempotency.redis.secretRef"),
        ),
        (
            "a port that is none",
            redis(json!({ "port": 0 })),
            Some("spec.idempotency.redis.port"),
        ),
        (
            "a wait without a unit",
            redis(json!({ "timeout": "20" })),
            Some("idempotency.redis.timeout must be a duration such as 20ms"),
        ),
        (
            "a wait that is too long",
            redis(json!({ "timeout": "2s" })),
            Some("idempotency.redis.timeout must be between 1ms and 1s"),
        ),
        // what does not exist
        (
            "an unknown field",
            json!({ "spec": { "canary": {} } }),
            Some("unknown field \"spec.canary\""),
        ),
        (
            "an explicit null where there is no default",
            json!({ "spec": { "ingress": { "host": "a.test", "tls": null } } }),
            None,
        ),
    ];
    rows.extend(access::rows());
    rows.extend(rollout::rows());
    rows.push((
        "a uri that is too long",
        uri(&format!("https://m.example/{}", "a".repeat(1024))),
        Some("spec.model.uri"),
    ));
    rows
}

fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key).or_insert(json!({})), value);
                }
            }
        }
        (base, change) => *base = change.clone(),
    }
}

fn messages(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(map) => {
            for rule in map
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                found.insert(rule["message"].as_str().unwrap_or_default().to_owned());
            }
            map.values().for_each(|child| messages(child, found));
        }
        Value::Array(list) => list.iter().for_each(|child| messages(child, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_api_server_admits_what_can_be_honoured_and_explains_what_can_not() -> Result<()> {
    let server = ApiServer::start()?;
    server
        .install_crds(&[concat!(env!("CARGO_MANIFEST_DIR"), "/fraudmodels.yaml")])
        .await?;
    let resource = ApiResource::erase::<fraudops_crds::FraudModel>(&());
    let api: Api<DynamicObject> = Api::default_namespaced_with(server.client().await?, &resource);
    let mut refusals = BTreeSet::new();
    for (told, change, expected) in rows() {
        let mut model = good();
        merge(&mut model, &change);
        let object: DynamicObject = serde_json::from_value(model).context(told)?;
        let outcome = create_strictly(&api, &object).await;
        match (expected, outcome) {
            (None, Ok(())) => {}
            (Some(expected), Err(message)) => {
                ensure!(
                    message.contains(expected),
                    "{told}: refused with {message:?}, which lacks {expected:?}"
                );
                refusals.insert(message);
            }
            (None, Err(message)) => bail!("{told}: refused: {message}"),
            (Some(expected), Ok(())) => bail!("{told}: admitted, but {expected:?} was expected"),
        }
    }
    every_example_is_admitted(&api).await?;
    let mut rules = BTreeSet::new();
    messages(&serde_json::to_value(fraudops_crds::crd()?)?, &mut rules);
    ensure!(
        rules.len() >= 20,
        "only {} rules were found in the schema",
        rules.len()
    );
    for rule in rules {
        ensure!(
            refusals.iter().any(|refusal| refusal.contains(&rule)),
            "no row shows the rule {rule:?}"
        );
    }
    Ok(())
}

/// Whatever there is in `examples/`: one that is added is tried too.
async fn every_example_is_admitted(api: &Api<DynamicObject>) -> Result<()> {
    let mut admitted = BTreeSet::new();
    for example in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"))? {
        let example = example?;
        let path = example.path().join("fraudmodel.yaml");
        if !path.exists() {
            continue;
        }
        let mut manifest: Value = serde_yaml::from_str(&fs::read_to_string(&path)?)?;
        manifest["metadata"]["namespace"] = "default".into();
        let outcome = create_strictly(api, &serde_json::from_value(manifest)?).await;
        ensure!(outcome.is_ok(), "{}: refused: {outcome:?}", path.display());
        admitted.insert(example.file_name());
    }
    ensure!(admitted.len() >= 2, "only {admitted:?} were found");
    Ok(())
}

/// Creates with `fieldValidation=Strict`, as kubectl does; the error is the API server's message.
async fn create_strictly(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<(), String> {
    let body = serde_json::to_vec(object).map_err(|e| e.to_string())?;
    let url = format!("{}?dryRun=All&fieldValidation=Strict", api.resource_url());
    let request = http::Request::post(url)
        .header("content-type", "application/json")
        .body(body);
    let client = api.clone().into_client();
    match client.request::<Value>(request.map_err(|e| e.to_string())?).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => Err(other.to_string()),
    }
}

#[tokio::test]
async fn defaults_are_filled_in_and_the_scale_subresource_works() -> Result<()> {
    let server = ApiServer::start()?;
    server
        .install_crds(&[concat!(env!("CARGO_MANIFEST_DIR"), "/fraudmodels.yaml")])
        .await?;
    let api: Api<fraudops_crds::FraudModel> = Api::default_namespaced(server.client().await?);
    let model: fraudops_crds::FraudModel = serde_json::from_value(good())?;
    let mut bare = good();
    bare["spec"]["scorer"] = json!({ "replicas": 2 });
    let stored = api
        .create(&PostParams::default(), &serde_json::from_value(bare)?)
        .await?;
    assert_eq!(stored.spec.decision, model.spec.decision);
    assert_eq!(
        (stored.spec.decision.review, stored.spec.decision.block),
        (0.10, 0.50)
    );
    let steps =
        json!({ "spec": { "ingress": { "host": "a.test" }, "rollout": { "steps": [{ "weight": 5 }] } } });
    let patch = kube::api::Patch::Merge(&steps);
    let stored = api
        .patch("card-fraud", &kube::api::PatchParams::default(), &patch)
        .await?;
    let rollout = stored.spec.rollout.context("no rollout")?;
    assert_eq!(rollout.gates, fraudops_crds::fraud_model::Gates::default());
    assert_eq!(
        (
            rollout.alpha,
            rollout.paused,
            rollout.steps[0].min_duration.as_str()
        ),
        (0.01, false, "5m")
    );
    assert_eq!(rollout.gates.error_ratio.min_samples, 500);
    let scale = json!({ "spec": { "replicas": 5 } });
    api.patch_scale(
        "card-fraud",
        &kube::api::PatchParams::default(),
        &kube::api::Patch::Merge(&scale),
    )
    .await?;
    assert_eq!(api.get("card-fraud").await?.spec.scorer.replicas, Some(5));
    Ok(())
}
