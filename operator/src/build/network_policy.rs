//! The NetworkPolicy of the pods: in on the three ports, out only to DNS, the model's store, Redis and telemetry.

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{meta, source::has_scheme};
use crate::reconcile::validate::ValidModel;

const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Variables that name a store of one's own.
const STORE_ENDPOINTS: [&str; 4] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
];
/// The link-local network, where clouds keep their metadata services (also EKS' at .170.23 and GKE's at .169.252).
const METADATA_NETWORK: &str = "169.254.0.0/16";
/// 80 everywhere; GKE's metadata server also listens on 988.
const METADATA_PORTS: [i32; 2] = [80, 988];

pub(super) fn build(model: &ValidModel) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::shared(model, model.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::all_pods(model)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![
                    named(meta::SCORER_PORT),
                    named(meta::GRPC_PORT),
                    named(meta::METRICS_PORT),
                ]),
                from: None,
            }]),
            egress: Some(egress(model)),
        }),
    }
}

fn egress(model: &ValidModel) -> Vec<NetworkPolicyEgressRule> {
    let mut rules = vec![NetworkPolicyEgressRule {
        ports: Some(egress_ports(model)),
        to: None,
    }];
    if model.instance_metadata && has_scheme(&model.wanted.uri, &["s3", "gs", "az"]) {
        let network = IPBlock {
            cidr: METADATA_NETWORK.into(),
            except: None,
        };
        rules.push(NetworkPolicyEgressRule {
            ports: Some(METADATA_PORTS.map(|port| numbered("TCP", port)).into()),
            to: Some(vec![NetworkPolicyPeer {
                ip_block: Some(network),
                ..NetworkPolicyPeer::default()
            }]),
        });
    }
    rules
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
    let stores = |name: &str| STORE_ENDPOINTS.contains(&name);
    for variable in model.scorer.env.iter().filter(|variable| stores(&variable.name)) {
        tcp.extend(variable.value.as_deref().and_then(port_of));
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
    use serde_json::json;

    use super::*;
    use crate::fixture;

    fn tcp(model: &ValidModel) -> Vec<i32> {
        let ports = egress_ports(model)
            .into_iter()
            .filter(|p| p.protocol.as_deref() == Some("TCP"));
        let number = |port: NetworkPolicyPort| match port.port {
            Some(IntOrString::Int(number)) => number,
            other => panic!("{other:?}"),
        };
        ports.map(number).collect()
    }

    #[test]
    fn a_store_of_ones_own_is_let_out_to() {
        let mut model = fixture::valid();
        model.wanted.uri = "s3://models/card.onnx".into();
        assert_eq!(tcp(&model), [53, 443]);
        let endpoint = json!([{ "name": "AWS_ENDPOINT_URL", "value": "http://minio.store:9000" }]);
        model.scorer.env = serde_json::from_value(endpoint).unwrap();
        assert_eq!(tcp(&model), [53, 443, 9000]);
    }

    #[test]
    fn the_metadata_service_is_let_out_to_only_when_it_is_asked() {
        let mut model = fixture::valid();
        model.wanted.uri = "gs://models/card.onnx".into();
        assert_eq!(egress(&model).len(), 1);
        model.instance_metadata = true;
        let rules = egress(&model);
        let peers = rules[1].to.as_ref().unwrap();
        assert_eq!(peers[0].ip_block.as_ref().unwrap().cidr, "169.254.0.0/16");
        model.wanted.uri = "oci://r.example/card:1".into();
        assert_eq!(egress(&model).len(), 1);
    }

    #[test]
    fn the_port_of_a_uri_is_read() {
        assert_eq!(port_of("oci://10.0.0.1:5000/a/b:1"), Some(5000));
        assert_eq!(port_of("https://models.example/a.onnx"), None);
        assert_eq!(port_of("http://otel/v1"), Some(80));
        assert_eq!(port_of("file:///a"), None);
    }
}
