//! Command line and environment.

mod effective;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use effective::Effective;

use crate::{
    access,
    decision::Fallback,
    decision_log,
    engine::Choice,
    http::{BlockStatus, ClientName},
    model::trial::TrialArgs,
    receipt::VersionHash,
};

/// Serves an ONNX fraud model over HTTP.
#[derive(Debug, Parser)]
#[command(name = "fraudops-scorer", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Format of the logs on stderr.
    #[arg(long, global = true, env = "FRAUDOPS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What to log, such as `info` or `fraudops_scorer=debug`.
    #[arg(long, global = true, env = "FRAUDOPS_LOG_FILTER", default_value = "info")]
    pub log_filter: String,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch a model file, check its digest, and put it in place.
    Fetch(FetchArgs),
    /// Verify a model and answer predictions.
    Serve(Box<ServeArgs>),
    /// Say what a model file is, or why it cannot be served.
    Check(CheckArgs),
    /// Make a token for a client, and the line for the Secret.
    #[command(after_help = access::EXAMPLE)]
    Token(access::TokenArgs),
    /// Try a model out in a process of its own; `serve` runs this.
    #[command(hide = true)]
    Trial(TrialArgs),
}

/// Format of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object for each line.
    Json,
    /// For people.
    Text,
}

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The model file.
    #[arg(long, env = "FRAUDOPS_MODEL")]
    pub model: PathBuf,
    /// How often to look whether the file has changed; a changed one is verified and takes over without a restart. 0s: only
    /// on SIGHUP. Without this flag the file is read once. Versions are those of the files, so none can be given.
    #[arg(
        long,
        env = "FRAUDOPS_RELOAD",
        value_parser = duration,
        conflicts_with_all = ["model_version", "version_hash"]
    )]
    pub reload: Option<Duration>,
    /// Version that answers and metrics carry; the model's own when absent.
    #[arg(long, env = "FRAUDOPS_MODEL_VERSION")]
    pub model_version: Option<String>,
    /// Scores from here on are for review; with --block. The model's own thresholds apply when both are absent.
    #[arg(long, env = "FRAUDOPS_REVIEW", requires = "block")]
    pub review: Option<f64>,
    /// Scores from here on are blocked; with --review.
    #[arg(long, env = "FRAUDOPS_BLOCK", requires = "review")]
    pub block: Option<f64>,
    /// Decision when the model fails or is late: approve, review, block, or rulesOnly.
    #[arg(long, env = "FRAUDOPS_ON_MODEL_ERROR", default_value = "review")]
    pub on_model_error: Fallback,
    /// Longest time from a request's body to the model's score.
    #[arg(long, env = "FRAUDOPS_DEADLINE", default_value = "50ms", value_parser = duration)]
    pub deadline: Duration,
    /// HTTP status of an answer that blocks: 200 or 403.
    #[arg(long, env = "FRAUDOPS_BLOCK_STATUS", default_value = "200", value_parser = block_status)]
    pub block_status: BlockStatus,
    /// Most transactions in one request to /predict/batch.
    #[arg(long, env = "FRAUDOPS_MAX_BATCH", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_batch: u16,
    /// Address of /predict, /feedback, the other protocols and the probes.
    #[arg(long, env = "FRAUDOPS_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Address of /metrics, the probes and /model.
    #[arg(long, env = "FRAUDOPS_ADMIN_LISTEN", default_value = "0.0.0.0:8010")]
    pub admin_listen: SocketAddr,
    /// Address of the Open Inference Protocol over gRPC; off: no gRPC.
    #[arg(long, env = "FRAUDOPS_GRPC_LISTEN", default_value = "0.0.0.0:9000", value_parser = grpc)]
    pub grpc_listen: GrpcListen,
    /// Folder with tls.crt and tls.key (and ca.crt): the serving and gRPC ports speak TLS; changed files are read again.
    #[arg(long, env = "FRAUDOPS_TLS")]
    pub tls: Option<PathBuf>,
    /// Name (DNS or URI) that a client's certificate must carry; may be repeated. `*`: any certificate of ca.crt.
    #[arg(
        long,
        env = "FRAUDOPS_TLS_CLIENT_SAN",
        value_delimiter = ',',
        requires = "tls"
    )]
    pub tls_client_san: Vec<ClientName>,
    /// Who may call, and how often.
    #[command(flatten)]
    pub access: access::Options,
    /// Serving threads; by default the cores that the process may use, at most 4.
    #[arg(long, env = "FRAUDOPS_WORKERS", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    /// After SIGTERM, how long to go on accepting while the endpoints learn of it.
    #[arg(long, env = "FRAUDOPS_DRAIN_DELAY", default_value = "5s", value_parser = duration)]
    pub drain_delay: Duration,
    /// After SIGTERM, when to leave at the latest.
    #[arg(long, env = "FRAUDOPS_SHUTDOWN_TIMEOUT", default_value = "25s", value_parser = duration)]
    pub shutdown_timeout: Duration,
    /// Connections of the serving port.
    #[arg(long, env = "FRAUDOPS_MAX_CONNECTIONS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_connections: u32,
    /// Time for the head of a request.
    #[arg(long, env = "FRAUDOPS_HEADER_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Time for the body of a request.
    #[arg(long, env = "FRAUDOPS_BODY_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Time that a connection may idle between requests; longer than the proxy in front keeps it (Traefik: 90s).
    #[arg(long, env = "FRAUDOPS_IDLE_TIMEOUT", default_value = "2m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "ORT_DYLIB_PATH")]
    pub onnxruntime: Option<PathBuf>,
    /// Engine: the tree engine where it gives ONNX Runtime's scores (auto), or always one of them.
    #[arg(long, env = "FRAUDOPS_ENGINE", value_enum, default_value_t = Choice::Auto)]
    pub engine: Choice,
    /// Transactions that may wait for the model on one thread; more are answered 503.
    #[arg(long, env = "FRAUDOPS_QUEUE", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub queue: u32,
    /// Name of the FraudModel: receipts of another one are refused.
    #[arg(long, env = "FRAUDOPS_MODEL_NAME", default_value = "")]
    pub model_name: String,
    /// Namespace of the FraudModel.
    #[arg(long, env = "FRAUDOPS_MODEL_NAMESPACE", default_value = "")]
    pub model_namespace: String,
    /// Eight hex digits that name the version in Kubernetes; by default those of the file's SHA-256.
    #[arg(long, env = "FRAUDOPS_VERSION_HASH")]
    pub version_hash: Option<VersionHash>,
    /// Rules and lists, as JSON; the operator fills it in.
    #[arg(long, env = "FRAUDOPS_POLICY", default_value = "{}", hide_env_values = true)]
    pub policy: String,
    /// Folder with one folder for each list that comes from a ConfigMap.
    #[arg(long, env = "FRAUDOPS_LISTS", default_value = "/etc/fraudops/lists")]
    pub lists: PathBuf,
    /// Folder with the keys of receipts; without it answers carry none and /feedback takes none.
    #[arg(long, env = "FRAUDOPS_RECEIPT_KEYS")]
    pub receipt_keys: Option<PathBuf>,
    /// How long the same TRANSACTION_ID gets the same answer; 0s: every request is scored.
    #[arg(long, env = "FRAUDOPS_IDEMPOTENCY_TTL", default_value = "24h", value_parser = duration_of_a_week)]
    pub idempotency_ttl: Duration,
    /// Folder with `url` (and `ca.crt`) of a Redis that shares answers among pods.
    #[arg(long, env = "FRAUDOPS_REDIS")]
    pub redis: Option<PathBuf>,
    /// How long a request waits for Redis.
    #[arg(long, env = "FRAUDOPS_REDIS_TIMEOUT", default_value = "20ms", value_parser = duration)]
    pub redis_timeout: Duration,
    /// Which arm of a rollout the model is: stable or candidate. The companion is the other one.
    #[arg(long, env = "FRAUDOPS_ROLE", value_enum, default_value_t = Role::Stable)]
    pub role: Role,
    /// A second model file: it scores the same payments after the answers are out, for the tables of pairs.
    #[arg(long, env = "FRAUDOPS_COMPANION")]
    pub companion: Option<PathBuf>,
    /// File that switches the companion while the process runs: {"mode": "on", "sample": 0.25} or {"mode": "off"}.
    /// Without it the companion scores every payment.
    #[arg(long, env = "FRAUDOPS_COMPANION_CONTROL", requires = "companion")]
    pub companion_control: Option<PathBuf>,
    /// The decision log.
    #[command(flatten)]
    pub decision_log: decision_log::Options,
    /// Print every flag with its value and where that comes from, and end.
    #[arg(long, env = "FRAUDOPS_PRINT_CONFIG")]
    pub print_config: bool,
    /// All of the above, as it came together.
    #[arg(skip)]
    pub effective: Effective,
}

/// Where gRPC is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcListen {
    /// Nowhere.
    Off,
    /// On this address.
    On(SocketAddr),
}

/// An arm of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The version that is promoted.
    Stable,
    /// The version that is on trial.
    Candidate,
}

/// Arguments of `check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The model file.
    pub file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "ORT_DYLIB_PATH")]
    pub onnxruntime: Option<PathBuf>,
}

/// Arguments of `fetch`.
#[derive(Args, Clone, Debug)]
pub struct FetchArgs {
    /// Where the model is: oci://host/repo@sha256:…, oci://host/repo:tag, https://… or file:///path.
    #[arg(long, env = "FRAUDOPS_URI")]
    pub uri: String,
    /// SHA-256 of the .onnx file; may be left out only when the uri pins the digest of an OCI manifest.
    #[arg(long, env = "FRAUDOPS_SHA256")]
    pub sha256: Option<String>,
    /// Where the file goes.
    #[arg(long, env = "FRAUDOPS_TO")]
    pub to: PathBuf,
    /// Directory with a docker config.json; may be repeated.
    #[arg(
        long,
        env = "FRAUDOPS_DOCKER_CONFIG",
        value_delimiter = ',',
        default_value = "/etc/fraudops/registry"
    )]
    pub docker_config: Vec<PathBuf>,
    /// Registry or store (HOST:PORT) that speaks plain HTTP; may be repeated.
    #[arg(long, env = "FRAUDOPS_INSECURE_REGISTRY", value_delimiter = ',')]
    pub insecure_registry: Vec<String>,
    /// Largest file that is taken.
    #[arg(long, env = "FRAUDOPS_MAX_BYTES", default_value_t = crate::model::MAX_FILE_BYTES)]
    pub max_bytes: u64,
    /// Time for everything, retries included.
    #[arg(long, env = "FRAUDOPS_TIMEOUT", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// How often to try again after an error that may pass.
    #[arg(long, env = "FRAUDOPS_RETRIES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub retries: u32,
    /// File that gets one line when the fetch fails; Kubernetes shows it as the container's message.
    #[arg(
        long,
        env = "FRAUDOPS_TERMINATION_LOG",
        default_value = "/dev/termination-log"
    )]
    pub termination_log: PathBuf,
    /// Stores, signatures and cache.
    #[command(flatten)]
    pub sources: crate::model::artifact::SourceArgs,
}

fn grpc(text: &str) -> Result<GrpcListen, String> {
    if text == "off" {
        return Ok(GrpcListen::Off);
    }
    let address = text.parse().map(GrpcListen::On);
    address.map_err(|_| "give an address such as 0.0.0.0:9000, or off".to_owned())
}

fn block_status(text: &str) -> Result<BlockStatus, String> {
    let status: u16 = text.parse().map_err(|_| "give 200 or 403".to_owned())?;
    BlockStatus::try_from(status)
}

/// `5s`, `500ms`, `5m`: at least zero, at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    duration_up_to(text, 24)
}

/// The same, at most a week.
fn duration_of_a_week(text: &str) -> Result<Duration, String> {
    duration_up_to(text, 168)
}

fn duration_up_to(text: &str, hours: u64) -> Result<Duration, String> {
    let example = "give a duration such as 5s, 500ms or 5m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| example.to_owned())?;
    let parsed =
        Duration::try_from(parsed).map_err(|_| format!("a duration cannot be negative; {example}"))?;
    if parsed > Duration::from_secs(hours * 3600) {
        Err(format!("at most {hours}h"))
    } else {
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(arguments: &[&str]) -> Result<ServeArgs, clap::Error> {
        let all = ["fraudops-scorer", "serve", "--model", "m.onnx"]
            .iter()
            .chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Serve(arguments) => Ok(*arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn thresholds_come_in_pairs() {
        assert!(serve(&["--review", "0.1"]).is_err());
        assert!(serve(&["--review", "0.1", "--block", "0.5"]).is_ok());
        assert!(serve(&[]).is_ok());
    }

    #[test]
    fn durations_and_decisions_are_checked() {
        assert_eq!(
            serve(&["--drain-delay", "500ms"]).unwrap().drain_delay,
            Duration::from_millis(500)
        );
        assert!(serve(&["--drain-delay", "-5s"]).is_err());
        assert!(serve(&["--drain-delay", "soon"]).is_err());
        assert!(serve(&["--on-model-error", "shrug"]).is_err());
        assert!(serve(&["--workers", "0"]).is_err());
    }

    #[test]
    fn a_version_that_is_given_cannot_follow_a_file() {
        assert_eq!(serve(&[]).unwrap().reload, None);
        assert_eq!(
            serve(&["--reload", "10s"]).unwrap().reload,
            Some(Duration::from_secs(10))
        );
        assert!(serve(&["--reload", "10s", "--model-version", "7"]).is_err());
        assert!(serve(&["--reload", "10s", "--version-hash", "0123abcd"]).is_err());
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        for command in Cli::command()
            .get_subcommands()
            .filter(|c| !["check", "trial"].contains(&c.get_name()))
        {
            for argument in command
                .get_arguments()
                .filter(|a| !matches!(a.get_id().as_str(), "help" | "version"))
            {
                assert!(argument.get_env().is_some(), "{argument}");
            }
        }
    }
}
