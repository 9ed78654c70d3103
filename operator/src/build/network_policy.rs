//! The NetworkPolicy of the pods: in on the three ports, from neighbours or from whoever the scorer itself asks for a token or
//! a certificate; out only to DNS, the model's store, Redis and telemetry.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{meta, source::has_scheme};
use crate::{
    neighbours::{Neighbours, Pods},
    reconcile::validate::ValidModel,
};

/// Label that Kubernetes gives every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

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

/// `guarded`: every pod that is there asks who calls.
pub(super) fn build(model: &ValidModel, guarded: bool) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::shared(model, model.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::all_pods(model)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(ingress(model, guarded)),
            egress: Some(egress(model)),
        }),
    }
}

fn ingress(model: &ValidModel, guarded: bool) -> Vec<NetworkPolicyIngressRule> {
    let Neighbours {
        traefik,
        monitoring,
        operator: _,
    } = &model.neighbours;
    let operator = model.neighbours.operator_pods();
    let callers = match model.asks_who_calls() && guarded {
        true => &Pods::Any,
        false => traefik,
    };
    vec![
        NetworkPolicyIngressRule {
            ports: Some(vec![named(meta::SCORER_PORT), named(meta::GRPC_PORT)]),
            from: peers([callers, &operator]),
        },
        NetworkPolicyIngressRule {
            ports: Some(vec![named(meta::METRICS_PORT)]),
            from: peers([&operator, monitoring]),
        },
    ]
}

/// None: from everywhere.
fn peers(pods: [&Pods; 2]) -> Option<Vec<NetworkPolicyPeer>> {
    pods.into_iter().map(peer).collect()
}

fn peer(pods: &Pods) -> Option<NetworkPolicyPeer> {
    let Pods::Labelled { namespace, labels } = pods else {
        return None;
    };
    let select = |labels: BTreeMap<String, String>| LabelSelector {
        match_labels: (!labels.is_empty()).then_some(labels),
        ..LabelSelector::default()
    };
    let namespace = namespace.iter().map(|name| (NAMESPACE_NAME.into(), name.clone()));
    Some(NetworkPolicyPeer {
        namespace_selector: Some(select(namespace.collect())),
        pod_selector: Some(select(labels.clone())),
        ip_block: None,
    })
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

    /// Who is let in, port by port: peers as JSON, `null` for everybody.
    fn let_in(model: &ValidModel, guarded: bool) -> [serde_json::Value; 2] {
        let rules = serde_json::to_value(ingress(model, guarded)).unwrap();
        assert_eq!(rules[0]["ports"].as_array().unwrap().len(), 2);
        assert_eq!(rules[1]["ports"][0]["port"], "metrics");
        [rules[0]["from"].clone(), rules[1]["from"].clone()]
    }

    #[test]
    fn only_neighbours_reach_pods_that_ask_nobody_who_calls() {
        let anywhere = |name: &str| json!({ "namespaceSelector": {}, "podSelector": { "matchLabels": { "app.kubernetes.io/name": name } } });
        let operator = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "fraudops-system" } },
            "podSelector": { "matchLabels": { "app.kubernetes.io/name": "fraudops-operator" } },
        });
        let [serving, metrics] = let_in(&fixture::valid(), true);
        assert_eq!(serving, json!([anywhere("traefik"), operator]));
        assert_eq!(metrics, json!([operator, anywhere("prometheus")]));
    }

    #[test]
    fn everybody_reaches_pods_that_ask_who_calls_once_all_of_them_do() {
        let mut model = fixture::valid();
        let tokens = json!({ "tokensSecretRef": { "name": "callers" } });
        model.access = serde_json::from_value(tokens).unwrap();
        assert!(let_in(&model, true)[0].is_null());
        assert!(let_in(&model, false)[0].is_array(), "a pod of before asks nobody");
        assert!(let_in(&model, true)[1].is_array(), "metrics are never guarded");
        model.access = serde_json::from_value(json!({ "rateLimit": { "requestsPerSecond": 1 } })).unwrap();
        assert!(
            let_in(&model, true)[0].is_array(),
            "a limit asks nobody who they are"
        );
    }

    #[test]
    fn neighbours_can_be_chosen_by_namespace_or_not_at_all() {
        let mut model = fixture::valid();
        model.neighbours.traefik = Pods::Any;
        model.neighbours.monitoring = "monitoring:".parse().unwrap();
        let [serving, metrics] = let_in(&model, true);
        assert!(serving.is_null());
        let namespace = json!({ "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } });
        assert_eq!(
            metrics[1],
            json!({ "namespaceSelector": namespace, "podSelector": {} })
        );
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
