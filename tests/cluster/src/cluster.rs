//! A whole cluster, as tests and the demo see it.

use std::{
    env,
    ffi::OsString,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use kube::Client;

use crate::{
    addons, config, down, kubeconfig,
    kubectl::Kubectl,
    network::Network,
    node::Node,
    packages, paths, programs,
    record::{self, Record},
    up,
};

/// A Kubernetes cluster with a node, Traefik, cert-manager and DNS.
///
/// Usually one of our own ([`Cluster::up`]), which outlives the process that started it; [`Cluster::current`] is
/// somebody else's. Dropping the value stops nothing.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    ours: Option<Ours>,
}

#[derive(Clone, Debug)]
struct Ours {
    name: String,
    folder: PathBuf,
    network: Network,
    node: Node,
}

impl Cluster {
    /// The cluster of that name; starts it when it does not run. Needs root. About 20 seconds, once everything is built.
    pub fn up(name: &str) -> Result<Self> {
        up::up(name)?;
        Self::attach(name)
    }

    /// The cluster of that name, which must be running.
    pub fn attach(name: &str) -> Result<Self> {
        let folder = record::folder(name)?;
        let record = Record::read(name)?.filter(|record| record.ready && record.is_running());
        let found = record.and_then(|record| Some((record.network()?, record.init?)));
        let Some((network, init)) = found else {
            bail!("no cluster {name} is running: start it with `fraudops-testcluster up --name {name}`");
        };
        let node = Node::of_record(&folder, init);
        let ours = Ours {
            name: name.to_owned(),
            folder: folder.clone(),
            network,
            node,
        };
        Ok(Self {
            kubeconfig: folder.join("kubeconfig"),
            ours: Some(ours),
        })
    }

    /// The cluster of the current kubeconfig (`KUBECONFIG`, else `~/.kube/config`). Starts and stops nothing.
    ///
    /// Tests that use [`node_ip`](Self::node_ip), [`registry`](Self::registry) or [`ca_pem`](Self::ca_pem) there find
    /// them in the environment; each says which variable when it is missing.
    pub fn current() -> Result<Self> {
        if packages::find("kubectl").is_none() {
            programs::ensure(&["kubectl"])?;
        }
        Ok(Self {
            kubeconfig: current_kubeconfig(env::var_os("KUBECONFIG"), env::var_os("HOME"))?,
            ours: None,
        })
    }

    /// Removes the cluster of that name in whatever state it is; false when there is none.
    pub fn remove(name: &str) -> Result<bool> {
        down::down(name)
    }

    /// [`Cluster::current`] when the environment says `CLUSTER=current`, else [`Cluster::up`].
    pub fn from_env(name: &str) -> Result<Self> {
        match env::var("CLUSTER").as_deref() {
            Ok("current") => Self::current(),
            Ok("") | Err(_) => Self::up(name),
            Ok(other) => {
                bail!("CLUSTER={other}: only `current` is known; leave it out for a cluster of our own")
            }
        }
    }

    /// Whether this is one of ours, so that it may be stopped and images can be loaded.
    pub fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// The path of an administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the rights of the kubeconfig. It belongs to the tokio runtime that it is made in.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client_from(&self.kubeconfig).await
    }

    /// The address at which Traefik answers on ports 80 and 443.
    pub fn node_ip(&self) -> Result<IpAddr> {
        match &self.ours {
            Some(ours) => Ok(ours.network.node().into()),
            None => from_env(
                "TRAEFIK_ADDRESS",
                "the address at which its Traefik answers on 443",
            )?
            .parse()
            .context("TRAEFIK_ADDRESS is no IP address"),
        }
    }

    /// The address at which pods reach what this machine serves on it; none when the cluster is not ours.
    pub fn host_ip(&self) -> Option<IpAddr> {
        self.ours.as_ref().map(|ours| ours.network.host().into())
    }

    /// `host:port` of a registry without TLS and without credentials, from which the cluster pulls.
    pub fn registry(&self) -> Result<String> {
        match &self.ours {
            Some(ours) => Ok(config::registry_address(ours.network)),
            None => from_env("REGISTRY", "host:port of a registry that both sides reach"),
        }
    }

    /// Puts a docker-archive's image onto the node, where pods find it by the name in the archive.
    pub fn load_image(&self, archive: impl AsRef<Path>) -> Result<()> {
        let Some(ours) = &self.ours else {
            bail!(
                "images can't be loaded into the current cluster: push them to a registry that it pulls from"
            );
        };
        ours.node.load_image(archive.as_ref())
    }

    /// The certificate of the ClusterIssuer `fraudops-ca`, for `curl --cacert`.
    pub fn ca_pem(&self) -> Result<String> {
        match &self.ours {
            Some(ours) => paths::read(&ours.folder.join("ca.pem")),
            None => match env::var_os("CA_FILE") {
                Some(file) => paths::read(Path::new(&file)),
                None => addons::ca_pem(&self.kubectl_program()),
            },
        }
    }

    /// The path of a program: `kubectl`, `helm`. Ours were built with the cluster; for the current cluster the
    /// machine's own come first.
    pub fn bin(&self, name: &str) -> PathBuf {
        let installed = if self.is_ours() {
            None
        } else {
            packages::find(name)
        };
        installed.unwrap_or_else(|| programs::path(name))
    }

    /// Runs kubectl and returns what it printed; an error carries its message.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        self.kubectl_program().run(words)
    }

    /// Kills a program of the control plane or the node, such as `kube-apiserver`. It stays down until
    /// [`start_component`](Self::start_component).
    pub fn kill_component(&self, name: &str) -> Result<()> {
        self.node()?.kill(name)
    }

    /// Starts a program again that was killed.
    pub fn start_component(&self, name: &str) -> Result<()> {
        self.node()?.restart(name)
    }

    /// Stops and removes the cluster, when it is ours.
    pub fn down(self) -> Result<()> {
        match self.ours {
            Some(ours) => down::down(&ours.name).map(drop),
            None => Ok(()),
        }
    }

    fn kubectl_program(&self) -> Kubectl {
        Kubectl::with_program(self.bin("kubectl"), self.kubeconfig.clone())
    }

    fn node(&self) -> Result<&Node> {
        let ours = self
            .ours
            .as_ref()
            .context("the current cluster is not ours: its programs stay as they are")?;
        Ok(&ours.node)
    }
}

fn current_kubeconfig(variable: Option<OsString>, home: Option<OsString>) -> Result<PathBuf> {
    let named = variable.iter().flat_map(env::split_paths).collect::<Vec<_>>();
    let usual = home.map(|home| Path::new(&home).join(".kube/config"));
    let candidates = if named.is_empty() {
        usual.into_iter().collect()
    } else {
        named
    };
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().with_context(|| {
        format!("CLUSTER=current, but there is no kubeconfig: set KUBECONFIG (looked at {candidates:?})")
    })
}

fn from_env(name: &str, meaning: &str) -> Result<String> {
    env::var(name).with_context(|| format!("the current cluster is not ours: set {name} ({meaning})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_kubeconfig_is_the_first_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "").unwrap();
        let list = env::join_paths([Path::new("/nowhere"), &file]).unwrap();
        assert_eq!(current_kubeconfig(Some(list), None).unwrap(), file);
        let error = current_kubeconfig(Some("/nowhere".into()), Some(folder.path().into())).unwrap_err();
        assert!(error.to_string().contains("set KUBECONFIG"), "{error}");
    }

    #[test]
    fn a_cluster_that_does_not_run_cannot_be_attached_to() {
        let error = Cluster::attach("never-started").unwrap_err().to_string();
        assert!(error.contains("up --name never-started"), "{error}");
    }
}
