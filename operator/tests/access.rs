//! `spec.access` on a real kube-apiserver with the real CRDs of Traefik and cert-manager. No kubelet and no cert-manager run
//! here: the test plays both.

#[path = "api/bench.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod bench;

use anyhow::{Result, ensure};
use fraudops_crds::{
    cert_manager::{Certificate, Issuer},
    traefik::{IngressRoute, ServersTransport, TraefikService},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, networking::v1::NetworkPolicy};
use serde_json::{Value, json};

use bench::{Bench, condition, eventually, model};

const CERTIFICATES: [&str; 2] = ["card-fraud-scorer", "card-fraud-traefik"];

fn mtls() -> Value {
    json!({ "spec": { "access": { "mtls": { "caSecretRef": { "name": "scorer-ca" }, "allowedSANs": ["checkout.shop.svc"] } } } })
}

/// How the route speaks with the first version of its list.
async fn way(bench: &Bench) -> Result<(String, Option<String>, Option<String>)> {
    let service = bench.api::<TraefikService>().get("card-fraud").await?;
    let first = service.spec.weighted.services.into_iter().next();
    let first = first.ok_or_else(|| anyhow::anyhow!("an empty list"))?;
    Ok((first.name, first.scheme, first.servers_transport))
}

#[tokio::test]
async fn tls_to_the_pods_is_switched_on_and_off_by_pods_of_their_own() -> Result<()> {
    let bench = Bench::start().await?;
    let before = bench.serving("card-fraud", "1").await?;
    bench.patch("card-fraud", mtls()).await?;
    let after = bench.mtls_deployment("card-fraud", "1").await?;
    assert_ne!(before, after);
    bench.make_ready(&after).await?;
    let status = bench
        .wait_status("card-fraud", |s| {
            condition(s, "ModelVerified").reason == "PodsPending"
        })
        .await?;
    let told = condition(&status, "ModelVerified").message;
    ensure!(told.contains("card-fraud-scorer-tls"), "{told}");
    assert_eq!(way(&bench).await?, (before.clone(), None, None));

    for name in CERTIFICATES {
        bench.issue_certificate(name).await?;
    }
    bench.wait_ready("card-fraud").await?;
    let secured = (after.clone(), Some("https".into()), Some("card-fraud".into()));
    assert_eq!(way(&bench).await?, secured);
    let issuer = bench.api::<Issuer>().get("card-fraud-mtls").await?;
    assert_eq!(issuer.spec.ca.secret_name, "scorer-ca");
    let transport = bench.api::<ServersTransport>().get("card-fraud").await?;
    let inside = format!("card-fraud.{}.svc", bench.namespace);
    assert_eq!(transport.spec.server_name, inside);
    let port = bench
        .api::<Service>()
        .get("card-fraud")
        .await?
        .spec
        .unwrap_or_default()
        .ports;
    assert_eq!(port.unwrap_or_default()[0].port, 443);
    gone::<Deployment>(&bench, &before).await?;
    bench.writes_nothing_more().await?;

    bench
        .patch("card-fraud", json!({ "spec": { "access": null } }))
        .await?;
    bench
        .wait_for::<Deployment>(&before, std::time::Duration::from_secs(30))
        .await?;
    bench.make_ready(&before).await?;
    bench.wait_ready("card-fraud").await?;
    assert_eq!(way(&bench).await?, (before, None, None));
    gone::<Deployment>(&bench, &after).await?;
    gone::<ServersTransport>(&bench, "card-fraud").await?;
    gone::<Issuer>(&bench, "card-fraud-mtls").await?;
    for name in CERTIFICATES {
        gone::<Certificate>(&bench, name).await?;
    }
    let route = bench.api::<IngressRoute>().get("card-fraud").await?;
    let fallback = &route.spec.routes[1].services[0];
    assert_eq!((&fallback.scheme, &fallback.servers_transport), (&None, &None));
    bench.writes_nothing_more().await
}

#[tokio::test]
async fn neighbours_alone_reach_the_pods_until_they_ask_who_calls() -> Result<()> {
    let bench = Bench::start().await?;
    let name = bench.serving("card-fraud", "1").await?;
    let status = bench.wait_ready("card-fraud").await?;
    assert_eq!(condition(&status, "FeedbackProtected").reason, "Open");
    ensure!(peers(&bench).await?.is_some(), "open to everybody");
    let tokens = json!({ "spec": { "access": { "tokensSecretRef": { "name": "callers" } } } });
    bench.patch("card-fraud", tokens).await?;
    eventually("open to everybody", || async {
        Ok(peers(&bench).await?.is_none().then_some(()))
    })
    .await?;
    bench.make_ready(&name).await?;
    let status = bench.wait_ready("card-fraud").await?;
    assert_eq!(condition(&status, "FeedbackProtected").status, "True");
    bench.writes_nothing_more().await
}

#[tokio::test]
async fn a_model_for_callers_inside_the_cluster_needs_no_traefik_for_tls() -> Result<()> {
    let bench = Bench::start().await?;
    let mut inside = model("card-fraud", "1");
    inside["spec"]["ingress"] = Value::Null;
    inside["spec"]["access"] = mtls()["spec"]["access"].clone();
    bench.create(inside).await?;
    let deployment = bench.mtls_deployment("card-fraud", "1").await?;
    bench.issue_certificate("card-fraud-scorer").await?;
    bench.make_ready(&deployment).await?;
    let status = bench.wait_ready("card-fraud").await?;
    let inside = format!("https://card-fraud.{}.svc", bench.namespace);
    assert_eq!(status.url, Some(inside));
    ensure!(
        bench
            .api::<ServersTransport>()
            .get_opt("card-fraud")
            .await?
            .is_none()
    );
    bench.writes_nothing_more().await
}

/// Whose requests the NetworkPolicy lets in; none: everybody's.
async fn peers(bench: &Bench) -> Result<Option<usize>> {
    let policy = bench.api::<NetworkPolicy>().get("card-fraud").await?;
    let rules = policy.spec.unwrap_or_default().ingress.unwrap_or_default();
    Ok(rules[0].from.as_ref().map(Vec::len))
}

async fn gone<K>(bench: &Bench, name: &str) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    eventually(&format!("{} {name} is gone", K::kind(&())), || async {
        Ok(bench.api::<K>().get_opt(name).await?.is_none().then_some(()))
    })
    .await
}
