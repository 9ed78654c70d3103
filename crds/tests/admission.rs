//! Every admission rule of FraudModel against a real kube-apiserver: what must pass passes, what can't be honoured is
//! refused with a message that names the field and the way out. Starts an API server on loopback.

#[path = "admission/rollout.rs"]
mod rollout;

use std::collections::BTreeSet;

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

fn host(host: &str) -> Value {
    json!({ "spec": { "ingress": { "host": host } } })
}

fn tls(tls: Value) -> Value {
    json!({ "spec": { "ingress": { "host": "a.test", "tls": tls } } })
}

fn scorer(scorer: Value) -> Value {
    json!({ "spec": { "scorer": scorer } })
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
            Some("model.uri must begin with oci://, https:// or file://"),
        ),
        (
            "plain http",
            uri("http://models.example/m.onnx"),
            Some("model.uri must begin with oci://, https:// or file://"),
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
