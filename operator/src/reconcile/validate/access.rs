//! `spec.access` and `spec.decisionLog`: what ends up in the environment of pods that guard themselves by it.

use fraudops_crds::fraud_model::{Access, DecisionLog};

use super::{Invalid, invalid};

/// Names are handed over in one comma-separated variable, in which `*` is everybody and the kubelet expands `$(…)`.
pub(super) fn validate(access: &Access, has_route: bool) -> Result<(), Invalid> {
    if let Some(mtls) = &access.mtls {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%:@/+".contains(c);
        let names = &mtls.allowed_sans;
        if names
            .iter()
            .any(|name| name.is_empty() || !name.chars().all(plain))
        {
            return Err(invalid(
                "spec.access.mtls.allowedSANs",
                "must be DNS names or URIs, without wildcards",
            ));
        }
        if names.is_empty() && !has_route {
            return Err(invalid(
                "spec.access.mtls.allowedSANs",
                "is needed without spec.ingress: nobody else has a certificate",
            ));
        }
    }
    let rate = access.rate_limit.as_ref();
    let in_range = |rate: f64| (0.01..=1_000_000.0).contains(&rate);
    if rate.is_some_and(|rate| !in_range(rate.requests_per_second)) {
        return Err(invalid(
            "spec.access.rateLimit.requestsPerSecond",
            "must be between 0.01 and 1000000",
        ));
    }
    if rate.and_then(|rate| rate.burst).is_some_and(|burst| burst < 1) {
        return Err(invalid("spec.access.rateLimit.burst", "must be at least 1"));
    }
    Ok(())
}

pub(super) fn validate_log(log: Option<&DecisionLog>) -> Result<(), Invalid> {
    match log {
        Some(log) if !(0.0..=1.0).contains(&log.approvals) => {
            Err(invalid("spec.decisionLog.approvals", "must be between 0 and 1"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{fixture, reconcile::validate::validate};

    fn refusal(access: Value, ingress: bool) -> Option<String> {
        let mut model = fixture::model();
        model.spec.access = serde_json::from_value(access).unwrap();
        if !ingress {
            model.spec.ingress = None;
        }
        let outcome = validate(&model, &fixture::defaults());
        outcome.err().map(|invalid| invalid.to_string())
    }

    #[test]
    fn who_may_call_is_named_plainly() {
        let mtls =
            |sans: &[&str]| json!({ "mtls": { "caSecretRef": { "name": "ca" }, "allowedSANs": sans } });
        assert_eq!(refusal(mtls(&[]), true), None);
        assert_eq!(
            refusal(mtls(&["checkout.shop.svc", "spiffe://a/ns/b"]), false),
            None
        );
        for (sans, ingress) in [
            (&[][..], false),
            (&["*"], true),
            (&["a.test,b.test"], true),
            (&["$(HOSTNAME)"], true),
            (&[""], true),
        ] {
            let refused = refusal(mtls(sans), ingress).unwrap_or_default();
            assert!(
                refused.starts_with("spec.access.mtls.allowedSANs: "),
                "{sans:?}: {refused}"
            );
        }
    }

    #[test]
    fn limits_that_the_scorer_would_refuse_are_refused_here() {
        let rate =
            |rate: f64, burst: i32| json!({ "rateLimit": { "requestsPerSecond": rate, "burst": burst } });
        assert_eq!(refusal(rate(0.5, 1), true), None);
        assert!(refusal(rate(0.0, 1), true).is_some());
        assert!(refusal(rate(1.0, 0), true).is_some());
    }

    #[test]
    fn a_decision_log_that_is_off_is_none() {
        let mut model = fixture::model();
        let log = |enabled: bool, approvals: f64| {
            serde_json::from_value(json!({ "enabled": enabled, "approvals": approvals })).ok()
        };
        model.spec.decision_log = log(false, 0.5);
        assert_eq!(validate(&model, &fixture::defaults()).unwrap().decision_log, None);
        model.spec.decision_log = log(true, 1.5);
        assert!(validate(&model, &fixture::defaults()).is_err());
    }
}
