//! Weight steps on a real kube-apiserver: what the route names and what `status` says while scorer pods count. The pods are
//! servers of the test on loopback; no kubelet runs.

#[path = "api/bench.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod bench;
#[path = "api/scorers.rs"]
mod scorers;

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use bench::{Bench, condition, model};
use fraudops_crds::{
    FraudModelStatus,
    fraud_model::{GateVerdict, Model, Outcome, Phase, RETRY},
    traefik::TraefikService,
};
use fraudops_operator::{build::version_name, reconcile::validate::version_of};
use kube::api::Api;
use serde_json::{Value, json};

use scorers::Scorer;

fn rollout() -> Value {
    let gate = json!({ "minSamples": 50 });
    json!({ "steps": [{ "weight": 10, "minDuration": "1s" }, { "weight": 50, "minDuration": "1s" }],
        "gates": { "errorRatio": gate, "slowRatio": gate } })
}

/// The digest of a version's file: every version has a file of its own here.
fn sha(version: &str) -> String {
    version.chars().next().unwrap_or('0').to_string().repeat(64)
}

/// Version 1 in service, with steps for what comes after it.
struct Stage {
    bench: Bench,
    stable: Scorer,
    network: u8,
}

impl Stage {
    /// `network`: every test has addresses of its own (127.9.`network`.x).
    async fn serving(network: u8) -> Result<Self> {
        let bench = Bench::start().await?;
        let mut first = model("card-fraud", "1");
        first["spec"]["model"]["sha256"] = sha("1").into();
        first["spec"]["rollout"] = rollout();
        bench.create(first).await?;
        let deployment = deployment(&bench, "1").await?;
        bench.make_ready(&deployment).await?;
        bench.issue_certificate("card-fraud").await?;
        bench.wait_ready("card-fraud").await?;
        let stable = Scorer::start(&bench, &deployment, Ipv4Addr::new(127, 9, network, 1)).await?;
        Ok(Self {
            bench,
            stable,
            network,
        })
    }

    async fn set_version(&self, version: &str) -> Result<()> {
        let change = json!({ "spec": { "model": { "version": version, "sha256": sha(version) } } });
        self.bench.patch("card-fraud", change).await?;
        Ok(())
    }

    /// A version with a ready pod, that the spec names.
    async fn candidate(&self, version: &str) -> Result<Scorer> {
        self.set_version(version).await?;
        let deployment = deployment(&self.bench, version).await?;
        let last = version.bytes().next().unwrap_or_default();
        let scorer = Scorer::start(
            &self.bench,
            &deployment,
            Ipv4Addr::new(127, 9, self.network, last),
        )
        .await?;
        self.bench.make_ready(&deployment).await?;
        Ok(scorer)
    }

    async fn wait(&self, done: impl Fn(&FraudModelStatus) -> bool) -> Result<FraudModelStatus> {
        self.bench.wait_status("card-fraud", done).await
    }

    /// Waits until the candidate has that weight; the weights of the route then, by version.
    async fn wait_weight(&self, weight: u8) -> Result<FraudModelStatus> {
        let status = self
            .wait(|status| status.candidate.as_ref().is_some_and(|c| c.weight == weight))
            .await?;
        Ok(status)
    }

    /// The weights in the route.
    async fn weights(&self) -> Result<Vec<u32>> {
        let api: Api<TraefikService> = self.bench.api();
        let services = api.get("card-fraud").await?.spec.weighted.services;
        Ok(services
            .into_iter()
            .filter_map(|service| service.weight)
            .collect())
    }

    async fn wait_weights(&self, expected: &[u32]) -> Result<()> {
        bench::eventually("the weights of the route", || async {
            Ok((self.weights().await? == expected).then_some(()))
        })
        .await
    }
}

async fn deployment(bench: &Bench, version: &str) -> Result<String> {
    let model = Model {
        version: version.into(),
        uri: "https://models.example/m.onnx".into(),
        sha256: Some(sha(version)),
        credentials_secret_ref: None,
        instance_metadata: false,
        verify: None,
    };
    let name = version_name("card-fraud", &version_of(&model, false)?.hash);
    bench
        .wait_for::<k8s_openapi::api::apps::v1::Deployment>(&name, std::time::Duration::from_secs(30))
        .await?;
    Ok(name)
}

fn verdicts(status: &FraudModelStatus) -> Vec<GateVerdict> {
    let candidate = status.candidate.iter();
    candidate
        .flat_map(|c| c.gates.iter().map(|gate| gate.verdict))
        .collect()
}

#[tokio::test]
async fn a_good_version_takes_over_step_by_step() -> Result<()> {
    let stage = Stage::serving(1).await?;
    let candidate = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    // The conditions may still be about the pods that start.
    let status = stage
        .wait(|status| condition(status, "Ready").reason == "Canary")
        .await?;
    assert_eq!(status.phase, Some(Phase::Canary));
    stage.wait_weights(&[90, 10]).await?;

    candidate.serve(30, 0, 0);
    stage.stable.serve(270, 0, 0);
    let status = stage
        .wait(|s| s.gates.as_deref() == Some("errorRatio=inconclusive(30/50) slowRatio=inconclusive(30/50)"));
    let evidence = status.await?.evidence.unwrap_or_default();
    assert_eq!((evidence.candidate.requests, evidence.stable.requests), (30, 270));
    assert_eq!(stage.weights().await?, [90, 10]);

    candidate.serve(30, 0, 0);
    stage.wait_weight(50).await?;
    stage.wait_weights(&[50, 50]).await?;
    candidate.serve(60, 0, 0);
    stage.stable.serve(60, 0, 0);
    let status = stage
        .wait(|s| s.stable.as_ref().is_some_and(|stable| stable.version == "2"))
        .await?;
    stage.wait_weights(&[100]).await?;
    let last = status.history.last().cloned();
    assert_eq!(
        last.map(|entry| (entry.version, entry.outcome)),
        Some(("2".into(), Outcome::Promoted))
    );
    ensure!(status.candidate.is_none() && status.evidence.is_none());
    Ok(())
}

#[tokio::test]
async fn a_version_that_errs_goes_back_to_no_traffic_until_a_retry_is_asked_for() -> Result<()> {
    let stage = Stage::serving(2).await?;
    let candidate = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    candidate.serve(20, 10, 0);
    stage.stable.serve(180, 0, 0);
    let status = stage.wait(|s| s.phase == Some(Phase::RolledBack)).await?;
    assert_eq!(stage.weights().await?, [100]);
    let rejected = &status.rejected[0];
    assert_eq!(rejected.digest, format!("sha256:{}", sha("2")));
    ensure!(rejected.reason.contains("10 in 20"), "{}", rejected.reason);
    assert_eq!(verdicts(&status), [GateVerdict::Fail, GateVerdict::Inconclusive]);
    let stalled = condition(&status, "Stalled");
    assert_eq!(
        (stalled.status.as_str(), stalled.reason.as_str()),
        ("True", "RolledBack")
    );
    ensure!(condition(&status, "Available").status == "True");
    stage.bench.writes_nothing_more().await?;

    let digest = rejected.digest.clone();
    let retry = json!({ "metadata": { "annotations": { RETRY: digest } } });
    stage.bench.patch("card-fraud", retry).await?;
    drop(candidate);
    stage
        .wait(|s| s.rejected.is_empty() && s.phase == Some(Phase::Verifying))
        .await?;
    stage
        .bench
        .make_ready(&deployment(&stage.bench, "2").await?)
        .await?;
    let status = stage.wait_weight(10).await?;
    assert_eq!(status.retried, Some(digest));
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_slow_goes_back_to_no_traffic() -> Result<()> {
    let stage = Stage::serving(3).await?;
    let candidate = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    candidate.serve(20, 0, 20);
    stage.stable.serve(180, 0, 1);
    let status = stage.wait(|s| s.phase == Some(Phase::RolledBack)).await?;
    assert_eq!(verdicts(&status), [GateVerdict::Inconclusive, GateVerdict::Fail]);
    assert_eq!(stage.weights().await?, [100]);
    Ok(())
}

#[tokio::test]
async fn silence_and_a_restart_of_the_operator_leave_the_weight_and_the_evidence() -> Result<()> {
    let mut stage = Stage::serving(4).await?;
    let candidate = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    candidate.serve(40, 0, 0);
    stage.stable.serve(360, 0, 0);
    stage
        .wait(|s| s.evidence.as_ref().is_some_and(|e| e.candidate.requests == 40))
        .await?;

    stage.bench.stop().await;
    candidate.serve(5, 0, 0);
    candidate.be_silent(true);
    stage.bench = stage.bench.restart().await?;
    let status = stage.wait(|s| verdicts(s) == [GateVerdict::NoData; 2]).await?;
    let shown = status
        .candidate
        .clone()
        .unwrap_or_else(|| unreachable!("it has gates"));
    ensure!(
        shown.gates[0].message.contains("could not be read"),
        "{}",
        shown.gates[0].message
    );
    assert_eq!((shown.weight, status.phase), (10, Some(Phase::Canary)));

    candidate.serve(10, 0, 0);
    candidate.be_silent(false);
    stage.wait_weight(50).await?;
    stage.wait_weights(&[50, 50]).await
}

#[tokio::test]
async fn another_version_on_the_way_takes_the_weight_of_the_first_and_the_stable_one_ends_it() -> Result<()> {
    let stage = Stage::serving(5).await?;
    let second = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    second.serve(200, 0, 0);
    let third = stage.candidate("3").await?;
    let status = stage
        .wait(|s| {
            s.candidate
                .as_ref()
                .is_some_and(|c| c.version == "3" && c.weight == 10)
        })
        .await?;
    assert_eq!(status.stable.as_ref().map(|s| s.version.as_str()), Some("1"));
    assert_eq!(
        status.history.last().map(|entry| entry.outcome),
        Some(Outcome::Superseded)
    );
    let requests = status
        .evidence
        .as_ref()
        .map(|evidence| evidence.candidate.requests);
    assert_eq!(requests, Some(0), "the evidence of another version");
    stage.wait_weights(&[90, 10]).await?;

    stage.set_version("1").await?;
    let status = stage.wait(|s| s.phase == Some(Phase::Stable)).await?;
    assert_eq!(
        status
            .history
            .last()
            .map(|entry| (entry.version.as_str(), entry.outcome)),
        Some(("3", Outcome::Aborted))
    );
    assert_eq!(stage.weights().await?, [100]);
    drop(third);
    Ok(())
}

#[tokio::test]
async fn a_lost_status_in_mid_rollout_keeps_the_stable_version() -> Result<()> {
    let mut stage = Stage::serving(6).await?;
    let _candidate = stage.candidate("2").await?;
    stage.wait_weight(10).await?;
    stage.wait_weights(&[90, 10]).await?;
    stage.bench.stop().await;
    stage.bench.lose_status("card-fraud").await?;
    stage.bench = stage.bench.restart().await?;
    let status = stage.wait(|s| s.candidate.is_some()).await?;
    assert_eq!(status.stable.map(|s| s.version).as_deref(), Some("1"));
    stage.wait_weights(&[90, 10]).await
}
