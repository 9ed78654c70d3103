//! The NetworkPolicy of the pods: in on the two ports, out only to DNS, the model's store, Redis and telemetry.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::meta;
use crate::reconcile::validate::ValidModel;

const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

pub(super) fn build(model: &ValidModel) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::shared(model, model.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::all_pods(model)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![named(meta::SCORER_PORT), named(meta::METRICS_PORT)]),
                from: None,
            }]),
            egress: Some(vec![NetworkPolicyEgressRule {
                ports: Some(egress_ports(model)),
                to: None,
            }]),
        }),
    }
}

fn egress_ports(model: &ValidModel) -> Vec<NetworkPolicyPort> {
    let mut tcp = vec![53, 443];
    tcp.extend(port_of(&model.wanted.uri));
    tcp.extend(model.idempotency.redis.as_ref().map(|redis| redis.port));
    for variable in model
        .scorer
        .env
        .iter()
        .filter(|variable| variable.name == OTLP_ENDPOINT)
    {
        // A value that comes from elsewhere is not known here: both standard ports then.
        match &variable.value {
            Some(endpoint) => tcp.extend(port_of(endpoint).or(Some(80))),
            None => tcp.extend([4317, 4318]),
        }
    }
    tcp.sort_unstable();
    tcp.dedup();
    let mut ports = vec![numbered("UDP", 53)];
    ports.extend(tcp.into_iter().map(|port| numbered("TCP", port)));
    ports
}

/// The port that `uri` names itself.
fn port_of(uri: &str) -> Option<i32> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().ok().map(i32::from),
        None if scheme == "http" => Some(80),
        None => None,
    }
}

fn named(port: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::String(port.into())),
        protocol: Some("TCP".into()),
        end_port: None,
    }
}

fn numbered(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some(protocol.into()),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_uri_is_read() {
        assert_eq!(port_of("oci://10.0.0.1:5000/a/b:1"), Some(5000));
        assert_eq!(port_of("https://models.example/a.onnx"), None);
        assert_eq!(port_of("http://otel/v1"), Some(80));
        assert_eq!(port_of("file:///a"), None);
    }
}
