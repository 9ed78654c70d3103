//! Starting a cluster with a node: one step after the other, each with its time.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use crate::{
    addons, api_server, cgroups,
    components::{self, Component},
    config::{self, Snapshotter},
    credentials, down, images,
    kubectl::Kubectl,
    manifests,
    network::Network,
    node::{self, Node},
    packages, paths, programs,
    progress::step,
    record::{self, Record},
};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Images that every cluster has loaded.
const LOADED: [&str; 4] = ["pause", "coredns", "traefik", "tools"];

/// Builds programs, images and manifests; quick when that was done before.
pub(crate) fn build() -> Result<()> {
    programs::ensure(&programs::all())?;
    manifests::traefik_crds()?;
    manifests::cert_manager_crds()?;
    images::ensure()
}

/// Starts the cluster unless it runs already; what a crash left of it is removed before.
pub(crate) fn up(name: &str) -> Result<()> {
    let folder = record::folder(name)?;
    if !packages::is_root() {
        bail!(
            "a cluster with a node needs root (namespaces, mounts, cgroups). Run it with sudo, or use --api-only, \
             or CLUSTER=current for the cluster of your kubeconfig"
        );
    }
    let _lock = paths::lock(&format!("cluster-{name}"))?;
    if let Some(record) = Record::read(name)? {
        if record.ready && record.is_running() {
            anyhow::ensure!(
                record.slot.is_some(),
                "{name} is an API server without a node: stop it first, with `down`"
            );
            return Ok(());
        }
        step("remove what an earlier cluster left", || down::remove(name))?;
    }
    packages::ensure_for_node()?;
    build()?;
    let started = Instant::now();
    start(name, &folder).with_context(|| {
        format!(
            "the cluster {name} did not start; its logs are in {}. `fraudops-testcluster down --name {name}` removes it",
            folder.join("log").display()
        )
    })?;
    eprintln!(
        "ready  {:6.1} s  the cluster {name}",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Starts etcd and kube-apiserver only, to be used by hand; no root needed.
pub(crate) fn up_api_only(name: &str) -> Result<()> {
    let folder = record::folder(name)?;
    let _lock = paths::lock(&format!("cluster-{name}"))?;
    if let Some(record) = Record::read(name)? {
        if record.ready && record.is_running() {
            return Ok(());
        }
        step("remove what an earlier cluster left", || down::remove(name))?;
    }
    programs::ensure(&["etcd", "kube-apiserver", "kubectl"])?;
    let mut record = Record::new(name, None);
    record.write()?;
    step("etcd and kube-apiserver", || {
        record.supervisor = Some(api_server::start_detached(&folder)?);
        record.ready = true;
        record.write()
    })
}

fn start(name: &str, folder: &Path) -> Result<()> {
    let kubectl = Kubectl::new(folder.join("kubeconfig"));
    let (network, node) = step("namespaces and network", || make_node(name, folder))?;
    thread::scope(|scope| {
        let loading = scope.spawn(|| step("containerd, registry and images", || start_containerd(&node)));
        step("etcd and kube-apiserver", || start_api(&node, folder, network))?;
        step("kube-controller-manager and kube-scheduler", || {
            spawn(
                &node,
                &[components::controller_manager(network), components::scheduler()],
            )
        })?;
        let applying = scope.spawn(|| {
            step("CRDs, CoreDNS, Traefik (applied)", || {
                addons::apply(&kubectl, folder, network)
            })?;
            step("cert-manager and its issuers", || {
                spawn(&node, &[components::cert_manager()])?;
                paths::write(&folder.join("ca.pem"), addons::issuers(&kubectl)?)
            })
        });
        join(loading)?;
        step("kubelet and kube-proxy, node Ready", || {
            start_kubelet(&node, &kubectl, name, network)
        })?;
        join(applying)
    })?;
    step("CoreDNS serves", || {
        addons::wait(&kubectl, "kube-system", "coredns")
    })?;
    step("Traefik serves", || addons::wait(&kubectl, "traefik", "traefik"))?;
    for name in components::NAMES {
        node.check(name)?;
    }
    node::keep_inside()?; // another cluster's end may have taken the route away
    let record = Record::read(name)?.context("the cluster's record is gone")?;
    Record {
        ready: true,
        ..record
    }
    .write()
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}

fn make_node(name: &str, folder: &Path) -> Result<(Network, Node)> {
    let network = node::reserve(name)?;
    let mut record = Record::new(name, Some(network));
    record.write()?;
    node::keep_inside()?;
    cgroups::create(&network.link())?;
    paths::create_dir(&folder.join("conf/cni"))?;
    credentials::write(folder, name, network)?;
    write_configs(folder, network)?;
    let supervisor = Node::start(folder, name)?;
    record.supervisor = Some(supervisor);
    record.write()?;
    let node = Node::attach(folder, supervisor)?;
    record.init = Some(node.init());
    record.write()?;
    node.connect(network)?;
    Ok((network, node))
}

fn write_configs(folder: &Path, network: Network) -> Result<()> {
    let conf = folder.join("conf");
    let hosts = conf.join("registries").join(config::registry_address(network));
    paths::create_dir(&hosts)?;
    paths::write(&hosts.join("hosts.toml"), config::registry_hosts(network))?;
    let containerd = config::containerd(&images::reference("pause"), snapshotter(folder)?);
    paths::write(&conf.join("containerd.toml"), containerd)?;
    paths::write(&conf.join("registry.yaml"), config::registry(network)?)?;
    paths::write(&conf.join("cni/10-fraudops.conflist"), config::cni(network)?)?;
    paths::write(&conf.join("kubelet.yaml"), config::kubelet(network)?)?;
    paths::write(
        &conf.join("resolv.conf"),
        format!("nameserver {}\n", network.dns_service()),
    )
}

/// An overlay can't have its upper layer on another overlay, which is what a container's root usually is.
fn snapshotter(folder: &Path) -> Result<Snapshotter> {
    let below = statfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let is_overlay = below.filesystem_type() == OVERLAYFS_SUPER_MAGIC;
    Ok(if is_overlay {
        Snapshotter::Native
    } else {
        Snapshotter::Overlay
    })
}

fn spawn(node: &Node, components: &[Component]) -> Result<()> {
    components
        .iter()
        .try_for_each(|component| node.spawn(component.name, &component.command))
}

fn start_containerd(node: &Node) -> Result<()> {
    spawn(node, &[components::containerd(), components::registry()])?;
    // the kubelet gives up at once when it finds no socket
    wait_until(node, "containerd", || {
        Ok(node
            .run(&["ctr", "-a", "/run/containerd.sock", "version"])
            .is_ok())
    })?;
    LOADED
        .iter()
        .try_for_each(|name| node.load_image(&images::archive(name)))
}

fn start_api(node: &Node, folder: &Path, network: Network) -> Result<()> {
    spawn(node, &[components::etcd(), components::api_server(network)])?;
    let kubeconfig = folder.join("kubeconfig");
    wait_until(node, "kube-apiserver", || api_server::is_ready(&kubeconfig))
}

fn start_kubelet(node: &Node, kubectl: &Kubectl, name: &str, network: Network) -> Result<()> {
    spawn(
        node,
        &[
            components::kubelet(name, network),
            components::proxy(name, network),
        ],
    )?;
    let object = format!("node/{name}");
    let words = ["wait", "--for=condition=Ready", &object, "--timeout=1s"];
    wait_until(node, "kubelet", || Ok(kubectl.run(&words).is_ok()))
}

fn wait_until(node: &Node, component: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while !holds()? {
        node.check(component)?;
        if Instant::now() > deadline {
            bail!(
                "{component} is not ready after {READY_WITHIN:?}:\n{}",
                node.log_tail(component)
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
