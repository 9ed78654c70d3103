//! A real local Kubernetes for tests and for the demo, on two rungs.
//!
//! - [`ApiServer`]: etcd and kube-apiserver on free loopback ports. No root, no namespaces, ready in about three
//!   seconds, gone when dropped. For everything that is decided at the API: CRD rules, server-side apply, watches,
//!   leases. Nothing runs behind it: no controllers, so no garbage collection, no pods, and a deleted namespace
//!   stays `Terminating`.
//! - [`Cluster`]: a whole node (kubelet, containerd, CoreDNS, cert-manager, Traefik, a registry) in Linux namespaces
//!   of its own. Needs root. Lives until somebody calls `down`.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let server = fraudops_testcluster::ApiServer::start()?;
//! server.install_crds(&["crds/fraudmodels.yaml"]).await?;
//! let client = server.client().await?;
//! # Ok(()) }
//! ```
//!
//! All state lies below `target/testcluster`: programs in `bin`, CRDs of Traefik and cert-manager in `manifests`,
//! images in `images`, each cluster in a folder of its name.

mod addons;
mod api_server;
mod apply;
mod cgroups;
pub mod cli;
mod cluster;
mod components;
mod config;
mod credentials;
mod down;
mod go;
mod images;
mod keeper;
mod kubeconfig;
mod kubectl;
mod manifests;
mod network;
mod node;
mod packages;
mod paths;
mod pki;
mod process;
mod programs;
mod progress;
mod python;
mod record;
mod shell;
mod up;

pub use crate::{
    api_server::ApiServer,
    apply::install_crds,
    cluster::Cluster,
    kubeconfig::client_from,
    manifests::{cert_manager_crds, traefik_crds},
};
