//! A version that goes through weight steps on a whole cluster, under load: the good one arrives, the bad ones are stopped at
//! the first step, and no caller sees a failed request. `make e2e` prepares the cluster and runs it.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fraudops_crds::fraud_model::{FraudModelStatus, GateVerdict, Outcome, Phase};
use fraudops_e2e::{Caller, Load, Namespace, Report, holds, spec_of, until};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const V1: &str = "2026.11.1";
const V2: &str = "2026.11.2";
/// Requests a second.
const RATE: u32 = 200;
/// Long enough for a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(240);

/// One at a time: on two cores three loads would be slow for every version.
static TURN: Mutex<()> = Mutex::const_new(());

/// Short steps. On a machine that is cluster and load at once many answers are slow for both versions, so that the share of
/// slow answers is left to the comparison with the stable version and to a limit that only a broken one reaches.
fn rollout() -> Value {
    json!({
        "steps": [
            { "weight": 5, "minDuration": "5s" },
            { "weight": 25, "minDuration": "5s" },
            { "weight": 50, "minDuration": "5s" },
        ],
        "gates": { "errorRatio": { "minSamples": 100 }, "slowRatio": { "minSamples": 100, "ratio": 10, "maxRate": 0.5 } },
    })
}

/// Version 1 in service with steps for what comes after it, and a load on it.
async fn serving(name: &str) -> Result<(Namespace, Value, Load)> {
    let payments = Namespace::fresh(name).await?;
    let host = format!("{name}.test");
    let mut manifest = payments.manifest("card-fraud", &host, &payments.stage.model(V1)?)?;
    manifest["spec"]["rollout"] = rollout();
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;

    let usual = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, &host, &usual).await?;
    let mut large: Value = serde_json::from_slice(&usual)?;
    large["TX_AMOUNT"] = json!(9_000.0); // on this `errs` fails
    let large = large.to_string().into_bytes();
    // Seven in turn: Traefik deals requests out in turn too, and must not give one version the same ones for ever.
    let transactions = [vec![usual; 5], vec![large; 2]].concat();
    let load = Load::of_many(caller, transactions, RATE);
    Ok((payments, manifest, load))
}

/// Waits for a status, and gives it with the weights that were seen on the way.
async fn watch(
    payments: &Namespace,
    what: &str,
    done: impl Fn(&FraudModelStatus) -> bool,
) -> Result<(FraudModelStatus, Vec<u8>)> {
    let (end, mut weights) = (Instant::now() + PATIENCE, vec![]);
    loop {
        let status = payments.get("card-fraud").await?.status.unwrap_or_default();
        let weight = status.candidate.as_ref().map_or(0, |candidate| candidate.weight);
        if weights.last() != Some(&weight) {
            weights.push(weight);
        }
        if done(&status) {
            return Ok((status, weights));
        }
        ensure!(
            Instant::now() < end,
            "not within {PATIENCE:?}: {what}. Last seen: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_good_version_passes_every_step_and_takes_over() -> Result<()> {
    let _turn = TURN.lock().await;
    let (payments, mut manifest, load) = serving("steps").await?;
    manifest["spec"]["model"] = spec_of(&payments.stage.model(V2)?);
    payments.apply(&manifest)?;
    let (canary, mut weights) = watch(&payments, "numbers at a step", |status| {
        status.gates.as_deref().is_some_and(|gates| gates.contains('/'))
    })
    .await?;
    assert_eq!(canary.phase, Some(Phase::Canary));
    let table = payments.kubectl(&["get", "fm"])?;
    for word in ["CANDIDATE", "WEIGHT", "GATES", "Canary", V1, V2, "errorRatio="] {
        assert!(table.contains(word), "`kubectl get fm` shows no {word}:\n{table}");
    }

    let promoted = |status: &FraudModelStatus| {
        status.phase == Some(Phase::Stable)
            && status.stable.as_ref().is_some_and(|stable| stable.version == V2)
    };
    let (status, later) = watch(&payments, "version 2 is stable", promoted).await?;
    weights.extend(later);
    weights.dedup();
    let seen: Vec<u8> = weights.into_iter().skip_while(|weight| *weight == 0).collect();
    assert_eq!(
        seen,
        [5, 25, 50, 0],
        "weights of the candidate; at last there is none"
    );
    let last = status.history.last().context("no history")?;
    assert_eq!(
        (last.version.as_str(), last.outcome),
        (V2, Outcome::Promoted),
        "{}",
        last.message
    );

    let report = load.stop().await?;
    println!(
        "{} requests, p99 {:?}, answers {:?}",
        report.requests, report.p99, report.answers
    );
    report.no_request_failed();
    assert_eq!(report.versions.last().map(String::as_str), Some(V2));
    payments.remove().await
}

#[tokio::test]
async fn a_version_that_errs_is_stopped_at_the_first_step() -> Result<()> {
    let _turn = TURN.lock().await;
    let (report, status) = stopped("errs", "errorRatio").await?;
    // The model fails on two sevenths of the load; the decision that callers get then is the spec's.
    let fallbacks = report.fallbacks.get("errs").copied().unwrap_or_default();
    assert!(fallbacks > 0, "{:?}", report.answers);
    assert_eq!(report.fallbacks.len(), 1, "{:?}", report.fallbacks);
    println!(
        "{} answers of a failed model of {}; {status}",
        fallbacks, report.requests
    );
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_slow_is_stopped_at_the_first_step() -> Result<()> {
    let _turn = TURN.lock().await;
    let (report, status) = stopped("slow", "slowRatio").await?;
    assert!(report.fallbacks.is_empty(), "{:?}", report.fallbacks);
    println!(
        "{} requests, slowest {:?}; {status}",
        report.requests, report.slowest
    );
    Ok(())
}

/// A change to a model that misbehaves `how`, until it is rolled back by `gate`; the load goes on for a while then.
async fn stopped(how: &str, gate: &str) -> Result<(Report, String)> {
    let (payments, mut manifest, load) = serving(&format!("stopped-{how}")).await?;
    let bad = payments.stage.misbehaving_model(how)?;
    manifest["spec"]["model"] = spec_of(&bad);
    payments.apply(&manifest)?;
    let rolled_back = |status: &FraudModelStatus| status.phase == Some(Phase::RolledBack);
    let (status, weights) = watch(&payments, "the version is rolled back", rolled_back).await?;
    assert_eq!(weights.iter().max(), Some(&5), "{weights:?}");
    assert_eq!(
        status.stable.as_ref().map(|stable| stable.version.as_str()),
        Some(V1)
    );

    let digest = format!("sha256:{}", bad.sha256);
    let rejected = status.rejected.last().context("nothing was rejected")?;
    assert_eq!(
        (rejected.digest.as_str(), rejected.version.as_str()),
        (digest.as_str(), how)
    );
    assert!(
        rejected.reason.starts_with(&format!("{gate} failed")),
        "{}",
        rejected.reason
    );
    let candidate = status.candidate.context("the status shows no candidate")?;
    let verdict = candidate
        .gates
        .iter()
        .find(|shown| shown.name == gate)
        .map(|shown| shown.verdict);
    assert_eq!((candidate.weight, verdict), (0, Some(GateVerdict::Fail)));
    let events = payments.kubectl(&["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].note}"])?;
    assert!(events.contains(&rejected.reason), "no event says why: {events}");

    let seen = load.answered();
    until("the load goes on", Duration::from_secs(30), || async {
        holds(load.answered() > seen + 1000, load.answered())
    })
    .await?;
    let report = load.stop().await?;
    report.no_request_failed();
    assert_eq!(report.versions.last().map(String::as_str), Some(V1));
    let share = report.answers.get(how).copied().unwrap_or_default() as f64 / report.requests as f64;
    assert!(
        share <= 0.06,
        "{how} answered {:?} of {}",
        report.answers,
        report.requests
    );
    payments.remove().await?;
    Ok((report, rejected.reason.clone()))
}
