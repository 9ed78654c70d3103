//! The API server is gone for a minute in the middle of a change of version: payments do not notice, and the change goes
//! on afterwards.
//!
//! In a file of its own, because nothing else can be tested on that cluster meanwhile.

use std::{fs, time::Duration};

use anyhow::Result;
use fraudops_e2e::{Caller, Load, Namespace, holds, spec_of, until};

const V1: &str = "2026.11.1";
const V2: &str = "2026.11.2";
const OUTAGE: Duration = Duration::from_secs(60);
const RATE: u32 = 50;

#[tokio::test]
async fn a_minute_without_an_api_server_fails_no_request() -> Result<()> {
    let payments = Namespace::fresh("outage").await?;
    let Some(cluster) = payments.stage.own_cluster()? else {
        println!("skipped: the API server of CLUSTER=current is not ours to kill");
        return payments.remove().await;
    };
    let mut manifest = payments.manifest("card-fraud", "outage.test", &payments.stage.model(V1)?)?;
    let v2 = payments.stage.model(V2)?;
    payments.apply(&manifest)?;
    payments.until_stable("card-fraud", V1).await?;
    let transaction = fs::read(payments.quickstart("transaction.json"))?;
    let caller = Caller::of(&payments.stage, "outage.test", &transaction).await?;
    let load = Load::start(caller, transaction, RATE);

    manifest["spec"]["model"] = spec_of(&v2);
    payments.apply(&manifest)?;
    payments
        .until("card-fraud", "the change is under way", |model| {
            let status = model.status.as_ref();
            status.and_then(|s| s.candidate.as_ref()).map(|_| ())
        })
        .await?;
    cluster.kill_component("kube-apiserver")?;
    let (before, enough) = (load.answered(), RATE as usize * OUTAGE.as_secs() as usize);
    until("a minute of load", OUTAGE * 2, || async {
        let answered = load.answered() - before;
        holds(answered >= enough, (answered, enough))
    })
    .await?;
    cluster.start_component("kube-apiserver")?;
    payments.until_stable("card-fraud", V2).await?;
    let seen = load.answered();
    until("some load after the change", OUTAGE, || async {
        let answered = load.answered() - seen;
        holds(answered >= 10 * RATE as usize, answered)
    })
    .await?;

    let report = load.stop().await?;
    println!("{} requests over {:?}", report.requests, report.versions);
    report.no_request_failed();
    assert_eq!(report.versions.last().map(String::as_str), Some(V2));
    payments.remove().await
}
