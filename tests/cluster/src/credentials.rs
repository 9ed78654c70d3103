//! Keys, tokens and kubeconfigs of a cluster with a node.

use std::path::Path;

use anyhow::Result;

use crate::{kubeconfig, network::Network, paths, pki};

/// Who may talk to the API server: file name of the kubeconfig, user, group.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("cert-manager", "cert-manager", "system:masters"),
];

/// Writes all of them: `pki/` for the API server, `conf/*.kubeconfig` for the programs, `kubeconfig` for people.
pub(crate) fn write(folder: &Path, name: &str, network: Network) -> Result<()> {
    let pki = pki::generate(&server_names(network))?;
    let files = folder.join("pki");
    paths::create_dir(&files)?;
    paths::write(&files.join("ca.crt"), &pki.ca.cert)?;
    paths::write(&files.join("server.crt"), &pki.server.cert)?;
    paths::write(&files.join("server.key"), &pki.server.key)?;
    paths::write(&files.join("kubelet-client.crt"), &pki.kubelet_client.cert)?;
    paths::write(&files.join("kubelet-client.key"), &pki.kubelet_client.key)?;
    paths::write(&files.join("sa.key"), &pki.service_account_key)?;
    paths::write(&files.join("sa.pub"), &pki.service_account_public)?;

    let node = format!("system:node:{name}");
    let inside = CLIENTS
        .into_iter()
        .chain([("kubelet", node.as_str(), "system:nodes")]);
    let mut tokens = String::new();
    for (file, user, group) in inside {
        let token = pki::random_token()?;
        tokens += &token_line(&token, user, group);
        let text = kubeconfig::render(name, "https://127.0.0.1:6443", &pki.ca.cert, &token)?;
        paths::write(&folder.join(format!("conf/{file}.kubeconfig")), text)?;
    }
    let admin = pki::random_token()?;
    tokens += &token_line(&admin, "admin", "system:masters");
    paths::write(&files.join("tokens.csv"), tokens)?;
    let outside = format!("https://{}:6443", network.node());
    paths::write(
        &folder.join("kubeconfig"),
        kubeconfig::render(name, &outside, &pki.ca.cert, &admin)?,
    )
}

fn token_line(token: &str, user: &str, group: &str) -> String {
    format!("{token},{user},{user},\"{group}\"\n")
}

fn server_names(network: Network) -> Vec<String> {
    let service = "kubernetes.default.svc";
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        service,
        "kubernetes.default.svc.cluster.local",
    ];
    let addresses = [
        "127.0.0.1".to_owned(),
        network.node().to_string(),
        network.api_service().to_string(),
    ];
    names.map(str::to_owned).into_iter().chain(addresses).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_known_by_loopback_node_and_service() {
        let names = server_names(Network::new(5).unwrap());
        for name in [
            "127.0.0.1",
            "198.18.254.22",
            "198.19.5.1",
            "kubernetes.default.svc",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn every_client_has_a_token_and_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        paths::create_dir(&folder.path().join("conf")).unwrap();
        write(folder.path(), "demo", Network::new(5).unwrap()).unwrap();
        let tokens = paths::read(&folder.path().join("pki/tokens.csv")).unwrap();
        assert_eq!(tokens.lines().count(), 6);
        assert!(tokens.contains(",system:node:demo,system:node:demo,\"system:nodes\""));
        for file in [
            "conf/kubelet.kubeconfig",
            "conf/kube-proxy.kubeconfig",
            "kubeconfig",
        ] {
            assert!(folder.path().join(file).exists(), "{file}");
        }
    }
}
