//! The command lines of the cluster's programs. All paths are the node's: see [`crate::node::INSIDE`].

use crate::{network::Network, programs};

/// A program of the control plane or of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
}

/// Names of all components that are processes of the node, in the order of their start.
pub(crate) const NAMES: [&str; 9] = [
    "containerd",
    "registry",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "cert-manager",
];

/// The store of the API server; `--unsafe-no-fsync` because nobody will miss it.
pub(crate) fn etcd() -> Component {
    built(
        "etcd",
        &[
            ("data-dir", "data/etcd"),
            ("listen-client-urls", "http://127.0.0.1:2379"),
            ("advertise-client-urls", "http://127.0.0.1:2379"),
            ("listen-peer-urls", "http://127.0.0.1:2380"),
            ("unsafe-no-fsync", "true"),
            ("log-level", "warn"),
        ],
    )
}

/// The API server, on all addresses of the node.
pub(crate) fn api_server(network: Network) -> Component {
    let node = network.node().to_string();
    built(
        "kube-apiserver",
        &[
            ("etcd-servers", "http://127.0.0.1:2379"),
            ("bind-address", "0.0.0.0"),
            ("advertise-address", &node),
            ("secure-port", "6443"),
            ("tls-cert-file", "pki/server.crt"),
            ("tls-private-key-file", "pki/server.key"),
            ("client-ca-file", "pki/ca.crt"),
            ("kubelet-client-certificate", "pki/kubelet-client.crt"),
            ("kubelet-client-key", "pki/kubelet-client.key"),
            ("kubelet-preferred-address-types", "InternalIP"),
            ("service-cluster-ip-range", &network.services()),
            ("service-account-issuer", "https://kubernetes.default.svc"),
            ("service-account-key-file", "pki/sa.pub"),
            ("service-account-signing-key-file", "pki/sa.key"),
            ("token-auth-file", "pki/tokens.csv"),
            ("authorization-mode", "Node,RBAC"),
            ("enable-admission-plugins", "NodeRestriction"),
            ("allow-privileged", "true"),
            ("profiling", "false"),
        ],
    )
}

/// The controllers of Kubernetes.
pub(crate) fn controller_manager(network: Network) -> Component {
    built(
        "kube-controller-manager",
        &[
            ("kubeconfig", "conf/kube-controller-manager.kubeconfig"),
            ("root-ca-file", "pki/ca.crt"),
            ("service-account-private-key-file", "pki/sa.key"),
            ("use-service-account-credentials", "true"),
            ("cluster-cidr", &network.pods()),
            ("leader-elect", "false"),
            ("bind-address", "127.0.0.1"),
            ("profiling", "false"),
            // After an outage of the API server its watch is the last to come back, up to a minute later. With the default
            // of 50 s it then calls the only node lost, and Kubernetes itself takes every pod out of its Service.
            ("node-monitor-grace-period", "5m"),
        ],
    )
}

/// The scheduler.
pub(crate) fn scheduler() -> Component {
    built(
        "kube-scheduler",
        &[
            ("kubeconfig", "conf/kube-scheduler.kubeconfig"),
            ("leader-elect", "false"),
            ("bind-address", "127.0.0.1"),
            ("profiling", "false"),
        ],
    )
}

/// The container runtime.
pub(crate) fn containerd() -> Component {
    words("containerd", &["containerd", "--config", "conf/containerd.toml"])
}

/// The kubelet.
pub(crate) fn kubelet(name: &str, network: Network) -> Component {
    built(
        "kubelet",
        &[
            ("kubeconfig", "conf/kubelet.kubeconfig"),
            ("config", "conf/kubelet.yaml"),
            ("root-dir", "/run/node/data/kubelet"),
            ("cert-dir", "/run/node/data/kubelet-pki"),
            ("hostname-override", name),
            ("node-ip", &network.node().to_string()),
        ],
    )
}

/// Services, as nftables rules of the node's own network.
pub(crate) fn proxy(name: &str, network: Network) -> Component {
    built(
        "kube-proxy",
        &[
            ("kubeconfig", "conf/kube-proxy.kubeconfig"),
            ("hostname-override", name),
            ("proxy-mode", "nftables"),
            ("cluster-cidr", &network.pods()),
            ("bind-address", "127.0.0.1"),
            ("conntrack-max-per-core", "0"), // a setting of the whole machine: leave it
        ],
    )
}

/// cert-manager's controllers.
pub(crate) fn cert_manager() -> Component {
    built("cert-manager", &[("kubeconfig", "conf/cert-manager.kubeconfig")])
}

/// Debian's registry, plain HTTP on the node's address.
pub(crate) fn registry() -> Component {
    words("registry", &["docker-registry", "serve", "conf/registry.yaml"])
}

fn built(name: &'static str, flags: &[(&str, &str)]) -> Component {
    let mut command = vec![programs::path(name).to_string_lossy().into_owned()];
    command.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
    Component { name, command }
}

fn words(name: &'static str, words: &[&str]) -> Component {
    Component {
        name,
        command: words.iter().map(|&word| word.to_owned()).collect(),
    }
}
