//! What is claimed of certificates between Traefik and the pods, and of `/feedback`.

use fraudops_crds::fraud_model::ConditionReason as Reason;

use super::{Claim, claim};
use crate::{
    build,
    reconcile::{observed::Observed, plan::Plan, validate::ValidModel},
};

const MTLS_WITHOUT_CERT_MANAGER: &str = "kinds Certificate and Issuer (cert-manager.io/v1) are not installed: install cert-manager, or remove spec.access.mtls; looked for again every 15 s";
const MTLS_WITHOUT_TRAEFIK: &str = "kind ServersTransport (traefik.io/v1alpha1) is not installed: install Traefik's CRDs, or remove spec.access.mtls; looked for again every 15 s";

fn lacks_cert_manager(observed: &Observed) -> bool {
    [build::Kind::Certificate, build::Kind::Issuer]
        .iter()
        .any(|kind| observed.missing.contains(kind))
}

/// Pods that are to speak TLS do not start before they have a certificate, and get no traffic before Traefik has one.
pub(super) fn awaits_certificate(valid: &ValidModel, observed: &Observed) -> Option<Claim> {
    if lacks_cert_manager(observed) {
        return Some(claim(
            false,
            Reason::CertManagerMissing,
            MTLS_WITHOUT_CERT_MANAGER,
        ));
    }
    if valid.ingress.is_some() && observed.missing.contains(&build::Kind::ServersTransport) {
        return Some(claim(false, Reason::TraefikMissing, MTLS_WITHOUT_TRAEFIK));
    }
    let (name, why) = observed.pending_certificate(&valid.name, valid.ingress.is_some())?;
    let message = format!(
        "{} waits for Secret {}: Certificate {name} is not issued: {why}",
        valid.wanted.version,
        build::secret_name(&name)
    );
    Some(claim(false, Reason::PodsPending, message))
}

/// Of the route and, with `spec.access.mtls`, between Traefik and the pods.
pub(in super::super) fn certificate(valid: &ValidModel, observed: &Observed, plan: &Plan) -> Claim {
    let route = super::route_certificate(valid, observed, plan);
    if valid.access.mtls.is_none() || route.0 != "True" {
        return route;
    }
    if lacks_cert_manager(observed) {
        return claim(false, Reason::CertManagerMissing, MTLS_WITHOUT_CERT_MANAGER);
    }
    match observed.pending_certificate(&valid.name, valid.ingress.is_some()) {
        Some((name, why)) => claim(
            false,
            Reason::NotIssued,
            format!("Certificate {name} is not issued: {why}"),
        ),
        None => claim(true, Reason::Issued, mutual(&route, valid)),
    }
}

fn mutual(route: &Claim, valid: &ValidModel) -> String {
    let pods = build::secret_name(&build::server_certificate_name(&valid.name));
    let traefik = build::secret_name(&build::client_certificate_name(&valid.name));
    let between = match valid.ingress {
        Some(_) => format!("Secrets {pods} and {traefik} are there"),
        None => format!("Secret {pods} is there"),
    };
    if route.1 == Reason::NotRequested.as_str() {
        return between;
    }
    format!("{}; {between}", route.2)
}

/// Whether labels are taken only from known callers. It says how things are, and makes nothing of it: Ready does not follow it.
pub(in super::super) fn feedback(valid: &ValidModel, observed: &Observed) -> Claim {
    const WAY_OUT: &str = "name tokens in spec.access.tokensSecretRef, or certificates in spec.access.mtls";
    if !valid.asks_who_calls() {
        let message =
            format!("/feedback takes labels from whoever the NetworkPolicy and the route let in: {WAY_OUT}");
        return claim(false, Reason::Open, message);
    }
    if !observed.all_pods_ask() {
        let message = "pods of before spec.access still take labels from whoever reaches them: they are on their way out";
        return claim(false, Reason::Open, message);
    }
    let ingress = valid.ingress.as_ref();
    let routed = ingress.is_some_and(|ingress| "/feedback".starts_with(&ingress.path));
    match (&valid.access.tokens_secret_ref, routed) {
        (Some(secret), _) => {
            let message = format!(
                "/feedback asks for a token of Secret {} with the scope feedback",
                secret.name
            );
            claim(true, Reason::Protected, message)
        }
        (None, false) => claim(true, Reason::Protected, "/feedback asks for a client certificate"),
        (None, true) => claim(
            false,
            Reason::BehindTraefik,
            "/feedback asks for a client certificate; Traefik has one and passes on whoever calls the route: name tokens in spec.access.tokensSecretRef, or narrow spec.ingress.path to /predict",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        fixture::{self, Scene},
        reconcile::{plan::plan, pods::PodReport, status::claims::verified, validate::validate},
        rollout::Waits,
    };

    /// A model that serves, whose spec asks for `access` since a moment ago.
    fn asking(access: Value) -> (Scene, ValidModel, Plan) {
        let mut scene = Scene::serving();
        scene.model.spec.access = serde_json::from_value(access).unwrap();
        let (valid, plan) = look(&scene);
        scene.carry_out(&valid, &plan);
        let (valid, plan) = look(&scene);
        (scene, valid, plan)
    }

    fn look(scene: &Scene) -> (ValidModel, Plan) {
        let valid = validate(&scene.model, &fixture::defaults()).unwrap();
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let plan = plan(&scene.model, &valid, &scene.observed, Waits::default(), now);
        (valid, plan)
    }

    #[test]
    fn pods_that_wait_for_a_certificate_are_told_with_what_the_issuer_lacks() {
        let mtls = json!({ "mtls": { "caSecretRef": { "name": "scorer-ca" } } });
        let (mut scene, valid, plan) = asking(mtls);
        let issuer = (build::Kind::Issuer, "card-fraud-mtls".to_owned());
        let trouble = "Error getting keypair for CA issuer: secret \"scorer-ca\" not found";
        let issuer = scene.observed.children.get_mut(&issuer).unwrap();
        issuer.data["status"] =
            json!({ "conditions": [{ "type": "Ready", "status": "False", "message": trouble }] });
        let Claim(status, reason, message) = verified(&valid, &scene.observed, &plan);
        assert_eq!((status, reason.as_str()), ("False", "PodsPending"));
        assert_eq!(
            message,
            format!(
                "2026.11.1 waits for Secret card-fraud-scorer-tls: Certificate card-fraud-scorer is not issued: Issuer card-fraud-mtls: {trouble}"
            )
        );
        let Claim(status, reason, message) = certificate(&valid, &scene.observed, &plan);
        assert_eq!((status, reason.as_str()), ("False", "NotIssued"));
        assert!(message.contains(trouble), "{message}");

        for name in ["card-fraud-scorer", "card-fraud-traefik"] {
            scene.certified(name, "True", "up to date");
        }
        let Claim(status, reason, message) = certificate(&valid, &scene.observed, &plan);
        assert_eq!((status, reason.as_str()), ("True", "Issued"));
        assert!(message.contains("card-fraud-traefik-tls"), "{message}");
        assert_eq!(verified(&valid, &scene.observed, &plan).0, "True");
    }

    #[test]
    fn kinds_that_tls_needs_and_that_are_missing_are_told() {
        let mtls = json!({ "mtls": { "caSecretRef": { "name": "scorer-ca" } } });
        let (mut scene, valid, plan) = asking(mtls);
        for (kind, expected) in [
            (build::Kind::ServersTransport, "TraefikMissing"),
            (build::Kind::Issuer, "CertManagerMissing"),
        ] {
            scene.observed.missing.insert(kind);
            assert_eq!(verified(&valid, &scene.observed, &plan).1, expected);
        }
    }

    #[test]
    fn whether_feedback_is_open_is_told_as_it_is() {
        let claimed = |access: Value, path: &str, pods_ask: bool| {
            let mut model = fixture::model();
            model.spec.access = serde_json::from_value(access).unwrap();
            model.spec.ingress.as_mut().unwrap().path = path.into();
            let pod = PodReport {
                asks_who_calls: pods_ask,
                ..PodReport::default()
            };
            let observed = Observed {
                pods: vec![pod],
                ..Observed::default()
            };
            let valid = validate(&model, &fixture::defaults()).unwrap();
            let Claim(status, reason, message) = feedback(&valid, &observed);
            (status, reason, message)
        };
        let tokens = || json!({ "tokensSecretRef": { "name": "callers" } });
        let mtls = || json!({ "mtls": { "caSecretRef": { "name": "ca" } } });
        let rows = [
            (Value::Null, "/", false, "False", "Open"),
            (
                json!({ "rateLimit": { "requestsPerSecond": 1 } }),
                "/",
                false,
                "False",
                "Open",
            ),
            (tokens(), "/", true, "True", "Protected"),
            (tokens(), "/", false, "False", "Open"),
            (mtls(), "/", true, "False", "BehindTraefik"),
            (mtls(), "/feed", true, "False", "BehindTraefik"),
            (mtls(), "/predict", true, "True", "Protected"),
        ];
        for (access, path, pods_ask, status, reason) in rows {
            let found = claimed(access.clone(), path, pods_ask);
            assert_eq!(
                (found.0, found.1.as_str()),
                (status, reason),
                "{access} {path}: {}",
                found.2
            );
        }
        assert!(
            claimed(Value::Null, "/", true)
                .2
                .contains("spec.access.tokensSecretRef")
        );
    }
}
