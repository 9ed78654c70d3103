//! Command line and environment: every setting of the process, checked before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::neighbours::{Neighbours, Pods};

pub use parse::Names;

mod parse;

/// Runs fraud models on Kubernetes.
///
/// Watches FraudModel objects and keeps, for each of them, a Deployment of scorer pods per model version, a hostname
/// with a certificate, and the weights of the traffic. Every flag can also be given as an environment variable; a flag
/// wins over its variable.
#[derive(Debug, Parser)]
#[command(name = "fraudops-operator", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// What the program does.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the operator (what happens without a subcommand)
    Run(Box<Settings>),
    /// Print the CustomResourceDefinition as YAML, for `kubectl apply -f -`
    Crd,
}

impl Cli {
    /// The command that was asked for; `run` when none was named.
    pub fn command(self) -> Command {
        self.command
            .unwrap_or_else(|| Command::Run(Box::new(self.settings)))
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line, for log collectors
    #[default]
    Json,
    /// One readable line, for people
    Text,
}

/// Settings of `run`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Kubeconfig file of the cluster to work on. Without it: the pod's own ServiceAccount, or else $KUBECONFIG and ~/.kube/config
    #[arg(long, env = "FRAUDOPS_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Namespace of the operator itself: its Lease lives there
    #[arg(long, env = "FRAUDOPS_NAMESPACE", value_name = "NAME", default_value = "fraudops-system", value_parser = parse::namespace)]
    pub namespace: String,

    /// Namespaces whose FraudModels are managed, separated by commas. Empty means all, which needs a ClusterRole
    #[arg(long, env = "FRAUDOPS_WATCH_NAMESPACES", value_name = "NAMES", default_value = "", hide_default_value = true, value_parser = parse::namespaces)]
    pub watch_namespaces: Names,

    /// Image of the scorer pods, for models that do not name one in spec.scorer.image
    #[arg(long, env = "FRAUDOPS_SCORER_IMAGE", value_name = "IMAGE", default_value = concat!("ghcr.io/fraudops/scorer:", env!("CARGO_PKG_VERSION")), value_parser = parse::image)]
    pub scorer_image: String,

    /// OCI registries, as HOST:PORT and separated by commas, that scorer pods may read models from over plain HTTP. For test registries only
    #[arg(long, env = "FRAUDOPS_INSECURE_REGISTRIES", value_name = "HOSTS", default_value = "", hide_default_value = true, value_parser = parse::registries)]
    pub insecure_registries: Names,

    /// Traefik's pods, which the NetworkPolicies let in: LABEL=VALUE pairs separated by commas, NAMESPACE: before them or
    /// alone, or any (for a Traefik in the host's network, which no label chooses)
    #[arg(long, env = "FRAUDOPS_TRAEFIK_SELECTOR", value_name = "PODS", default_value = "app.kubernetes.io/name=traefik", value_parser = parse::pods)]
    pub traefik_selector: Pods,

    /// The pods that read metrics, in the same form
    #[arg(long, env = "FRAUDOPS_MONITORING_SELECTOR", value_name = "PODS", default_value = "app.kubernetes.io/name=prometheus", value_parser = parse::pods)]
    pub monitoring_selector: Pods,

    /// Look of the log lines
    #[arg(
        long,
        env = "FRAUDOPS_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "json"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or target=level pairs separated by commas, such as info,kube_client=debug
    #[arg(long, env = "FRAUDOPS_LOG_FILTER", value_name = "FILTER", default_value = "info", value_parser = parse::log_filter)]
    pub log_filter: String,

    /// Address that answers GET /livez, /readyz and /metrics
    #[arg(
        long,
        env = "FRAUDOPS_METRICS_ADDR",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub metrics_addr: SocketAddr,

    /// Work only while holding the Lease, so that several replicas can run. Switch off for one process on a desk, never in a Deployment
    #[arg(long, env = "FRAUDOPS_LEADER_ELECT", value_name = "BOOL", default_value = "true", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub leader_elect: bool,

    /// How long a crashed leader keeps the others waiting (5s to 5m). A leader that cannot renew stops its work after two thirds of it
    #[arg(long, env = "FRAUDOPS_LEASE_DURATION", value_name = "TIME", default_value = "15s", value_parser = parse::lease_duration)]
    pub lease_duration: Duration,

    /// How often every FraudModel is looked at again without a change (10s to 24h)
    #[arg(long, env = "FRAUDOPS_RESYNC", value_name = "TIME", default_value = "5m", value_parser = parse::resync)]
    pub resync: Duration,

    /// Wait between the last weight of a version and the removal of its pods (0s to 10m), so that requests under way can finish
    #[arg(long, env = "FRAUDOPS_REMOVAL_DELAY", value_name = "TIME", default_value = "5s", value_parser = parse::removal_delay)]
    pub removal_delay: Duration,

    /// After the start of this process, or an outage of the API server: how long to keep a version that took no traffic
    /// when the next one took none either, because then nothing shows that the proxy has seen the change (0s to 10m)
    #[arg(long, env = "FRAUDOPS_SETTLING_DELAY", value_name = "TIME", default_value = "90s", value_parser = parse::removal_delay)]
    pub settling_delay: Duration,

    /// Name of this process in the Lease; a random suffix is added. Default: the name of the host, which in a pod is the pod's
    #[arg(long, env = "FRAUDOPS_IDENTITY", value_name = "NAME", value_parser = parse::identity)]
    pub identity: Option<String>,

    /// Requests per second to the API server, on average
    #[arg(long, env = "FRAUDOPS_API_QPS", value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub api_qps: u32,

    /// Requests to the API server that may be sent at once, before --api-qps applies
    #[arg(long, env = "FRAUDOPS_API_BURST", value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub api_burst: u32,
}

impl Settings {
    /// Whose pods may reach those of the models.
    pub fn neighbours(&self) -> Neighbours {
        Neighbours {
            traefik: self.traefik_selector.clone(),
            monitoring: self.monitoring_selector.clone(),
            operator: self.namespace.clone(),
        }
    }

    /// A name for this process that no other process has, also not an earlier one in the same pod.
    pub fn unique_identity(&self) -> String {
        let host = || std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        let name = self
            .identity
            .clone()
            .or_else(host)
            .unwrap_or_else(|| String::from("fraudops-operator"));
        format!("{name}_{:08x}", rand::random::<u32>())
    }
}

#[cfg(test)]
mod tests;
