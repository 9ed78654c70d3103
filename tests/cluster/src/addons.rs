//! What runs in the cluster from its first second: CoreDNS, cert-manager's issuers, Traefik.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{images, kubectl::Kubectl, manifests, network::Network, paths};

const WITHIN: Duration = Duration::from_secs(90);

/// Applies everything that needs no controller to be understood.
pub(crate) fn apply(kubectl: &Kubectl, folder: &Path, network: Network) -> Result<()> {
    let mut files = manifests::traefik_crds()?;
    files.extend(manifests::cert_manager_crds()?);
    files.push(manifests::traefik_rbac()?);
    for name in ["coredns.yaml", "cert-manager.yaml", "traefik.yaml"] {
        files.push(rendered(name, folder, network)?);
    }
    kubectl.apply(&files)
}

/// Applies the issuers and waits until they can issue; returns the certificate that clients have to trust.
pub(crate) fn issuers(kubectl: &Kubectl) -> Result<String> {
    let file = paths::sources()
        .join("manifests/issuers.yaml")
        .to_string_lossy()
        .into_owned();
    kubectl.retry(&["apply", "--server-side", "--filename", &file], WITHIN)?; // its CRDs are young
    let ready = "--for=condition=Ready";
    kubectl.run(&[
        "wait",
        ready,
        "clusterissuer/selfsigned",
        "clusterissuer/fraudops-ca",
        "--timeout=90s",
    ])?;
    ca_pem(kubectl)
}

/// The certificate of the issuer `fraudops-ca`.
pub(crate) fn ca_pem(kubectl: &Kubectl) -> Result<String> {
    let template = r#"go-template={{index .data "ca.crt" | base64decode}}"#;
    kubectl
        .run(&[
            "get",
            "secret",
            "fraudops-ca",
            "--namespace",
            "cert-manager",
            "--output",
            template,
        ])
        .context("the cluster has no ClusterIssuer fraudops-ca whose Secret is cert-manager/fraudops-ca")
}

/// Waits until the cluster's own pods serve.
pub(crate) fn wait(kubectl: &Kubectl, namespace: &str, deployment: &str) -> Result<()> {
    let name = format!("deployment/{deployment}");
    let words = [
        "wait",
        "--for=condition=Available",
        &name,
        "--namespace",
        namespace,
        "--timeout=90s",
    ];
    kubectl.run(&words).map(drop)
}

fn rendered(name: &str, folder: &Path, network: Network) -> Result<PathBuf> {
    let template = paths::read(&paths::sources().join("manifests").join(name))?;
    let file = folder.join("conf").join(name);
    paths::write(&file, render(&template, network))?;
    Ok(file)
}

fn render(template: &str, network: Network) -> String {
    template
        .replace("${COREDNS_IMAGE}", &images::reference("coredns"))
        .replace("${TRAEFIK_IMAGE}", &images::reference("traefik"))
        .replace("${DNS_ADDRESS}", &network.dns_service().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_survives_in_any_manifest() {
        for name in [
            "coredns.yaml",
            "cert-manager.yaml",
            "traefik.yaml",
            "issuers.yaml",
        ] {
            let template = paths::read(&paths::sources().join("manifests").join(name)).unwrap();
            let text = render(&template, Network::new(2).unwrap());
            assert!(!text.contains("${"), "{name}");
            assert!(
                !serde_yaml::from_multiple::<serde_json::Value>(&text)
                    .unwrap()
                    .is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_dns_service_has_the_address_that_the_kubelet_hands_to_pods() {
        let network = Network::new(2).unwrap();
        let template = paths::read(&paths::sources().join("manifests/coredns.yaml")).unwrap();
        assert!(render(&template, network).contains("clusterIP: 198.19.2.10\n"));
    }
}
