//! How a stream is sent.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum};
use fraudops_simulator::{
    labels::{Chargeback, LabelDelay},
    payload::{Break, Payload},
    scenario::File,
    settings::InvalidSetting,
    stream::{Endpoint, EndpointError, Pace, Protocol, Scorer, Sink},
};

use super::World;

/// Send simulated transactions to a scorer, live.
///
/// The 15 inputs of the model are computed as a feature store would, transaction by transaction, and equal those of
/// `generate --features`. Labels follow to /feedback, with the receipts of the answers, when in the simulation they
/// become known.
///
/// Open loop: a transaction is due at its time whether or not earlier ones were answered, and its latency counts from
/// there. Ctrl-C ends with the summary. On a terminal progress is a bar, elsewhere lines of JSON on the standard
/// error.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  200 transactions a second, with labels:
    fraudops-simulator stream --to http://localhost:8080 --rate 200
  A week in the rhythm of its days, ten minutes for each day, over TLS:
    fraudops-simulator stream --to https://fraud.example.com --cacert ca.crt --speedup 144 --until-day 44
  What would be sent, with the truth:
    fraudops-simulator stream --to - --rate max --truth | head
  The client's store of terminal risk is down:
    fraudops-simulator stream --to http://localhost:8080 --break risk_zero")]
pub struct Stream {
    #[command(flatten)]
    pub world: World,
    /// http://HOST[:PORT], https://HOST[:PORT], or - for lines of JSON on the standard output
    #[arg(long, value_name = "URL")]
    to: String,
    /// How the scorer is asked
    #[arg(long, value_enum, default_value_t = Api::Predict)]
    protocol: Api,
    /// Name of the model, for --protocol v2
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// PEM file of the authority that must have signed the server's certificate
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// File with a token of scopes predict and feedback
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Transactions a second, or max: each as soon as a connection is free
    #[arg(long, value_name = "N", default_value = "100", value_parser = Pace::rate)]
    rate: Pace,
    /// Send in the simulation's own rhythm instead, so many times as fast
    #[arg(long, value_name = "K", value_parser = Pace::speedup, conflicts_with = "rate")]
    speedup: Option<Pace>,
    /// First day that is sent, from 0; what is before only fills the windows, the longest of which reaches 37 days back
    #[arg(long, value_name = "DAY", default_value_t = 37)]
    pub from_day: u32,
    /// The day after the last one that is sent; --days when absent
    #[arg(long, value_name = "DAY")]
    pub until_day: Option<u32>,
    /// End after so many transactions
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Kept connections, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Longest time for a request in seconds, connecting included
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// How often a request is sent again that got no decision, after 0.1 s, 0.2 s and so on
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// End with an error when for so many seconds nothing was answered
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    give_up_after: Duration,
    /// Send no labels to /feedback; the summary still has precision and recall
    #[arg(long)]
    no_feedback: bool,
    /// Days after which labels come, in the simulation
    #[arg(long, value_name = "DAYS", default_value_t = 7.0)]
    label_delay: f64,
    /// Labels of frauds come by chargebacks instead, half of them within so many days (log-normal)
    #[arg(long, value_name = "DAYS")]
    chargeback_median: Option<f64>,
    /// Standard deviation of the logarithm of their delay
    #[arg(
        long,
        value_name = "SIGMA",
        default_value_t = 0.8,
        requires = "chargeback_median"
    )]
    chargeback_spread: f64,
    /// Share of labels that never come
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    label_never: f64,
    /// Break the inputs on their way; may make models look bad that are good
    #[arg(long = "break", value_enum, value_name = "MISTAKE")]
    broken: Option<Break>,
    /// Number of the first row in TRANSACTION_ID, or now: microseconds since 1970. Give another one when a scorer still
    /// remembers the ids
    #[arg(long, value_name = "N", default_value = "0", value_parser = first_id)]
    first_id: u64,
    /// With --to -: add TX_FRAUD and TX_FRAUD_SCENARIO
    #[arg(long)]
    truth: bool,
    /// Address that answers /metrics, such as 127.0.0.1:9102
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Seconds between lines of progress where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub interval: Duration,
}

/// How a scorer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Api {
    /// POST /predict
    Predict,
    /// POST /v2/models/MODEL/infer, without receipts and so without labels
    V2,
}

impl Stream {
    /// When transactions are due.
    pub fn pace(&self) -> Pace {
        self.speedup.unwrap_or(self.rate)
    }

    /// When labels come, not checked yet.
    pub fn labels(&self) -> LabelDelay {
        let spread = self.chargeback_spread;
        LabelDelay {
            days: self.label_delay,
            chargeback: self
                .chargeback_median
                .map(|median_days| Chargeback { median_days, spread }),
            never: self.label_never,
        }
    }

    /// How transactions are written.
    pub fn payload(&self, file: &File) -> Payload {
        Payload {
            first_id: self.first_id,
            broken: self.broken.or(file.broken),
            truth: self.truth && self.to == "-",
        }
    }

    /// Where they go.
    pub fn sink(&self) -> anyhow::Result<Sink> {
        if self.to == "-" {
            return Ok(Sink::Stdout);
        }
        if self.truth {
            return Err(refusal("truth", "true", "no scorer is told the truth: use --to -").into());
        }
        let protocol = self.protocol()?;
        let scorer = Scorer {
            endpoint: self.endpoint()?,
            labels: !self.no_feedback && protocol == Protocol::Predict,
            protocol,
            connections: usize::from(self.connections),
            timeout: self.timeout,
            retries: self.retries,
            give_up: self.give_up_after,
        };
        Ok(Sink::Scorer(Box::new(scorer)))
    }

    fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        Endpoint::new(&self.to, self.cacert.as_deref(), self.token_file.as_deref())
    }

    fn protocol(&self) -> Result<Protocol, InvalidSetting> {
        match (self.protocol, &self.model) {
            (Api::Predict, None) => Ok(Protocol::Predict),
            (Api::Predict, Some(model)) => Err(refusal("model", model, "only --protocol v2 names a model")),
            (Api::V2, None) => Err(refusal("model", "", "--protocol v2 needs the model's name")),
            (Api::V2, Some(model)) => {
                let is_name = !model.is_empty()
                    && model
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                let problem = "must be letters, digits and -_.";
                is_name
                    .then(|| Protocol::Infer { model: model.clone() })
                    .ok_or_else(|| refusal("model", model, problem))
            }
        }
    }
}

fn refusal(field: &'static str, value: &str, problem: &str) -> InvalidSetting {
    InvalidSetting {
        field,
        value: value.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Ids stay below 2^53, which every client reads exactly.
const LARGEST_FIRST_ID: u64 = 9_000_000_000_000_000;

/// `now` gives every run ids of its own: none sends a million rows in the second before the next one begins.
fn first_id(text: &str) -> Result<u64, String> {
    let number = if text == "now" {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.ok().and_then(|since| u64::try_from(since.as_micros()).ok())
    } else {
        text.parse().ok()
    };
    number
        .filter(|number| *number <= LARGEST_FIRST_ID)
        .ok_or_else(|| format!("must be a whole number up to {LARGEST_FIRST_ID}, or `now`"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "must be a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be a number of seconds above 0".to_owned()),
    }
}
