//! Changed lists on a real kube-apiserver: what is written for ids in the manifest, which pods are told, and how often. No kubelet runs here: the pods are objects
//! that the test makes. That a kubelet looks at a pod that was told is shown by tests/e2e.

#[path = "api/bench.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod bench;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
    events::v1::Event,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use bench::{Bench, condition, eventually, model};

const LISTS: &str = "fraudops.dev/lists";
const MODEL: &str = "card-fraud";
const PODS: [&str; 2] = ["card-fraud-a", "card-fraud-b"];

#[tokio::test]
async fn a_changed_config_map_is_told_once_to_each_pod_and_to_nobody_else() -> Result<()> {
    let bench = with_lists().await?;
    assert_eq!(told(&bench, PODS[0]).await?, None, "it was started with the list");

    let (before, version) = (bench.patches(), change(&bench, "blocked", "1").await?);
    both_are_told(&bench, &version).await?;
    bench.writes_nothing_more().await?;
    assert_eq!(bench.patches() - before, 2, "one for each pod");

    // Neither a pod that comes later nor one without the list, and no other ConfigMap.
    start(&bench, "card-fraud-c", MODEL).await?;
    start(&bench, "other", "another-model").await?;
    change(&bench, "unrelated", "1").await?;
    bench.writes_nothing_more().await?;
    assert_eq!(bench.patches() - before, 2);
    for pod in ["card-fraud-c", "other"] {
        assert_eq!(told(&bench, pod).await?, None, "{pod}");
    }

    let version = change(&bench, "blocked", "1\n2").await?;
    both_are_told(&bench, &version).await?;
    bench.writes_nothing_more().await?;
    assert_eq!(bench.patches() - before, 5, "and the one that came later");
    let pod = bench.api::<Pod>().get(PODS[0]).await?;
    assert_eq!(pod.annotations().get("theirs").map(String::as_str), Some("1"));
    Ok(())
}

#[tokio::test]
async fn a_change_that_no_operator_saw_is_told_by_the_next_one() -> Result<()> {
    let bench = with_lists().await?;
    bench.stop().await;
    let version = change(&bench, "blocked", "1").await?;
    let bench = bench.restart().await?;
    both_are_told(&bench, &version).await?;

    // One that is deleted and made again is another one; without it the pods go on with what they have.
    let maps = bench.api::<ConfigMap>();
    maps.delete("blocked", &DeleteParams::default()).await?;
    bench.writes_nothing_more().await?;
    both_are_told(&bench, &version).await?;
    let version = change(&bench, "blocked", "2").await?;
    both_are_told(&bench, &version).await
}

#[tokio::test]
async fn a_spec_that_is_wrong_keeps_no_list_from_the_pods() -> Result<()> {
    let bench = with_lists().await?;
    // More than fits the environment of a pod, which no admission rule sees.
    let dollars = "$".repeat(1000);
    let rule =
        |i| json!({ "name": format!("r{i}"), "when": format!("'{dollars}' == ''"), "action": "block" });
    let rules: Vec<_> = (0..64).map(rule).collect();
    bench.patch(MODEL, json!({ "spec": { "rules": rules } })).await?;
    bench
        .wait_status(MODEL, |s| condition(s, "Ready").reason == "InvalidSpec")
        .await?;
    let version = change(&bench, "blocked", "1").await?;
    both_are_told(&bench, &version).await
}

#[tokio::test]
async fn pods_that_may_not_be_told_are_an_event_and_nothing_else() -> Result<()> {
    let bench = with_lists().await?;
    forbid_notes(&bench).await?;
    let version = change(&bench, "blocked", "1").await?;
    let event = eventually("an event", || async {
        let events = bench.api::<Event>().list(&Default::default()).await?.items;
        Ok(events
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("ListNotAnnounced")))
    })
    .await?;
    let note = event.note.unwrap_or_default();
    ensure!(
        note.contains("annotate pod card-fraud-") && note.contains("no notes here"),
        "{note}"
    );
    // The rest of the visit goes on as ever.
    bench
        .patch(MODEL, json!({ "spec": { "scorer": { "replicas": 3 } } }))
        .await?;
    eventually("three replicas", || async {
        let deployments = bench.api::<Deployment>();
        let all = deployments.list(&Default::default()).await?.items;
        Ok(all
            .into_iter()
            .find(|one| one.spec.as_ref().and_then(|spec| spec.replicas) == Some(3)))
    })
    .await?;
    cluster::<ValidatingAdmissionPolicyBinding>(&bench)
        .delete("no-notes", &DeleteParams::default())
        .await?;
    eventually("the policy is gone", || async {
        Ok((!is_forbidden(&bench).await).then_some(()))
    })
    .await?;
    bench.poke(MODEL).await?;
    both_are_told(&bench, &version).await
}

#[tokio::test]
async fn ids_in_the_manifest_change_without_another_pod() -> Result<()> {
    let lists = json!({ "vip": { "values": [7] }, "blocked": { "values": [] } });
    let (bench, deployment, map) = with_ids(lists, "list-1").await?;
    assert_eq!(ids(&bench, &map, "vip").await?, Some("7\n".into()));
    assert_eq!(told(&bench, PODS[0]).await?, None, "it was started with the list");

    let (before, patches) = (generation(&bench, &deployment).await?, bench.patches());
    let vip = |ids: Value| json!({ "spec": { "lists": { "vip": { "values": ids } } } });
    bench.patch(MODEL, vip(json!([7, 8]))).await?;
    becomes(&bench, &map, "7\n8\n").await?;
    bench.writes_nothing_more().await?;
    assert_eq!(
        generation(&bench, &deployment).await?,
        before,
        "pods were replaced"
    );
    let version = bench.api::<ConfigMap>().get(&map).await?.resource_version();
    let note = version.map(|version| format!("{map}={version}"));
    assert_eq!(told(&bench, PODS[0]).await?, note);
    let writes = bench.patches() - patches;
    // The test's own, the list, the pod, and at most two of the status.
    assert!(writes <= 5, "{writes} writes for one change");

    let theirs = json!({ "data": { "vip": "666" } });
    let maps = bench.api::<ConfigMap>();
    maps.patch(&map, &PatchParams::default(), &Patch::Merge(&theirs))
        .await?;
    becomes(&bench, &map, "7\n8\n").await
}

#[tokio::test]
async fn ids_that_leave_the_manifest_stay_while_a_pod_has_them_mounted() -> Result<()> {
    let lists = json!({ "vip": { "values": [7] } });
    let (bench, deployment, map) = with_ids(lists, "list-0").await?;
    let before = generation(&bench, &deployment).await?;

    change(&bench, "theirs", "7").await?;
    let theirs =
        json!({ "spec": { "lists": { "vip": { "values": null, "configMapRef": { "name": "theirs" } } } } });
    bench.patch(MODEL, theirs).await?;
    eventually("pods are to mount the other ConfigMap", || async {
        Ok((generation(&bench, &deployment).await? != before).then_some(()))
    })
    .await?;
    bench.writes_nothing_more().await?;
    assert_eq!(
        ids(&bench, &map, "vip").await?,
        Some("7\n".into()),
        "a pod of before needs it"
    );

    let pods = bench.api::<Pod>();
    pods.delete(PODS[0], &DeleteParams::default()).await?;
    bench.poke(MODEL).await?;
    eventually("the ConfigMap is gone", || async {
        Ok(ids(&bench, &map, "vip").await?.is_none().then_some(()))
    })
    .await?;
    assert!(ids(&bench, "theirs", "ids").await?.is_some(), "it is the user's");
    Ok(())
}

/// Name of the ConfigMap that the operator makes for ids in the manifest.
async fn inline(bench: &Bench) -> Result<String> {
    let ours = ListParams::default().labels(&format!("fraudops.dev/model={MODEL}"));
    eventually("a ConfigMap for the lists", || async {
        let maps = bench.api::<ConfigMap>().list(&ours).await?.items;
        ensure!(maps.len() < 2, "{maps:?}");
        Ok(maps.first().map(ResourceExt::name_any))
    })
    .await
}

/// What a ConfigMap says of one list.
async fn ids(bench: &Bench, map: &str, list: &str) -> Result<Option<String>> {
    let map = bench.api::<ConfigMap>().get_opt(map).await?;
    Ok(map.and_then(|map| map.data?.remove(list)))
}

async fn becomes(bench: &Bench, map: &str, vip: &str) -> Result<()> {
    eventually("the list is written", || async {
        Ok((ids(bench, map, "vip").await?.as_deref() == Some(vip)).then_some(()))
    })
    .await
}

/// Grows with each change of what the pods are to be.
async fn generation(bench: &Bench, deployment: &str) -> Result<Option<i64>> {
    let deployment = bench.api::<Deployment>().get(deployment).await?;
    Ok(deployment.metadata.generation)
}

/// A model that serves with a list in the ConfigMap `blocked`, and two pods that were started with it.
async fn with_lists() -> Result<Bench> {
    let bench = Bench::start().await?;
    change(&bench, "blocked", "").await?;
    let lists = json!({ "blocked": { "configMapRef": { "name": "blocked" } } });
    let deployment = create(&bench, lists).await?;
    for pod in PODS {
        start(&bench, pod, MODEL).await?;
    }
    put_into_service(&bench, &deployment).await?;
    Ok(bench)
}

/// A model that serves with `lists` of ids in its manifest, and a pod that has their ConfigMap mounted as `volume`. Gives the
/// names of its Deployment and of the ConfigMap, too.
async fn with_ids(lists: Value, volume: &str) -> Result<(Bench, String, String)> {
    let bench = Bench::start().await?;
    let deployment = create(&bench, lists).await?;
    let map = inline(&bench).await?;
    start_with(&bench, PODS[0], MODEL, volume, &map).await?;
    put_into_service(&bench, &deployment).await?;
    Ok((bench, deployment, map))
}

/// The name of its Deployment.
async fn create(bench: &Bench, lists: Value) -> Result<String> {
    let mut wanted = model(MODEL, "1");
    wanted["spec"]["lists"] = lists;
    bench.create(wanted).await?;
    bench.deployment(MODEL, "1").await
}

async fn put_into_service(bench: &Bench, deployment: &str) -> Result<()> {
    bench.make_ready(deployment).await?;
    bench.issue_certificate(MODEL).await?;
    bench.wait_ready(MODEL).await?;
    bench.writes_nothing_more().await
}

/// Writes one id a line into a ConfigMap; gives its resource version.
async fn change(bench: &Bench, map: &str, ids: &str) -> Result<String> {
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": map }, "data": { "ids": ids } });
    let whoever = PatchParams::apply("kubectl").force();
    let written = bench
        .api::<ConfigMap>()
        .patch(map, &whoever, &Patch::Apply(&body))
        .await?;
    written.resource_version().context("no resource version")
}

/// A pod as the Deployment of `model` would make it, in another second than what was written before: the API server's times
/// have no fractions.
async fn start(bench: &Bench, name: &str, model: &str) -> Result<()> {
    let volume = if model == MODEL { "list-0" } else { "source" };
    start_with(bench, name, model, volume, "blocked").await
}

async fn start_with(bench: &Bench, name: &str, model: &str, volume: &str, map: &str) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let volumes = json!([{ "name": volume, "configMap": { "name": map } }]);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "fraudops.dev/model": model }, "annotations": { "theirs": "1" } },
        "spec": { "containers": [{ "name": "scorer", "image": "scorer:test" }], "volumes": volumes } }))?;
    bench.api::<Pod>().create(&PostParams::default(), &pod).await?;
    Ok(())
}

/// What the pod was told of its lists.
async fn told(bench: &Bench, pod: &str) -> Result<Option<String>> {
    let pod = bench.api::<Pod>().get(pod).await?;
    Ok(pod.annotations().get(LISTS).cloned())
}

async fn both_are_told(bench: &Bench, version: &str) -> Result<()> {
    for pod in PODS {
        eventually("the pod is told", || async {
            let told = told(bench, pod).await?;
            Ok((told == Some(format!("blocked={version}"))).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Lets nobody write our annotation, and waits until that is in force.
async fn forbid_notes(bench: &Bench) -> Result<()> {
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(
        json!({ "metadata": { "name": "no-notes" }, "spec": {
        "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"] }] },
        "validations": [{ "message": "no notes here",
            "expression": format!("!has(object.metadata.annotations) || !('{LISTS}' in object.metadata.annotations)") }] } }),
    )?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(
        json!({ "metadata": { "name": "no-notes" },
        "spec": { "policyName": "no-notes", "validationActions": ["Deny"], "matchResources": { "namespaceSelector": {
            "matchLabels": { "kubernetes.io/metadata.name": bench.namespace } } } } }),
    )?;
    cluster(bench).create(&PostParams::default(), &policy).await?;
    cluster(bench).create(&PostParams::default(), &binding).await?;
    eventually("the policy is in force", || async {
        Ok(is_forbidden(bench).await.then_some(()))
    })
    .await
}

async fn is_forbidden(bench: &Bench) -> bool {
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let attempt = json!({ "metadata": { "annotations": { LISTS: "" } } });
    let pods = bench.api::<Pod>();
    pods.patch(PODS[0], &dry, &Patch::Merge(&attempt)).await.is_err()
}

fn cluster<K>(bench: &Bench) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>,
{
    Api::all(bench.client())
}
