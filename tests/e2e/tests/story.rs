//! The story of a fraud model on a whole cluster: real Kubernetes, Traefik, cert-manager and registry, nothing faked.
//!
//! It can be read as documentation: every test is one thing that users rely on. `make e2e` prepares the cluster and
//! runs it; each test has a namespace and a host of its own, so that they can run side by side.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use fraudops_crds::fraud_model::{ConditionType::*, Phase};
use fraudops_e2e::{Caller, Load, ModelFile, Namespace, Stage, holds, spec_of, until};
use serde_json::{Value, json};

const V1: &str = "2026.11.1";
const V2: &str = "2026.11.2";

#[tokio::test]
async fn helm_installs_an_operator_that_holds_its_lease() -> Result<()> {
    let stage = Stage::ready()?;
    stage.kubectl(&[
        "--namespace",
        "fraudops-system",
        "rollout",
        "status",
        "deployment/fraudops-operator",
        "--timeout=60s",
    ])?;
    until("somebody holds the lease", Duration::from_secs(60), || async {
        let holder = stage.kubectl(&[
            "--namespace",
            "fraudops-system",
            "get",
            "lease",
            "fraudops-operator",
            "--output",
            "jsonpath={.spec.holderIdentity}",
        ])?;
        holds(!holder.is_empty(), "no holder")
    })
    .await
}

#[tokio::test]
async fn a_manifest_becomes_an_https_prediction_equal_to_python() -> Result<()> {
    let payments = Namespace::fresh("story").await?;
    let model = payments.stage.model(V1)?;

    payments.apply(&payments.manifest("card-fraud", "card-fraud.story.test", &model)?)?;
    let served = payments.until_stable("card-fraud", V1).await?;

    let status = served.status.unwrap_or_default();
    assert_eq!(status.phase, Some(Phase::Stable));
    assert_eq!(status.url.as_deref(), Some("https://card-fraud.story.test"));
    assert_eq!(
        status.stable.map(|s| s.digest),
        Some(format!("sha256:{}", model.sha256))
    );
    for kind in [Available, ModelVerified, CertificateReady, RouteReady] {
        payments.until_condition("card-fraud", kind, "True").await?;
    }
    let table = payments.kubectl(&["get", "fm"])?;
    for word in [
        "PHASE",
        "STABLE",
        "READY",
        "URL",
        "Stable",
        V1,
        "True",
        "https://card-fraud.story.test",
    ] {
        assert!(table.contains(word), "`kubectl get fm` shows no {word}:\n{table}");
    }

    let good = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, "card-fraud.story.test", &good).await?;
    for file in ["transaction.json", "transaction-fraud.json"] {
        let transaction = payments.quickstart(file);
        let answer = caller.predict(&fs::read(&transaction)?).await?;
        assert_eq!(answer.status, 200, "{file}: {}", answer.body);
        let (ours, python) = (
            probability(&answer.body),
            payments.stage.predict_in_python(&model, &transaction)?,
        );
        assert!(
            (ours - python).abs() <= 1e-6,
            "{file}: {ours} here, {python} in Python"
        );
        assert_eq!(answer.body["is_fraud"], json!(python >= 0.5), "{file}");
        assert_eq!(answer.body["decision"], json!(decision(python)), "{file}");
        assert_eq!(answer.body["model_version"], json!(V1));
    }
    payments.remove().await
}

#[tokio::test]
async fn a_bad_body_gets_an_answer_that_names_what_is_wrong() -> Result<()> {
    let payments = Namespace::fresh("bad-bodies").await?;
    payments.apply(&payments.manifest("card-fraud", "bad-bodies.test", &payments.stage.model(V1)?)?)?;
    payments.until_stable("card-fraud", V1).await?;
    let good = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, "bad-bodies.test", &good).await?;
    let good: Value = serde_json::from_slice(&good)?;

    let mut without_amount = good.clone();
    without_amount
        .as_object_mut()
        .map(|fields| fields.remove("TX_AMOUNT"));
    let mut wrong_type = good.clone();
    wrong_type["TX_AMOUNT"] = json!("a lot");
    let amount = format!("\"TX_AMOUNT\":{}", good["TX_AMOUNT"]);
    let not_a_number = good.to_string().replace(&amount, "\"TX_AMOUNT\":NaN");
    for (what, body, wanted) in [
        ("an empty body", Vec::new(), 422),
        ("no JSON", b"amount=5".to_vec(), 422),
        ("NaN", not_a_number.into_bytes(), 422),
        (
            "nested 10,000 deep",
            [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
            422,
        ),
        ("a missing field", without_amount.to_string().into_bytes(), 422),
        ("a wrong type", wrong_type.to_string().into_bytes(), 422),
        ("10 MB", vec![b' '; 10 << 20], 413),
    ] {
        let answer = caller.predict(&body).await?;
        assert_eq!(answer.status, wanted, "{what}: {}", answer.body);
        assert!(
            !answer.body["detail"].is_null(),
            "{what}: no detail in {}",
            answer.body
        );
    }
    let missing = caller.predict(without_amount.to_string().as_bytes()).await?;
    assert_eq!(
        missing.body["detail"][0]["loc"],
        json!(["body", "TX_AMOUNT"]),
        "{}",
        missing.body
    );

    let still_fine = caller.predict(good.to_string().as_bytes()).await?;
    assert_eq!(still_fine.status, 200, "{}", still_fine.body);
    payments.remove().await
}

#[tokio::test]
#[ignore = "four minutes: make e2e T=twenty_restarts"]
async fn twenty_restarts_under_load_fail_no_request() -> Result<()> {
    let payments = Namespace::fresh("restarts").await?;
    let mut manifest = payments.manifest("card-fraud", "restarts.test", &payments.stage.model(V1)?)?;
    manifest["spec"]["scorer"]["replicas"] = json!(2);
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;
    let load = load(&payments, "restarts.test", 200).await?;
    for turn in 1..=20 {
        let before = payments.pods_of("card-fraud").await?;
        manifest["spec"]["scorer"]["podAnnotations"] = json!({ "example.test/restart": turn.to_string() });
        payments.apply(&manifest)?;
        until("other pods serve", Duration::from_secs(60), || async {
            let pods = payments.pods_of("card-fraud").await?;
            let all = pods.len() == 2 && pods.iter().all(|pod| !before.contains(pod));
            holds(all, pods)
        })
        .await?;
    }
    let report = load.stop().await?;
    println!(
        "{} requests, p99 {:?}, slowest {:?}",
        report.requests, report.p99, report.slowest
    );
    report.no_request_failed();
    payments.remove().await
}

#[tokio::test]
async fn a_change_of_version_under_load_fails_no_request() -> Result<()> {
    let payments = Namespace::fresh("change").await?;
    let (v1, v2) = (payments.stage.model(V1)?, payments.stage.model(V2)?);
    let mut manifest = payments.manifest("card-fraud", "change.test", &v1)?;
    manifest["spec"]["scorer"]["replicas"] = json!(2);
    payments.apply(&manifest)?;
    let before = payments
        .until_stable("card-fraud", V1)
        .await?
        .status
        .unwrap_or_default();

    let load = load(&payments, "change.test", 200).await?;
    until_answered(&load, 400).await?;

    manifest["spec"]["model"] = spec_of(&v2);
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V2).await?;
    let old_hash = before.stable.map(|s| s.hash).unwrap_or_default();
    until(
        "the Deployment of the old version is gone",
        Duration::from_secs(60),
        || async {
            let left = payments.objects_of("card-fraud")?;
            let old: Vec<_> = left
                .iter()
                .filter(|o| o.contains(&old_hash) && !o.starts_with("pod/"))
                .collect();
            holds(old.is_empty(), &old)
        },
    )
    .await?;
    let seen = load.answered();
    until_answered(&load, seen + 400).await?;

    let report = load.stop().await?;
    println!(
        "{} requests, p99 {:?}, slowest {:?}",
        report.requests, report.p99, report.slowest
    );
    report.no_request_failed();
    assert_eq!(report.versions.first().map(String::as_str), Some(V1));
    assert_eq!(report.versions.last().map(String::as_str), Some(V2));
    payments.remove().await
}

#[tokio::test]
async fn a_broken_model_takes_no_traffic_and_says_why() -> Result<()> {
    let payments = Namespace::fresh("broken").await?;
    let v1 = payments.stage.model(V1)?;
    let mut manifest = payments.manifest("card-fraud", "broken.test", &v1)?;
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;

    let registry = payments.stage.fact("REGISTRY")?;
    let v2 = payments.stage.model(V2)?;
    let lying = payments.stage.model_with_wrong_golden_rows()?;
    let tagged = format!("oci://{registry}/fraud/card:{V2}");
    let wrong_digest = ModelFile {
        version: "wrong-digest".into(),
        uri: tagged,
        sha256: "0".repeat(64),
        ..v2.clone()
    };
    let missing = ModelFile {
        version: "missing".into(),
        uri: format!("oci://{registry}/fraud/nowhere:1"),
        ..v2.clone()
    };

    let load = load(&payments, "broken.test", 20).await?;
    for (broken, reason) in [
        (&wrong_digest, "DigestMismatch"),
        (&missing, "NotFound"),
        (&lying, "GoldenMismatch"),
    ] {
        manifest["spec"]["model"] = spec_of(broken);
        payments.apply(&manifest)?;
        let refused = payments
            .until_condition_is("card-fraud", ModelVerified, &format!("reason {reason}"), |c| {
                c.reason == reason
            })
            .await?;
        assert_eq!(refused.status, "False", "{reason}: {}", refused.message);
        assert!(!refused.message.is_empty(), "{reason} has no message");
        let stable = payments
            .get("card-fraud")
            .await?
            .status
            .unwrap_or_default()
            .stable;
        assert_eq!(stable.map(|s| s.version).as_deref(), Some(V1), "{reason}");
    }

    manifest["spec"]["model"] = spec_of(&v2);
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V2).await?;
    let report = load.stop().await?;
    report.no_request_failed();
    assert!(
        report.versions.iter().all(|v| v == V1 || v == V2),
        "{:?}",
        report.versions
    );
    payments.remove().await
}

#[tokio::test]
async fn a_host_belongs_to_the_model_that_had_it_first() -> Result<()> {
    let payments = Namespace::fresh("host-taken").await?;
    let model = payments.stage.model(V1)?;
    payments.apply(&payments.manifest("first", "host-taken.test", &model)?)?;
    payments.until_stable("first", V1).await?;

    payments.apply(&payments.manifest("second", "host-taken.test", &model)?)?;
    let refused = payments
        .until_condition_is("second", RouteReady, "reason HostTaken", |c| {
            c.reason == "HostTaken"
        })
        .await?;
    assert_eq!(refused.status, "False");
    assert!(
        refused.message.contains("first"),
        "the message names no owner: {}",
        refused.message
    );
    payments.until_stable("first", V1).await?;

    payments.kubectl(&["delete", "fm", "first"])?;
    payments.until_stable("second", V1).await?;
    payments.remove().await
}

#[tokio::test]
async fn the_longest_legal_name_is_served() -> Result<()> {
    let payments = Namespace::fresh("longest").await?;
    let model = payments.stage.model(V1)?;
    let longest = format!("a{}z", "b".repeat(fraudops_crds::fraud_model::MAX_NAME - 2));

    let too_long = payments.apply(&payments.manifest(&format!("{longest}z"), "longest.test", &model)?);
    let refusal = too_long.map(|()| String::new()).unwrap_or_else(|e| e.to_string());
    assert!(
        refusal.contains("metadata.name must be at most"),
        "one more character: {refusal}"
    );

    payments.apply(&payments.manifest(&longest, "longest.test", &model)?)?;
    payments.until_stable(&longest, V1).await?;
    Caller::of(
        &payments.stage,
        "longest.test",
        &fs::read(payments.quickstart("transaction.json"))?,
    )
    .await?;
    payments.remove().await
}

#[tokio::test]
async fn changes_to_our_fields_are_put_back_and_other_fields_left_alone() -> Result<()> {
    let payments = Namespace::fresh("drift").await?;
    payments.apply(&payments.manifest("card-fraud", "drift.test", &payments.stage.model(V1)?)?)?;
    payments.until_stable("card-fraud", V1).await?;

    payments.kubectl(&["annotate", "ingressroute", "card-fraud", "example.com/note=mine"])?;
    let stolen = r#"{"spec":{"routes":[{"kind":"Rule","match":"Host(`stolen.test`)","services":[]}]}}"#;
    payments.kubectl(&[
        "patch",
        "ingressroute",
        "card-fraud",
        "--type",
        "merge",
        "--patch",
        stolen,
    ])?;
    until("the route is ours again", Duration::from_secs(60), || async {
        let rule = payments.kubectl(&[
            "get",
            "ingressroute",
            "card-fraud",
            "-o",
            "jsonpath={.spec.routes[*].match}",
        ])?;
        holds(rule.contains("drift.test"), &rule)
    })
    .await?;
    let note = payments.kubectl(&[
        "get",
        "ingressroute",
        "card-fraud",
        "--output",
        r"jsonpath={.metadata.annotations.example\.com/note}",
    ])?;
    assert_eq!(note, "mine");

    payments.kubectl(&["delete", "service", "--selector", "fraudops.dev/model=card-fraud"])?;
    until("the Service is back", Duration::from_secs(60), || async {
        let objects = payments.objects_of("card-fraud")?;
        holds(objects.iter().any(|o| o.starts_with("service/")), &objects)
    })
    .await?;
    Caller::of(
        &payments.stage,
        "drift.test",
        &fs::read(payments.quickstart("transaction.json"))?,
    )
    .await?;
    payments.remove().await
}

#[tokio::test]
async fn deletion_drops_the_route_first_and_leaves_nothing() -> Result<()> {
    let payments = Namespace::fresh("delete").await?;
    payments.apply(&payments.manifest("card-fraud", "delete.test", &payments.stage.model(V1)?)?)?;
    payments.until_stable("card-fraud", V1).await?;

    let load = load(&payments, "delete.test", 50).await?;
    until_answered(&load, 50).await?;
    payments.kubectl(&["delete", "fm", "card-fraud"])?;
    until("nothing is left", Duration::from_secs(90), || async {
        let left = payments.objects_of("card-fraud")?;
        holds(left.is_empty(), &left)
    })
    .await?;

    // Without a route Traefik says 404. A 502, 503 or 504 would be a request that was sent to a pod that had gone.
    let report = load.stop().await?;
    let pods_went_first: Vec<_> = report
        .failures
        .iter()
        .filter(|f| f.starts_with("HTTP 5"))
        .collect();
    assert!(
        pods_went_first.is_empty(),
        "{} of {}: {:?}",
        pods_went_first.len(),
        report.requests,
        pods_went_first[0]
    );
    payments.remove().await
}

#[tokio::test]
async fn a_missing_issuer_is_named_and_serving_starts_when_it_appears() -> Result<()> {
    let payments = Namespace::fresh("issuer").await?;
    let mut manifest = payments.manifest("card-fraud", "issuer.test", &payments.stage.model(V1)?)?;
    manifest["spec"]["ingress"]["tls"]["issuerRef"] = json!({ "name": "nobody", "kind": "ClusterIssuer" });
    payments.apply(&manifest)?;

    let waiting = payments
        .until_condition("card-fraud", CertificateReady, "False")
        .await?;
    let waiting = match waiting.message.contains("nobody") {
        true => waiting,
        false => {
            payments
                .until_condition_is(
                    "card-fraud",
                    CertificateReady,
                    "a message naming the issuer",
                    |c| c.message.contains("nobody"),
                )
                .await?
        }
    };
    assert_eq!(waiting.status, "False");
    payments.until_condition("card-fraud", Available, "True").await?;
    let routed = payments
        .until_condition("card-fraud", RouteReady, "False")
        .await?;
    assert_eq!(routed.reason, "CertificateNotReady", "{}", routed.message);

    manifest["spec"]["ingress"]["tls"]["issuerRef"]["name"] = json!("fraudops-ca");
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;
    payments.remove().await
}

/// By name among the last: a new operator waits longer before it removes a version, and the other tests would wait too.
#[tokio::test]
async fn the_operator_is_killed_in_a_change_and_its_successor_goes_on() -> Result<()> {
    let payments = Namespace::fresh("killed").await?;
    let (v1, v2) = (payments.stage.model(V1)?, payments.stage.model(V2)?);
    let mut manifest = payments.manifest("card-fraud", "killed.test", &v1)?;
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;

    let load = load(&payments, "killed.test", 50).await?;
    manifest["spec"]["model"] = spec_of(&v2);
    payments.apply(&manifest)?;
    payments
        .until("card-fraud", "the change is under way", |model| {
            model
                .status
                .as_ref()
                .is_some_and(|s| s.candidate.is_some())
                .then_some(())
        })
        .await?;
    payments.stage.kubectl(&[
        "--namespace",
        "fraudops-system",
        "delete",
        "pods",
        "--all",
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    payments.until_stable("card-fraud", V2).await?;

    let report = load.stop().await?;
    report.no_request_failed();
    assert_eq!(report.versions.last().map(String::as_str), Some(V2));
    payments.remove().await
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_at_admission() -> Result<()> {
    let payments = Namespace::fresh("refused").await?;
    let good = payments.manifest("card-fraud", "refused.test", &payments.stage.model(V1)?)?;
    for (pointer, value, wanted) in [
        (
            "/spec/decision/block",
            json!(0.01),
            "decision.block must not be below decision.review",
        ),
        (
            "/spec/model/uri",
            json!("ftp://example.test/model.onnx"),
            "model.uri must begin with",
        ),
        (
            "/spec/ingress/host",
            json!("https://card.test"),
            "ingress.host must be a DNS name",
        ),
    ] {
        let mut bad = good.clone();
        let field = bad
            .pointer_mut(pointer)
            .ok_or_else(|| anyhow::anyhow!("{pointer} is not in the quickstart"))?;
        *field = value;
        let refusal = payments
            .apply(&bad)
            .map(|()| String::new())
            .unwrap_or_else(|e| e.to_string());
        ensure!(
            refusal.contains(wanted),
            "{pointer}: expected {wanted:?}, got {refusal:?}"
        );
    }
    payments.remove().await
}

/// A load on a host that answers already.
async fn load(payments: &Namespace, host: &str, rate: u32) -> Result<Load> {
    let transaction = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, host, &transaction).await?;
    Ok(Load::start(caller, transaction, rate))
}

async fn until_answered(load: &Load, requests: usize) -> Result<()> {
    until("the load runs", Duration::from_secs(60), || async {
        let answered = load.answered();
        holds(answered >= requests, (answered, requests))
    })
    .await
}

fn probability(answer: &Value) -> f64 {
    answer["fraud_probability"].as_f64().unwrap_or(f64::NAN)
}

/// The quickstart's thresholds.
fn decision(probability: f64) -> &'static str {
    match probability {
        p if p >= 0.5 => "block",
        p if p >= 0.1 => "review",
        _ => "approve",
    }
}
