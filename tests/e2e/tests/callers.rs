//! Who may call, on a whole cluster: TLS with certificates on both sides between Traefik and the pods, tokens with scopes, and
//! a rate for each client. docs/security.md has the words to it. `make e2e` prepares the cluster and runs it.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use fraudops_crds::fraud_model::{ConditionType::FeedbackProtected, Phase};
use fraudops_e2e::{Caller, Load, Namespace, Pod, holds, until};
use serde_json::{Value, json};

const V1: &str = "2026.11.1";
const NAME: &str = "card-fraud";
const HOST: &str = "access.test";
const JSON: &str = "application/json";
/// Requests a second while the pods change from HTTP to TLS.
const RATE: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn only_known_callers_are_served_and_turning_that_on_fails_no_request() -> Result<()> {
    let payments = Namespace::fresh("access").await?;
    let mut manifest = payments.manifest(NAME, HOST, &payments.stage.model(V1)?)?;
    payments.apply(&manifest)?;
    payments.until_stable(NAME, V1).await?;
    let open = payments.until_condition(NAME, FeedbackProtected, "False").await?;
    assert_eq!(open.reason, "Open", "{}", open.message);
    let transaction = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, HOST, &transaction).await?;

    the_pods_change_to_tls_under_load(&payments, &mut manifest, &caller, &transaction).await?;
    let (shop, desk) = (
        token(&payments, "predict").await?,
        token(&payments, "predict,feedback").await?,
    );
    let callers = [("shop", &shop), ("desk", &desk)];
    ask_for_tokens(&payments, &mut manifest, &callers).await?;
    let (shop, desk) = (caller.with_token(&shop.token), caller.with_token(&desk.token));
    every_scope_opens_what_it_names(&caller, &shop, &desk, &transaction).await?;
    a_client_above_its_rate_does_not_hurt_another(&shop, &desk).await?;
    a_token_that_was_taken_back_is_refused(&payments, &shop, &desk).await?;
    payments.remove().await
}

/// The authority is the example's own; cert-manager signs both certificates.
async fn the_pods_change_to_tls_under_load(
    payments: &Namespace,
    manifest: &mut Value,
    caller: &Caller,
    transaction: &[u8],
) -> Result<()> {
    let authority = fs::read_to_string(payments.stage.path("examples/access/authority.yaml"))?;
    let authority = authority.replace("namespace: payments", &format!("namespace: {}", payments.name));
    payments.apply_text(&authority)?;
    let load = Load::start(caller.clone(), transaction.to_vec(), RATE);
    manifest["spec"]["access"] = json!({ "mtls": { "caSecretRef": { "name": "card-fraud-ca" } } });
    payments.apply(manifest)?;
    payments
        .until(NAME, "the pods that speak TLS are alone", |model| {
            let status = model.status.as_ref()?;
            let encrypted = status.stable.as_ref()?.mtls && status.phase == Some(Phase::Stable);
            encrypted.then_some(())
        })
        .await?;
    let seen = load.answered();
    until("the load goes on", PATIENCE, || async {
        holds(load.answered() > seen + 100, load.answered())
    })
    .await?;
    let report = load.stop().await?;
    println!(
        "{} requests while the pods changed to TLS, p99 {:?}",
        report.requests, report.p99
    );
    ensure!(report.failures.is_empty(), "{:?}", report.failures.first());

    let behind = payments.until_condition(NAME, FeedbackProtected, "False").await?;
    assert_eq!(behind.reason, "BehindTraefik", "{}", behind.message);
    for pod in payments.pods_of(NAME).await? {
        let plain = format!(
            "/api/v1/namespaces/{}/pods/{}:8080/proxy/livez",
            payments.name, pod.name
        );
        let answer = payments.kubectl(&["get", "--raw", &plain]);
        assert!(answer.is_err(), "{} answers without TLS: {answer:?}", pod.name);
    }
    Ok(())
}

struct Token {
    token: String,
    line: String,
}

/// As examples/access makes them: by the scorer's own program.
async fn token(payments: &Namespace, scopes: &str) -> Result<Token> {
    let pods = payments.pods_of(NAME).await?;
    let pod = &pods.first().context("no pod is ready")?.name;
    let program = ["--", "/fraudops-scorer", "token", "--scopes", scopes];
    let printed = payments.kubectl(&[&["exec", pod, "--container", "scorer"], &program[..]].concat())?;
    let mut lines = printed.lines().map(str::to_owned);
    let (token, line) = lines.next().zip(lines.next()).context("two lines are printed")?;
    Ok(Token { token, line })
}

async fn ask_for_tokens(
    payments: &Namespace,
    manifest: &mut Value,
    callers: &[(&str, &Token)],
) -> Result<()> {
    let create = ["create", "secret", "generic", "callers"]
        .map(str::to_owned)
        .to_vec();
    let files = callers
        .iter()
        .map(|(name, token)| format!("--from-literal={name}={}", token.line));
    let arguments: Vec<String> = create.into_iter().chain(files).collect();
    payments.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    manifest["spec"]["access"]["tokensSecretRef"] = json!({ "name": "callers" });
    manifest["spec"]["access"]["rateLimit"] = json!({ "requestsPerSecond": 1, "burst": 20 });
    payments.apply(manifest)?;
    let protected = payments.until_condition(NAME, FeedbackProtected, "True").await?;
    assert_eq!(protected.reason, "Protected", "{}", protected.message);
    // Those of before answer until their drain is over.
    let ours = format!("fraudops.dev/model={NAME}");
    until("the pods of before are gone", PATIENCE, || async {
        let pods = payments.kubectl(&["get", "pods", "--selector", &ours, "--output", "name"])?;
        holds(pods.lines().count() == 1, pods)
    })
    .await
}

async fn every_scope_opens_what_it_names(
    nobody: &Caller,
    shop: &Caller,
    desk: &Caller,
    transaction: &[u8],
) -> Result<()> {
    let refused = nobody.predict(transaction).await?;
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(refused.body["detail"].is_string(), "{}", refused.body);
    let unknown = nobody.with_token("of-nobody").predict(transaction).await?;
    assert_eq!(unknown.status, 401, "{}", unknown.body);

    let answer = shop.predict(transaction).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let label = json!({ "receipt": answer.body["receipt"], "label": "genuine", "source": "customer",
        "time": k8s_openapi::jiff::Timestamp::now().to_string() });
    let label = label.to_string().into_bytes();
    let wrong = shop.post("/feedback", JSON, &label).await?;
    assert_eq!(wrong.status, 403, "{}", wrong.body);
    let counted = desk.post("/feedback", JSON, &label).await?;
    assert_eq!(
        (counted.status, &counted.body["counted"]),
        (200, &json!(1)),
        "{}",
        counted.body
    );
    Ok(())
}

/// A burst of 20, and 1 a second after that: forty at once are too many for one client, and nothing to the other.
async fn a_client_above_its_rate_does_not_hurt_another(shop: &Caller, desk: &Caller) -> Result<()> {
    let (mut served, mut limited) = (0, 0);
    for _ in 0..40 {
        // Not a transaction: it is refused after the client was let in, and remembered by nothing.
        match shop.post("/predict", JSON, b"{}").await?.status {
            422 => served += 1,
            429 => limited += 1,
            other => anyhow::bail!("HTTP {other}"),
        }
    }
    assert!(limited >= 10, "{served} of 40 were let in");
    let other = desk.post("/predict", JSON, b"{}").await?;
    assert_eq!(other.status, 422, "the other client: {}", other.body);
    Ok(())
}

/// The kubelet brings a changed Secret within a minute or so, and at once to a pod whose annotations change.
async fn a_token_that_was_taken_back_is_refused(
    payments: &Namespace,
    shop: &Caller,
    desk: &Caller,
) -> Result<()> {
    let before: Vec<Pod> = payments.pods_of(NAME).await?;
    payments.kubectl(&[
        "patch",
        "secret",
        "callers",
        "--type=json",
        "--patch",
        r#"[{"op":"remove","path":"/data/shop"}]"#,
    ])?;
    let ours = format!("fraudops.dev/model={NAME}");
    payments.kubectl(&[
        "annotate",
        "pods",
        "--selector",
        &ours,
        "example.test/read-secrets=now",
        "--overwrite",
    ])?;
    let began = std::time::Instant::now();
    until("the token is refused", PATIENCE, || async {
        let answer = shop.post("/predict", JSON, b"{}").await;
        holds(answer.as_ref().is_ok_and(|answer| answer.status == 401), answer)
    })
    .await?;
    println!(
        "a token that was taken back is refused after {:?}",
        began.elapsed()
    );
    let other = desk.post("/predict", JSON, b"{}").await?;
    assert_ne!(other.status, 401, "the other one still counts: {}", other.body);
    assert_eq!(payments.pods_of(NAME).await?, before, "no pod was started anew");
    Ok(())
}
