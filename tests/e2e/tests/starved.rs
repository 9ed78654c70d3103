//! A scorer with a tenth of a core and hardly any memory, asked for far more than that: it says no in time, lives, and is
//! itself again at once. The limits are those of a real kubelet.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fraudops_e2e::{Caller, Namespace, holds, until};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

const V1: &str = "2026.11.1";
const NAME: &str = "card-fraud";
const HOST: &str = "starved.test";
/// Callers who send one batch after the other, and for how long.
const CALLERS: u64 = 40;
const FLOOD: Duration = Duration::from_secs(10);
const ROWS: u64 = 128;
/// So long a caller waits after each answer: the machine of the test has other work.
const PAUSE: Duration = Duration::from_millis(300);
/// After the flood every payment is scored again by then.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_pod_with_a_tenth_of_a_core_sheds_what_is_too_much_and_recovers() -> Result<()> {
    let payments = Namespace::fresh("starved").await?;
    let mut manifest = payments.manifest(NAME, HOST, &payments.stage.model(V1)?)?;
    manifest["spec"]["scorer"]["replicas"] = json!(1);
    manifest["spec"]["scorer"]["resources"] = json!({
        "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "cpu": "100m", "memory": "96Mi" } });
    payments.apply(&manifest)?;
    payments.until_stable(NAME, V1).await?;
    let usual = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, HOST, &usual).await?;
    let transaction = Template::of(&usual)?;
    let before = payments.pods_of(NAME).await?;

    let seen = flood(&caller, &transaction).await?;
    println!("{seen:?}");
    assert!(seen.scored + seen.short > 0 && seen.other.is_empty(), "{seen:?}");
    assert!(seen.refused + seen.short > 0, "the flood was none: {seen:?}");

    let over = Instant::now();
    let ids = AtomicU64::new(u64::from(u32::MAX));
    until("payments are scored again", RECOVERY, || async {
        let payment = transaction.numbered(ids.fetch_add(1, Relaxed));
        let answer = caller.predict(payment.as_bytes()).await?;
        let scored = answer.status == 200 && answer.body["fraud_probability"].is_number();
        holds(scored, answer.body)
    })
    .await?;
    println!("scored again after {:?}", over.elapsed());
    assert_eq!(payments.pods_of(NAME).await?, before, "the pod was started again");
    payments.remove().await
}

/// What became of the batches.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The model scored every row.
    scored: u64,
    /// Some rows were refused, or the model was too late for them and `onModelError` decided.
    short: u64,
    /// 503.
    refused: u64,
    /// Any other answer, and none.
    other: Vec<String>,
    slowest: Duration,
}

async fn flood(caller: &Caller, transaction: &Template) -> Result<Seen> {
    let end = Instant::now() + FLOOD;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (caller, transaction) = (caller.clone(), transaction.clone());
        callers.spawn(async move {
            let mut seen = Seen::default();
            for batch in (number << 24..).step_by(ROWS as usize) {
                if Instant::now() >= end {
                    break;
                }
                let rows: Vec<String> = (batch..batch + ROWS).map(|id| transaction.numbered(id)).collect();
                let start = Instant::now();
                let path = "/predict/batch";
                let answer = caller
                    .post(path, "application/x-ndjson", rows.join("\n").as_bytes())
                    .await;
                seen.slowest = seen.slowest.max(start.elapsed());
                match answer
                    .map(|answer| (answer.status, String::from_utf8_lossy(&answer.bytes).into_owned()))
                {
                    Ok((503, _)) => seen.refused += 1,
                    Ok((200, rows)) if is_short(&rows) => seen.short += 1,
                    Ok((200, _)) => seen.scored += 1,
                    other => seen.other.push(format!("{other:?}").chars().take(200).collect()),
                }
                tokio::time::sleep(PAUSE).await;
            }
            seen
        });
    }
    let all = callers.join_all().await.into_iter();
    Ok(all.fold(Seen::default(), |a, b| Seen {
        scored: a.scored + b.scored,
        short: a.short + b.short,
        refused: a.refused + b.refused,
        other: [a.other, b.other].concat(),
        slowest: a.slowest.max(b.slowest),
    }))
}

fn is_short(rows: &str) -> bool {
    rows.contains(r#""model_error":true"#) || rows.contains(r#""status":503"#)
}

/// A transaction without its id: cheap to write, because what writes it shares the machine with the cluster.
#[derive(Clone)]
struct Template(String);

impl Template {
    fn of(transaction: &[u8]) -> Result<Self> {
        let mut transaction: Map<String, Value> = serde_json::from_slice(transaction)?;
        transaction
            .remove("TRANSACTION_ID")
            .context("no TRANSACTION_ID")?;
        let text = Value::Object(transaction).to_string();
        Ok(Self(text.trim_start_matches('{').to_owned()))
    }

    fn numbered(&self, id: u64) -> String {
        format!("{{\"TRANSACTION_ID\":{id},{}", self.0)
    }
}
