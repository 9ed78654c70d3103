//! The configuration files of the node's programs, rendered from a network. Pure.

use anyhow::Result;
use serde_json::{Value, json};

use crate::network::Network;

/// What containerd unpacks images with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshotter {
    /// Layers on top of each other; needs a file system below that is no overlay itself.
    Overlay,
    /// Copies; works everywhere and costs space.
    Native,
}

/// containerd: own folders and socket, our pause image, the node's registry by plain HTTP.
pub(crate) fn containerd(pause_image: &str, snapshotter: Snapshotter) -> String {
    let snapshotter = match snapshotter {
        Snapshotter::Overlay => "overlayfs",
        Snapshotter::Native => "native",
    };
    format!(
        r#"version = 2
root = "/run/node/data/containerd"
state = "/run/containerd-state"
[grpc]
  address = "/run/containerd.sock"
[ttrpc]
  address = "/run/containerd.ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/node/conf/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/run/node/conf/registries"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// The name under which images of the node's registry are known.
pub(crate) fn registry_address(network: Network) -> String {
    format!("{}:5000", network.node())
}

/// containerd's `hosts.toml` for the node's registry.
pub(crate) fn registry_hosts(network: Network) -> String {
    let address = registry_address(network);
    format!(
        "server = \"http://{address}\"\n[host.\"http://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    )
}

/// The registry itself.
pub(crate) fn registry(network: Network) -> Result<String> {
    yaml(&json!({
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": "/run/node/data/registry"}, "delete": {"enabled": true}},
        "http": {"addr": registry_address(network)},
    }))
}

/// How pods get their network: a veth each, routed, with host ports.
pub(crate) fn cni(network: Network) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "cniVersion": "0.4.0",
        "name": "fraudops",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": network.pods()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))?)
}

/// The kubelet. Its thresholds never evict: disk and memory of the machine are not the cluster's business.
pub(crate) fn kubelet(network: Network) -> Result<String> {
    yaml(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/run/node/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", network.link()),
        "clusterDNS": [network.dns_service()],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd.sock",
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": "/run/node/log/pods",
        "resolvConf": "/run/node/conf/resolv.conf",
        "serializeImagePulls": false,
    }))
}

fn yaml(value: &Value) -> Result<String> {
    Ok(serde_yaml::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::new(3).unwrap()
    }

    #[test]
    fn the_kubelet_points_pods_to_the_dns_of_its_own_cluster() {
        let config: Value = serde_yaml::from_str(&kubelet(network()).unwrap()).unwrap();
        assert_eq!(config["clusterDNS"], json!(["198.19.3.10"]));
        assert_eq!(config["cgroupRoot"], "/fraudops3");
        assert_eq!(config["failCgroupV1"], false);
    }

    #[test]
    fn pods_get_addresses_of_their_own_cluster() {
        let config: Value = serde_json::from_str(&cni(network()).unwrap()).unwrap();
        assert_eq!(
            config["plugins"][0]["ipam"]["ranges"][0][0]["subnet"],
            "198.18.3.0/24"
        );
        assert_eq!(config["plugins"][1]["type"], "portmap");
    }

    #[test]
    fn the_registry_is_served_and_pulled_from_at_the_same_plain_address() {
        let served: Value = serde_yaml::from_str(&registry(network()).unwrap()).unwrap();
        assert_eq!(served["http"]["addr"], "198.18.254.14:5000");
        assert!(registry_hosts(network()).starts_with("server = \"http://198.18.254.14:5000\"\n"));
    }

    #[test]
    fn containerd_uses_the_pause_image_and_the_snapshotter_it_was_told() {
        let config = containerd("localhost/x/pause:1", Snapshotter::Native);
        assert!(config.contains("sandbox_image = \"localhost/x/pause:1\""));
        assert!(config.contains("snapshotter = \"native\""));
    }
}
