//! What the fields of a manifest make of an answer, on a whole cluster: rules and lists, receipts and feedback, idempotency,
//! and the other ways to ask. docs/scoring.md has the words to it.
//!
//! Each test has a namespace and a host of its own, so that they can run side by side. `make e2e` prepares the cluster.

use std::{
    fs,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fraudops_crds::fraud_model::ConditionType::{ModelVerified, Ready};
use fraudops_e2e::{Answer, Caller, Load, Namespace, Pod, Redis, holds, spec_of, until};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

const V1: &str = "2026.11.1";
const V2: &str = "2026.11.2";
const NAME: &str = "card-fraud";
const PREDICT: &str = "/predict";
const JSON: &str = "application/json";
/// Long enough for a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(120);
/// A changed list has reached every pod by then. Kubelets that nobody tells look after a minute or more.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Columns of the model's input.
const FEATURES: [&str; 15] = [
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    "CUSTOMER_ID_NB_TX_1DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_7DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_30DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW",
    "TERMINAL_ID_NB_TX_1DAY_WINDOW",
    "TERMINAL_ID_RISK_1DAY_WINDOW",
    "TERMINAL_ID_NB_TX_7DAY_WINDOW",
    "TERMINAL_ID_RISK_7DAY_WINDOW",
    "TERMINAL_ID_NB_TX_30DAY_WINDOW",
    "TERMINAL_ID_RISK_30DAY_WINDOW",
];

#[tokio::test]
async fn rules_decide_beside_the_model_and_a_list_changes_without_a_restart() -> Result<()> {
    let payments = Namespace::fresh("rules").await?;
    let manifest = payments.example("rules", "rules.test", &payments.stage.model(V1)?)?;
    let mut served = Served::start(payments, manifest).await?;
    the_rules_of_the_example_decide(&served).await?;
    let load = served.load();
    a_wrong_rule_takes_no_pod_out_of_service(&served).await?;
    a_list_moves_into_a_config_map(&mut served).await?;
    let report = load.stop().await?;
    println!("{} requests, p99 {:?}", report.requests, report.p99);
    report.no_request_failed();
    changed_lists_reach_pods_that_go_on(&mut served).await?;
    served.payments.remove().await
}

async fn the_rules_of_the_example_decide(served: &Served) -> Result<()> {
    let answer = served.ask(json!({})).await?;
    assert_eq!(decided(&answer), ("approve", "model"), "{}", answer.body);
    for (change, rule, reason) in [
        (
            json!({ "CUSTOMER_ID": 323 }),
            "blocked-customer",
            "the customer is on the list of blocked customers",
        ),
        (
            json!({ "TERMINAL_ID": 9251 }),
            "compromised-terminal",
            "the terminal is on the list of compromised terminals",
        ),
        (
            json!({ "TX_AMOUNT": 450.5, "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW": 90.0 }),
            "amount-jump",
            "the amount is more than five times what the customer usually spends",
        ),
    ] {
        let answer = served.ask(change).await?;
        assert_eq!(decided(&answer), ("block", "rule"), "{}", answer.body);
        assert_eq!(answer.body["rules"], json!([rule]));
        assert_eq!(answer.body["rule_reason"], reason);
        let hits = served.sum("fraud_rule_hits_total", &[("rule", rule)]).await?;
        assert_eq!(hits, 1.0, "{rule}");
    }
    Ok(())
}

async fn a_wrong_rule_takes_no_pod_out_of_service(served: &Served) -> Result<()> {
    let before = served.pods().await?;
    let mut wrong = served.manifest.clone();
    wrong["spec"]["rules"][2]["when"] = json!("TX_AMUONT > 100.0");
    served.payments.apply(&wrong)?;
    let told = served
        .payments
        .until_condition_is(NAME, ModelVerified, "reason RuleInvalid", |c| {
            c.reason == "RuleInvalid"
        })
        .await?;
    assert_eq!(told.status, "False", "{}", told.message);
    for part in [
        "rule `amount-jump`",
        "line 1, column 1",
        "there is no field TX_AMUONT; there are TRANSACTION_ID, ",
    ] {
        assert!(told.message.contains(part), "no {part:?} in {}", told.message);
    }
    served.payments.until_condition(NAME, Ready, "False").await?;
    assert_eq!(served.pods().await?, before, "those of before go on");
    Ok(())
}

async fn a_list_moves_into_a_config_map(served: &mut Served) -> Result<()> {
    let before = served.pods().await?;
    let create = ["create", "configmap", "compromised-terminals"];
    served
        .payments
        .kubectl(&[&create[..], &["--from-literal=ids=4692"]].concat())?;
    let list = json!({ "configMapRef": { "name": "compromised-terminals" } });
    served.manifest["spec"]["lists"]["compromisedTerminals"] = list;
    served.payments.apply(&served.manifest)?;
    until("other pods serve", PATIENCE, || async {
        let pods = served.pods().await?;
        let all = pods.len() == before.len() && pods.iter().all(|pod| !before.contains(pod));
        holds(all, pods)
    })
    .await?;
    for condition in [ModelVerified, Ready] {
        served.payments.until_condition(NAME, condition, "True").await?;
    }
    Ok(())
}

async fn changed_lists_reach_pods_that_go_on(served: &mut Served) -> Result<()> {
    let ids = json!({ "data": { "ids": "4692\n5089 # stolen this morning\n" } }).to_string();
    let patch = [
        "patch",
        "configmap",
        "compromised-terminals",
        "--type=merge",
        "--patch",
        &ids,
    ];
    let before = served.pods().await?;
    blocks_from_now_on(served, &json!({ "TERMINAL_ID": 5089 }), || {
        served.payments.kubectl(&patch).map(drop)
    })
    .await?;
    let mut changed = served.manifest.clone();
    changed["spec"]["lists"]["blockedCustomers"]["values"] = json!([323, 596]);
    let elsewhere = json!({ "CUSTOMER_ID": 596, "TERMINAL_ID": 1 });
    blocks_from_now_on(served, &elsewhere, || served.payments.apply(&changed)).await?;
    served.manifest = changed;
    assert_eq!(served.pods().await?, before, "a pod was restarted");
    Ok(())
}

/// After `change` every pod blocks what it approved before.
async fn blocks_from_now_on(
    served: &Served,
    transaction: &Value,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let pods = served.pods().await?;
    for pod in &pods {
        let answer = served.ask_pod(pod, transaction.clone()).await?;
        assert_eq!(decided(&answer), ("approve", "model"), "{}", answer.body);
    }
    let changed = Instant::now();
    change()?;
    until("every pod blocks", AT_ONCE, || async {
        let mut decisions = vec![];
        for pod in &pods {
            let answer = served.ask_pod(pod, transaction.clone()).await?;
            decisions.push(answer.body["decision"].clone());
        }
        holds(decisions.iter().all(|decision| decision == "block"), &decisions)
    })
    .await?;
    println!(
        "{transaction} was blocked by every pod after {:?}",
        changed.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn a_label_counts_with_its_receipt_at_any_pod_and_any_version() -> Result<()> {
    let payments = Namespace::fresh("feedback").await?;
    let (v1, v2) = (payments.stage.model(V1)?, payments.stage.model(V2)?);
    let mut manifest = payments.manifest(NAME, "feedback.test", &v1)?;
    manifest["spec"]["scorer"]["replicas"] = json!(2);
    let mut served = Served::start(payments, manifest).await?;
    served
        .payments
        .kubectl(&["get", "secret", "card-fraud-receipt-keys"])?;

    let answer = served.caller.predict(&fresh(&served.fraud, json!({}))).await?;
    assert_eq!(decided(&answer), ("block", "model"), "{}", answer.body);
    let receipt = answer.body["receipt"].as_str().context("no receipt")?;
    a_label_is_counted_once_by_each_pod(&served, receipt).await?;

    let other = if receipt.as_bytes()[100] == b'A' { "B" } else { "A" };
    let forged = feedback(&[&receipt[..100], other, &receipt[101..]].concat());
    let answer = served.caller.post("/feedback", JSON, &forged).await?;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(answer.body["errors"][0]["reason"], "receipt_forged");

    // The next version takes the receipts of the one before, and counts by its own score.
    let load = served.load();
    served.manifest["spec"]["model"] = spec_of(&v2);
    served.payments.apply(&served.manifest)?;
    served.payments.until_stable(NAME, V2).await?;
    let report = load.stop().await?;
    println!("{} requests, p99 {:?}", report.requests, report.p99);
    report.no_request_failed();
    let answer = served.caller.post("/feedback", JSON, &feedback(receipt)).await?;
    assert_eq!(outcome(&answer), "counted", "{}", answer.body);
    let by_v2 = [("scored_by", V2), ("source", "chargeback"), ("label", "fraud")];
    assert_eq!(served.sum("fraud_labelled_total", &by_v2).await?, 1.0);
    served.payments.remove().await
}

/// Each pod remembers for itself what it has counted, and opens the receipts of all.
async fn a_label_is_counted_once_by_each_pod(served: &Served, receipt: &str) -> Result<()> {
    let label = feedback(receipt);
    let answer = served.caller.post("/feedback", JSON, &label).await?;
    assert_eq!(
        (answer.status, outcome(&answer)),
        (200, "counted"),
        "{}",
        answer.body
    );
    let labelled = [("scored_by", V1), ("source", "chargeback"), ("label", "fraud")];
    assert_eq!(served.sum("fraud_labelled_total", &labelled).await?, 1.0);
    let hit = [
        ("scored_by", V1),
        ("threshold", "block"),
        ("predicted", "fraud"),
        ("label", "fraud"),
    ];
    assert_eq!(served.sum("fraud_labelled_predictions_total", &hit).await?, 1.0);

    for pod in served.pods().await? {
        let counted = || async {
            let metrics = served.payments.metrics_of(&pod).await?;
            metrics.sum("fraud_labelled_total", &labelled)
        };
        let expected = match counted().await? {
            0.0 => "counted",
            _ => "duplicate",
        };
        let answer = served.payments.post_to(&pod, "/feedback", &label).await?;
        assert_eq!(outcome(&answer), expected, "{}", answer.body);
        assert_eq!(counted().await?, 1.0, "{}", pod.name);
    }
    Ok(())
}

#[tokio::test]
async fn pods_that_share_a_redis_answer_a_transaction_once() -> Result<()> {
    let payments = Namespace::fresh("redis").await?;
    let Some(host) = payments
        .stage
        .own_cluster()?
        .and_then(|cluster| cluster.host_ip())
    else {
        println!("skipped: pods of CLUSTER=current may not reach a Redis on this machine");
        return payments.remove().await;
    };
    let redis = Redis::start(host)?;
    let url = format!("--from-literal=url={}", redis.url());
    payments.kubectl(&["create", "secret", "generic", "redis", &url])?;
    let mut manifest = payments.manifest(NAME, "redis.test", &payments.stage.model(V1)?)?;
    manifest["spec"]["scorer"]["replicas"] = json!(2);
    manifest["spec"]["idempotency"] = json!({
        "ttl": "10m",
        "redis": { "secretRef": { "name": "redis" }, "port": redis.port, "timeout": "1s" },
    });
    let served = Served::start(payments, manifest).await?;
    let pods = served.pods().await?;
    let threads = thread::available_parallelism()?.get().min(4) as f64;
    until("every thread of every pod is connected", PATIENCE, || async {
        let connected = served.sum("fraud_idempotency_redis_connections", &[]).await?;
        holds(connected == threads * pods.len() as f64, connected)
    })
    .await?;

    let transaction = fresh(&served.usual, json!({}));
    let first = served.payments.post_to(&pods[0], PREDICT, &transaction).await?;
    assert_eq!(decided(&first), ("approve", "model"), "{}", first.body);
    let again = served.payments.post_to(&pods[1], PREDICT, &transaction).await?;
    assert_eq!(again.bytes, first.bytes, "receipt included");
    assert_eq!(served.caller.predict(&transaction).await?.bytes, first.bytes);
    let other = another_amount(&transaction)?;
    for pod in &pods {
        let conflict = served.payments.post_to(pod, PREDICT, &other).await?;
        assert_eq!(conflict.status, 409, "{}", conflict.body);
    }

    // Without it every pod goes on by itself.
    let alone = [("outcome", "unavailable")];
    let before = served.sum("fraud_idempotency_total", &alone).await?;
    drop(redis);
    for pod in &pods {
        let answer = served.ask_pod(pod, json!({})).await?;
        assert_eq!(decided(&answer), ("approve", "model"), "{}", answer.body);
    }
    let after = served.sum("fraud_idempotency_total", &alone).await?;
    assert_eq!(after - before, 2.0);
    served.payments.remove().await
}

#[tokio::test]
async fn one_route_leads_to_every_way_to_ask() -> Result<()> {
    let payments = Namespace::fresh("ways").await?;
    let mut manifest = payments.manifest(NAME, "ways.test", &payments.stage.model(V1)?)?;
    manifest["spec"]["decision"]["blockStatus"] = json!(403);
    let served = Served::start(payments, manifest).await?;
    the_same_transaction_gets_the_same_answer(&served).await?;
    a_block_is_a_403(&served).await?;
    a_batch_is_answered_in_order(&served).await?;
    the_open_inference_protocol_gives_the_same_scores(&served).await?;

    let document = served.caller.get("/openapi.json").await?;
    assert_eq!(document.body["openapi"], "3.1.0");
    assert_eq!(document.body["info"]["version"], V1);
    assert!(document.body["paths"][PREDICT]["post"].is_object());
    served.payments.remove().await
}

async fn the_same_transaction_gets_the_same_answer(served: &Served) -> Result<()> {
    let transaction = fresh(&served.usual, json!({}));
    let first = served.caller.predict(&transaction).await?;
    assert_eq!(decided(&first), ("approve", "model"), "{}", first.body);
    let again = served.caller.predict(&transaction).await?;
    assert_eq!(again.bytes, first.bytes, "receipt included");
    let conflict = served.caller.predict(&another_amount(&transaction)?).await?;
    assert_eq!(conflict.status, 409, "{}", conflict.body);
    Ok(())
}

async fn a_block_is_a_403(served: &Served) -> Result<()> {
    let blocked = served.caller.predict(&fresh(&served.fraud, json!({}))).await?;
    assert_eq!(blocked.status, 403, "{}", blocked.body);
    assert_eq!(decided(&blocked), ("block", "model"), "{}", blocked.body);
    assert_eq!(blocked.body["detail"], "the transaction is blocked");
    Ok(())
}

async fn a_batch_is_answered_in_order(served: &Served) -> Result<()> {
    let batch = || {
        let (good, bad) = (fresh(&served.usual, json!({})), fresh(&served.fraud, json!({})));
        [good, bad, b"{}".to_vec()]
    };
    let array = [b"[", batch().join(&b","[..]).as_slice(), b"]"].concat();
    let array = served.caller.post("/predict/batch", JSON, &array).await?;
    assert_eq!(array.status, 200, "{}", array.body);
    let lines = batch().join(&b"\n"[..]);
    let lines = served
        .caller
        .post("/predict/batch", "application/x-ndjson", &lines)
        .await?;
    let lines = String::from_utf8(lines.bytes)?;
    let lines: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
    for results in [array.body.as_array().context("no array")?, &lines?] {
        let [good, bad, none] = results.as_slice() else {
            panic!("{results:?}")
        };
        assert_eq!(good["decision"], "approve", "{good}");
        let status = |result: &Value| (result["index"].clone(), result["status"].clone());
        assert_eq!(status(bad), (json!(1), json!(403)), "{bad}");
        assert_eq!(bad["decision"], "block", "{bad}");
        assert_eq!(status(none), (json!(2), json!(422)), "{none}");
    }
    Ok(())
}

async fn the_open_inference_protocol_gives_the_same_scores(served: &Served) -> Result<()> {
    let model = served.caller.get("/v2/models/card-fraud").await?;
    assert_eq!(
        model.body["inputs"][0]["shape"],
        json!([-1, 15]),
        "{}",
        model.body
    );
    assert_eq!(model.body["versions"], json!([V1]));

    let transactions = [&served.usual, &served.fraud];
    let rows: Vec<&Value> = transactions
        .iter()
        .flat_map(|transaction| FEATURES.map(|feature| &transaction[feature]))
        .collect();
    let input = json!({ "name": "features", "datatype": "FP32", "shape": [2, 15], "data": rows });
    let request = json!({ "id": "7", "inputs": [input] }).to_string();
    let inferred = served
        .caller
        .post("/v2/models/card-fraud/infer", JSON, request.as_bytes())
        .await?;
    assert_eq!(inferred.status, 200, "{}", inferred.body);
    assert_eq!(inferred.body["id"], "7");
    let mut probabilities = vec![];
    for transaction in transactions {
        let answer = served.caller.predict(&fresh(transaction, json!({}))).await?;
        probabilities.push(answer.body["fraud_probability"].clone());
    }
    let outputs = &inferred.body["outputs"];
    assert_eq!(outputs[0]["data"], json!(probabilities));
    assert_eq!(outputs[1]["data"], json!(["approve", "block"]));
    Ok(())
}

/// A FraudModel in service, and who asks it.
struct Served {
    payments: Namespace,
    manifest: Value,
    caller: Caller,
    /// A transaction that the model approves, and one that it blocks.
    usual: Value,
    fraud: Value,
}

impl Served {
    async fn start(payments: Namespace, manifest: Value) -> Result<Self> {
        payments.apply(&manifest)?;
        payments.until_stable(NAME, V1).await?;
        let host = manifest["spec"]["ingress"]["host"].as_str().context("no host")?;
        let usual = fs::read(payments.quickstart("transaction.json"))?;
        let caller = Caller::of(&payments.stage, host, &usual).await?;
        let fraud = fs::read(payments.quickstart("transaction-fraud.json"))?;
        Ok(Self {
            usual: serde_json::from_slice(&usual)?,
            fraud: serde_json::from_slice(&fraud)?,
            payments,
            manifest,
            caller,
        })
    }

    /// Asks for the usual transaction with some fields changed, through the route.
    async fn ask(&self, changes: Value) -> Result<Answer> {
        self.caller.predict(&fresh(&self.usual, changes)).await
    }

    /// The same of one pod.
    async fn ask_pod(&self, pod: &Pod, changes: Value) -> Result<Answer> {
        let transaction = fresh(&self.usual, changes);
        self.payments.post_to(pod, PREDICT, &transaction).await
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        self.payments.pods_of(NAME).await
    }

    /// A metric over all pods.
    async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        self.payments.sum(NAME, name, labels).await
    }

    /// A light load of usual transactions.
    fn load(&self) -> Load {
        Load::start(self.caller.clone(), self.usual.to_string().into_bytes(), 20)
    }
}

/// The transaction under an id that none had before, because the same id would get its first answer again.
fn fresh(transaction: &Value, changes: Value) -> Vec<u8> {
    static NEXT: AtomicI64 = AtomicI64::new(10_000_000);
    let mut transaction = transaction.clone();
    transaction["TRANSACTION_ID"] = json!(NEXT.fetch_add(1, Relaxed));
    for (field, value) in changes.as_object().into_iter().flatten() {
        transaction[field] = value.clone();
    }
    transaction.to_string().into_bytes()
}

/// The same id, another amount.
fn another_amount(transaction: &[u8]) -> Result<Vec<u8>> {
    let mut transaction: Value = serde_json::from_slice(transaction)?;
    transaction["TX_AMOUNT"] = json!(1.0);
    Ok(transaction.to_string().into_bytes())
}

/// Decision, and who decided.
fn decided(answer: &Answer) -> (&str, &str) {
    let text = |field: &str| answer.body[field].as_str().unwrap_or_default();
    (text("decision"), text("source"))
}

/// One label, as a chargeback brings it.
fn feedback(receipt: &str) -> Vec<u8> {
    let time = Timestamp::now().to_string();
    let label = json!({ "receipt": receipt, "label": "fraud", "time": time, "source": "chargeback" });
    label.to_string().into_bytes()
}

/// What became of the one label.
fn outcome(answer: &Answer) -> &'static str {
    let outcomes = ["counted", "duplicate", "corrected", "refused"];
    let found = outcomes.into_iter().find(|outcome| answer.body[outcome] == 1);
    found.unwrap_or("nothing")
}
