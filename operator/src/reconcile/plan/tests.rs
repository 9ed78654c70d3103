//! TLS between Traefik and the pods, switched on and off while a model serves.

use serde_json::json;

use super::*;
use crate::{
    fixture::{self, Scene},
    reconcile::validate::validate,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A visit of `scene` as it stands; `status` as a visit would leave it.
fn visit(scene: &mut Scene) -> (ValidModel, Plan) {
    let valid = validate(&scene.model, &fixture::defaults()).unwrap();
    let plan = plan(&scene.model, &valid, &scene.observed, Waits::default(), now());
    let status = scene.model.status.get_or_insert_default();
    status.stable.clone_from(&plan.stable);
    (valid, plan)
}

fn set_mtls(scene: &mut Scene, on: bool) {
    let mtls = json!({ "mtls": { "caSecretRef": { "name": "scorer-ca" } } });
    scene.model.spec.access = on.then(|| serde_json::from_value(mtls).unwrap());
}

/// Name, scheme and transport of what the weighted list and the fallback name.
fn ways(plan: &Plan) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |value: &serde_json::Value| value.as_str().map(Into::into);
    let way = |entry: &serde_json::Value| {
        let name = text(&entry["name"]).unwrap_or_default();
        (name, text(&entry["scheme"]), text(&entry["serversTransport"]))
    };
    let body = |kind| {
        plan.desired
            .iter()
            .find(|child| child.kind == kind)
            .map(|child| &child.body)
    };
    let list = body(Kind::TraefikService).and_then(|body| body.pointer("/spec/weighted/services"));
    let fallback = body(Kind::IngressRoute).and_then(|body| body.pointer("/spec/routes/1/services"));
    let entries = [list, fallback]
        .into_iter()
        .flatten()
        .filter_map(|list| list.as_array());
    entries.flatten().map(way).collect()
}

fn plain(hash: &str) -> (String, Option<String>, Option<String>) {
    (version_name("card-fraud", hash), None, None)
}

fn secured(hash: &str) -> (String, Option<String>, Option<String>) {
    let (scheme, transport) = (Some("https".into()), Some("card-fraud".into()));
    (version_name("card-fraud", hash), scheme, transport)
}

fn has(plan: &Plan, kind: Kind) -> usize {
    plan.desired.iter().filter(|child| child.kind == kind).count()
}

#[test]
fn tls_is_spoken_only_with_pods_that_speak_it_once_traefik_has_its_certificate() {
    let mut scene = Scene::serving();
    let before = visit(&mut scene).0.wanted.hash;
    set_mtls(&mut scene, true);
    let (valid, plan) = visit(&mut scene);
    let after = valid.wanted.hash.clone();
    assert_ne!(before, after);
    assert_eq!(ways(&plan), [plain(&before), plain(&before)]);
    assert_eq!((has(&plan, Kind::Issuer), has(&plan, Kind::Certificate)), (1, 3));
    scene.carry_out(&valid, &plan);

    // All pods are ready, and cert-manager has made one certificate of two.
    scene.certified("card-fraud-scorer", "True", "up to date");
    scene.certified("card-fraud-traefik", "False", "waiting");
    let (valid, plan) = visit(&mut scene);
    assert_eq!(plan.stable.as_ref().map(|s| &s.hash), Some(&before));
    assert_eq!(ways(&plan), [plain(&before), plain(&before)]);
    scene.carry_out(&valid, &plan);

    scene.certified("card-fraud-traefik", "True", "up to date");
    let (valid, plan) = visit(&mut scene);
    assert_eq!(plan.stable.as_ref().map(|s| &s.hash), Some(&after));
    // Traefik may not have heard of the new Service yet: it falls back to the pods of before, in their way.
    assert_eq!(ways(&plan), [secured(&after), plain(&before)]);
    scene.carry_out(&valid, &plan);
    let (_, plan) = visit(&mut scene);
    assert_eq!(ways(&plan)[0], secured(&after));
}

#[test]
fn what_tls_needs_stays_until_no_pod_speaks_it() {
    let mut scene = Scene::serving();
    let before = visit(&mut scene).0.wanted.hash;
    set_mtls(&mut scene, true);
    for _ in 0..4 {
        let (valid, plan) = visit(&mut scene);
        scene.carry_out(&valid, &plan);
        for name in ["card-fraud-scorer", "card-fraud-traefik"] {
            scene.certified(name, "True", "up to date");
        }
    }
    let after = scene.model.status.as_ref().unwrap().stable.clone().unwrap();
    assert!(after.mtls);
    let there = |scene: &Scene| {
        let kinds = [Kind::Issuer, Kind::ServersTransport, Kind::Certificate];
        let keys = scene.observed.children.keys();
        keys.filter(|(kind, _)| kinds.contains(kind)).count()
    };
    assert_eq!(there(&scene), 5);

    set_mtls(&mut scene, false);
    let (valid, plan) = visit(&mut scene);
    assert_eq!(
        valid.wanted.hash, before,
        "without TLS it is the version of before"
    );
    assert_eq!(ways(&plan)[0], secured(&after.hash));
    scene.carry_out(&valid, &plan);
    let (valid, plan) = visit(&mut scene);
    assert_eq!(ways(&plan)[0], plain(&before));
    scene.carry_out(&valid, &plan);
    assert_eq!(there(&scene), 5, "the pods of before may still be called");
    let old = (Kind::Deployment, version_name("card-fraud", &after.hash));
    scene.observed.children.remove(&old);
    let (valid, plan) = visit(&mut scene);
    scene.carry_out(&valid, &plan);
    assert_eq!(there(&scene), 1, "the route's own certificate");
}

#[test]
fn a_lost_status_is_found_again_with_its_way_of_speaking() {
    let mut scene = Scene::serving();
    set_mtls(&mut scene, true);
    for _ in 0..4 {
        let (valid, plan) = visit(&mut scene);
        scene.carry_out(&valid, &plan);
        for name in ["card-fraud-scorer", "card-fraud-traefik"] {
            scene.certified(name, "True", "up to date");
        }
    }
    set_mtls(&mut scene, false);
    scene.model.status = None;
    let (_, plan) = visit(&mut scene);
    assert_eq!(plan.stable.map(|stable| stable.mtls), Some(true));
}
