//! The operator on a real kube-apiserver: what it writes, what it puts back, what it leaves alone, and in which order a
//! version takes over. No kubelet runs here: the test says which pods are ready, as a kubelet would.

#[path = "api/bench.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod bench;

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fraudops_crds::{
    FraudModel,
    cert_manager::Certificate,
    fraud_model::Phase,
    traefik::{IngressRoute, TraefikService},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ResourceQuota, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use bench::{Bench, condition, eventually, model};

#[tokio::test]
async fn a_model_is_built_in_order_and_a_second_visit_writes_nothing() -> Result<()> {
    let bench = Bench::start().await?;
    bench.create(model("card-fraud", "1")).await?;
    let deployment = bench.deployment("card-fraud", "1").await?;
    ensure!(
        bench.api::<IngressRoute>().get_opt("card-fraud").await?.is_none(),
        "a route before there are pods"
    );
    bench.make_ready(&deployment).await?;
    let status = bench.wait_status("card-fraud", |s| s.stable.is_some()).await?;
    ensure!(
        condition(&status, "RouteReady").reason == "CertificateNotReady",
        "{:?}",
        status.conditions
    );
    ensure!(
        bench.api::<IngressRoute>().get_opt("card-fraud").await?.is_none(),
        "a route before the certificate"
    );

    bench.issue_certificate("card-fraud").await?;
    let status = bench.wait_ready("card-fraud").await?;
    assert_eq!(status.phase, Some(Phase::Stable));
    assert_eq!(status.url.as_deref(), Some("https://card-fraud.example.test"));
    assert_eq!(status.replicas, 2);
    ensure!(
        status
            .conditions
            .iter()
            .all(|c| c.type_ != "Stalled" && c.type_ != "Reconciling")
    );
    let service = bench.api::<TraefikService>().get("card-fraud").await?;
    assert_eq!(service.spec.weighted.services[0].name, deployment);

    for name in [
        bench.api::<ServiceAccount>().get("card-fraud").await?.name_any(),
        bench.api::<NetworkPolicy>().get("card-fraud").await?.name_any(),
    ] {
        assert_eq!(name, "card-fraud");
    }
    bench.api::<PodDisruptionBudget>().get(&deployment).await?;
    bench.api::<Service>().get("card-fraud").await?;
    bench.writes_nothing_more().await
}

#[tokio::test]
async fn foreign_changes_to_our_fields_are_put_back_and_foreign_fields_are_left_alone() -> Result<()> {
    let bench = Bench::start().await?;
    let name = bench.serving("card-fraud", "1").await?;
    let hostile = PatchParams::apply("somebody").force();
    let api = bench.api::<Deployment>();
    let change = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": { "theirs": "1" } },
        "spec": { "minReadySeconds": 77, "template": { "metadata": { "annotations": { "theirs": "2" } } } } });
    api.patch(&name, &hostile, &Patch::Apply(&change)).await?;
    eventually("our field is put back", || async {
        let live = api.get(&name).await?;
        let spec = live.spec.clone().unwrap_or_default();
        Ok((spec.min_ready_seconds == Some(3)).then_some(live))
    })
    .await
    .map(|live| {
        assert_eq!(live.labels().get("theirs").map(String::as_str), Some("1"));
        let template = live
            .spec
            .unwrap_or_default()
            .template
            .metadata
            .unwrap_or_default();
        assert_eq!(
            template
                .annotations
                .unwrap_or_default()
                .get("theirs")
                .map(String::as_str),
            Some("2")
        );
    })?;
    bench
        .api::<Service>()
        .delete(&name, &DeleteParams::default())
        .await?;
    eventually("a deleted child is made again", || async {
        Ok(bench.api::<Service>().get_opt(&name).await?)
    })
    .await?;
    let slipped_in = json!({ "spec": { "weighted": { "services": [
        { "name": name, "kind": "Service", "port": "http", "weight": 1 },
        { "name": "elsewhere", "kind": "Service", "port": 80, "weight": 99 } ] } } });
    let services = bench.api::<TraefikService>();
    services
        .patch("card-fraud", &PatchParams::default(), &Patch::Merge(&slipped_in))
        .await?;
    eventually("an entry that was slipped into the route is removed", || async {
        let live = services.get("card-fraud").await?;
        Ok((live.spec.weighted.services.len() == 1).then_some(()))
    })
    .await?;
    bench.writes_nothing_more().await
}

#[tokio::test]
async fn a_fight_over_a_field_ends_with_a_condition_that_names_the_other_manager() -> Result<()> {
    let bench = Bench::start().await?;
    let name = bench.serving("card-fraud", "1").await?;
    let hostile = PatchParams::apply("somebody").force();
    let (api, mut repairs) = (bench.api::<Deployment>(), 0);
    let seconds = || async { anyhow::Ok(api.get(&name).await?.spec.and_then(|spec| spec.min_ready_seconds)) };
    for round in 0..3 {
        let change = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
            "spec": { "minReadySeconds": 70 + round } });
        api.patch(&name, &hostile, &Patch::Apply(&change)).await?;
        eventually("a repair or a condition", || async {
            let status = bench
                .api::<FraudModel>()
                .get("card-fraud")
                .await?
                .status
                .unwrap_or_default();
            let told = condition(&status, "Ready").reason == "FieldConflict";
            Ok((told || seconds().await? == Some(3)).then_some(()))
        })
        .await?;
        repairs += usize::from(seconds().await? == Some(3));
    }
    assert_eq!(repairs, 2);
    let status = bench
        .wait_status("card-fraud", |s| condition(s, "Ready").reason == "FieldConflict")
        .await?;
    let message = condition(&status, "Ready").message;
    ensure!(
        message.contains("somebody") && message.contains(&name),
        "{message}"
    );
    ensure!(condition(&status, "Available").status == "True");
    Ok(())
}

#[tokio::test]
async fn a_new_version_takes_over_only_when_it_is_ready_and_the_old_one_goes_after_the_delay() -> Result<()> {
    let bench = Bench::start().await?;
    let first = bench.serving("card-fraud", "1").await?;
    bench.set_version("card-fraud", "2").await?;
    let second = bench.deployment("card-fraud", "2").await?;
    let status = bench.wait_status("card-fraud", |s| s.candidate.is_some()).await?;
    assert_eq!(status.phase, Some(Phase::Verifying));
    assert_eq!(status.stable.as_ref().map(|s| s.version.as_str()), Some("1"));
    assert_eq!(bench.routed("card-fraud").await?, std::slice::from_ref(&first));

    bench.make_ready(&second).await?;
    let status = bench
        .wait_status("card-fraud", |s| s.phase == Some(Phase::Promoting))
        .await?;
    assert_eq!(status.stable.as_ref().map(|s| s.version.as_str()), Some("2"));
    assert_eq!(bench.routed("card-fraud").await?, std::slice::from_ref(&second));
    ensure!(
        bench.api::<Deployment>().get_opt(&first).await?.is_some(),
        "the old version went before its delay"
    );

    bench
        .wait_status("card-fraud", |s| s.phase == Some(Phase::Stable))
        .await?;
    eventually("the old version is gone", || async {
        let gone = bench.api::<Deployment>().get_opt(&first).await?.is_none()
            && bench.api::<Service>().get_opt(&first).await?.is_none()
            && bench
                .api::<PodDisruptionBudget>()
                .get_opt(&first)
                .await?
                .is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    assert_eq!(bench.routed("card-fraud").await?, [second]);
    bench.writes_nothing_more().await
}

#[tokio::test]
async fn a_version_that_never_gets_ready_is_given_up_without_touching_the_stable_one() -> Result<()> {
    let bench = Bench::start().await?;
    let first = bench.serving("card-fraud", "1").await?;
    bench.set_version("card-fraud", "bad").await?;
    let bad = bench.deployment("card-fraud", "bad").await?;
    bench.set_version("card-fraud", "1").await?;
    eventually("the bad version is removed", || async {
        Ok(bench
            .api::<Deployment>()
            .get_opt(&bad)
            .await?
            .is_none()
            .then_some(()))
    })
    .await?;
    let status = bench.wait_ready("card-fraud").await?;
    assert_eq!(status.stable.map(|s| s.version).as_deref(), Some("1"));
    assert_eq!(bench.routed("card-fraud").await?, [first]);
    Ok(())
}

#[tokio::test]
async fn a_lost_status_is_found_again_in_the_objects() -> Result<()> {
    let bench = Bench::start().await?;
    let first = bench.serving("card-fraud", "1").await?;
    bench.stop().await;
    bench.set_version("card-fraud", "2").await?;
    bench.lose_status("card-fraud").await?;
    let bench = bench.restart().await?;
    bench.deployment("card-fraud", "2").await?;
    let status = bench.wait_status("card-fraud", |s| s.candidate.is_some()).await?;
    assert_eq!(status.stable.map(|s| s.version).as_deref(), Some("1"));
    assert_eq!(bench.routed("card-fraud").await?, [first]);
    Ok(())
}

#[tokio::test]
async fn the_key_of_receipts_is_made_once_and_never_where_the_user_names_a_secret() -> Result<()> {
    let bench = Bench::start().await?;
    bench.serving("card-fraud", "1").await?;
    let secrets = bench.api::<Secret>();
    let made = secrets.get("card-fraud-receipt-keys").await?;
    let keys: Vec<Vec<u8>> = made
        .data
        .iter()
        .flatten()
        .map(|(_, key)| STANDARD.decode(&key.0))
        .collect::<Result<_, _>>()?;
    assert_eq!(keys.iter().map(Vec::len).collect::<Vec<_>>(), [32]);
    ensure!(
        made.owner_references()
            .iter()
            .any(|owner| owner.name == "card-fraud")
    );
    bench.set_version("card-fraud", "2").await?;
    bench.deployment("card-fraud", "2").await?;
    let later = secrets.get("card-fraud-receipt-keys").await?;
    assert_eq!(later.resource_version(), made.resource_version());

    let mut own = model("own-keys", "1");
    own["spec"]["receipts"] = json!({ "keySecretRef": { "name": "mine" } });
    bench.create(own).await?;
    let name = bench.deployment("own-keys", "1").await?;
    ensure!(secrets.get_opt("own-keys-receipt-keys").await?.is_none());
    let pod = bench
        .api::<Deployment>()
        .get(&name)
        .await?
        .spec
        .unwrap_or_default()
        .template
        .spec;
    let mounted = pod.into_iter().flat_map(|pod| pod.volumes.unwrap_or_default());
    let names: Vec<_> = mounted.filter_map(|volume| volume.secret?.secret_name).collect();
    assert_eq!(names, ["mine"]);
    Ok(())
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_told_and_never_taken() -> Result<()> {
    let bench = Bench::start().await?;
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "card-fraud" }, "spec": { "ports": [{ "port": 1234 }] } }))?;
    bench
        .api::<Service>()
        .create(&PostParams::default(), &theirs)
        .await?;
    bench.create(model("card-fraud", "1")).await?;
    let deployment = bench.deployment("card-fraud", "1").await?;
    bench.make_ready(&deployment).await?;
    bench.issue_certificate("card-fraud").await?;
    let status = bench
        .wait_status("card-fraud", |s| condition(s, "Ready").reason == "NameTaken")
        .await?;
    ensure!(
        condition(&status, "Ready")
            .message
            .contains("Service card-fraud belongs to somebody else")
    );
    ensure!(
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Stalled" && c.status == "True")
    );
    let live = bench.api::<Service>().get("card-fraud").await?;
    ensure!(live.owner_references().is_empty() && live.metadata.labels.is_none());
    ensure!(bench.api::<IngressRoute>().get_opt("card-fraud").await?.is_none());
    bench
        .api::<Service>()
        .delete("card-fraud", &DeleteParams::default())
        .await?;
    bench.poke("card-fraud").await?;
    bench.wait_ready("card-fraud").await?;
    Ok(())
}

#[tokio::test]
async fn a_host_belongs_to_the_oldest_model() -> Result<()> {
    let bench = Bench::start().await?;
    bench.serving("old", "1").await?;
    let mut young = model("young", "1");
    young["spec"]["ingress"]["host"] = "old.example.test".into();
    bench.create(young).await?;
    let deployment = bench.deployment("young", "1").await?;
    bench.make_ready(&deployment).await?;
    let status = bench
        .wait_status("young", |s| condition(s, "RouteReady").reason == "HostTaken")
        .await?;
    ensure!(
        condition(&status, "RouteReady")
            .message
            .contains(&format!("{}/old", bench.namespace))
    );
    ensure!(bench.api::<IngressRoute>().get_opt("young").await?.is_none());
    bench.wait_ready("old").await?;
    Ok(())
}

#[tokio::test]
async fn what_the_spec_no_longer_asks_for_is_removed() -> Result<()> {
    let bench = Bench::start().await?;
    let name = bench.serving("card-fraud", "1").await?;
    bench
        .patch("card-fraud", json!({ "spec": { "ingress": null } }))
        .await?;
    eventually("route and certificate are gone", || async {
        let gone = bench.api::<IngressRoute>().get_opt("card-fraud").await?.is_none()
            && bench
                .api::<TraefikService>()
                .get_opt("card-fraud")
                .await?
                .is_none()
            && bench.api::<Certificate>().get_opt("card-fraud").await?.is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    let status = bench.wait_ready("card-fraud").await?;
    assert_eq!(
        status.url.as_deref(),
        Some(format!("http://card-fraud.{}.svc", bench.namespace).as_str())
    );
    bench.api::<Deployment>().get(&name).await?;
    Ok(())
}

#[tokio::test]
async fn an_autoscaler_takes_the_replicas_over_without_a_dip() -> Result<()> {
    let bench = Bench::start().await?;
    let name = bench.serving("card-fraud", "1").await?;
    bench
        .patch("card-fraud", json!({ "spec": { "scorer": { "replicas": 4 } } }))
        .await?;
    let replicas = || async {
        anyhow::Ok(
            bench
                .api::<Deployment>()
                .get(&name)
                .await?
                .spec
                .and_then(|s| s.replicas),
        )
    };
    eventually("4 replicas", || async {
        Ok((replicas().await? == Some(4)).then_some(()))
    })
    .await?;
    let bounds = json!({ "spec": { "scorer": { "replicas": null, "autoscaling": { "min": 1, "max": 9 } } } });
    bench.patch("card-fraud", bounds).await?;
    eventually("an autoscaler", || async {
        Ok(bench.api::<HorizontalPodAutoscaler>().get_opt(&name).await?)
    })
    .await?;
    bench.writes_nothing_more().await?;
    assert_eq!(replicas().await?, Some(4));
    let scale = json!({ "spec": { "replicas": 7 } });
    bench
        .api::<Deployment>()
        .patch_scale(&name, &PatchParams::default(), &Patch::Merge(&scale))
        .await?;
    bench.poke("card-fraud").await?;
    bench.writes_nothing_more().await?;
    assert_eq!(replicas().await?, Some(7), "the autoscaler's number stands");
    bench
        .patch(
            "card-fraud",
            json!({ "spec": { "scorer": { "replicas": 3, "autoscaling": null } } }),
        )
        .await?;
    eventually("3 replicas again", || async {
        Ok((replicas().await? == Some(3)).then_some(()))
    })
    .await?;
    eventually("no autoscaler", || async {
        Ok(bench
            .api::<HorizontalPodAutoscaler>()
            .get_opt(&name)
            .await?
            .is_none()
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn missing_kinds_are_told_and_picked_up_when_they_appear() -> Result<()> {
    let bench = Bench::without_traefik_and_cert_manager().await?;
    bench.create(model("card-fraud", "1")).await?;
    let deployment = bench.deployment("card-fraud", "1").await?;
    bench.make_ready(&deployment).await?;
    let status = bench.wait_status("card-fraud", |s| {
        condition(s, "RouteReady").reason == "TraefikMissing" && condition(s, "Available").status == "True"
    });
    let status = status.await?;
    ensure!(condition(&status, "CertificateReady").reason == "CertManagerMissing");
    bench.install_traefik_and_cert_manager().await?;
    bench
        .wait_for::<Certificate>("card-fraud", Duration::from_secs(60))
        .await?;
    bench.issue_certificate("card-fraud").await?;
    bench.wait_ready("card-fraud").await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_without_its_own_kind_ends_when_it_is_told_to() -> Result<()> {
    let bench = Bench::without_any_kind().await?;
    let start = std::time::Instant::now();
    bench.stop().await;
    ensure!(
        start.elapsed() < Duration::from_secs(10),
        "took {:?}",
        start.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn what_the_api_server_forbids_is_told_and_goes_on_when_it_is_allowed() -> Result<()> {
    let bench = Bench::start().await?;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "none" }, "spec": { "hard": { "count/services": "0" } },
        "status": { "hard": { "count/services": "0" }, "used": { "count/services": "0" } } }))?;
    let quotas = bench.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &quota).await?;
    let full = json!({ "status": quota.status });
    quotas
        .patch_status("none", &PatchParams::default(), &Patch::Merge(&full))
        .await?;
    bench.create(model("card-fraud", "1")).await?;
    let status = bench
        .wait_status("card-fraud", |s| condition(s, "Ready").reason == "Forbidden")
        .await?;
    ensure!(
        condition(&status, "Ready").message.contains("exceeded quota"),
        "{:?}",
        status.conditions
    );
    quotas.delete("none", &DeleteParams::default()).await?;
    let deployment = bench.deployment("card-fraud", "1").await?;
    bench.make_ready(&deployment).await?;
    bench.issue_certificate("card-fraud").await?;
    bench.wait_ready("card-fraud").await?;
    Ok(())
}

#[tokio::test]
async fn only_the_watched_namespaces_are_looked_after() -> Result<()> {
    let bench = Bench::watching("default,second").await?;
    for namespace in ["second", "third"] {
        bench.create_namespace(namespace).await?;
        let model: FraudModel = serde_json::from_value(model("elsewhere", "1"))?;
        bench
            .api_in(namespace)
            .create(&PostParams::default(), &model)
            .await?;
    }
    bench.create(model("card-fraud", "1")).await?;
    bench.deployment("card-fraud", "1").await?;
    let built = |namespace| {
        let api = bench.api_in::<ServiceAccount>(namespace);
        async move { anyhow::Ok(api.get_opt("elsewhere").await?) }
    };
    eventually("the second namespace is looked after", || built("second")).await?;
    ensure!(
        built("third").await?.is_none(),
        "a namespace that is not watched was looked after"
    );
    Ok(())
}
