//! Live traffic: the feed, at its pace, to a scorer or to the standard output.
//!
//! ```text
//! Feed -> Turnstile -> N connections -> Ledger -> /feedback
//!            |               |             |
//!        pace, timer     endpoint, tls   labels meet answers
//!                            |             |
//!                          Stats <---------+     report and metrics read them
//! ```
//!
//! Open loop: a transaction is due at its time whether or not earlier ones were answered, and its latency counts
//! from there, so a server that stalls is not asked less, and its stall is seen (no coordinated omission).

pub mod answer;
pub mod connection;
pub mod endpoint;
pub mod feedback;
pub mod ledger;
pub mod metrics;
pub mod pace;
pub mod report;
pub mod run;
pub mod stats;
pub mod summary;
pub mod timer;
pub mod turnstile;

use std::{io, net::SocketAddr, time::Duration};

use thiserror::Error;

use crate::{feed::Feed, payload::Payload};

pub use connection::Failure;
pub use endpoint::{Endpoint, EndpointError};
pub use pace::Pace;
pub use run::run;
pub use summary::Summary;

/// What is sent, and where to.
#[derive(Debug)]
pub struct Stream {
    /// The transactions.
    pub feed: Feed,
    /// How they are written.
    pub payload: Payload,
    /// When they are due.
    pub pace: Pace,
    /// End after this many transactions.
    pub limit: Option<u64>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// Where to.
    pub sink: Sink,
    /// Time between two reports.
    pub interval: Duration,
    /// Where Prometheus asks.
    pub metrics: Option<SocketAddr>,
}

/// Where transactions go.
#[derive(Debug)]
pub enum Sink {
    /// Lines of JSON on the standard output.
    Stdout,
    /// A scorer.
    Scorer(Box<Scorer>),
}

/// A scorer, and how it is treated.
#[derive(Debug)]
pub struct Scorer {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How it is asked.
    pub protocol: Protocol,
    /// Number of connections, each with one request at a time.
    pub connections: usize,
    /// Longest time for one request, connecting included.
    pub timeout: Duration,
    /// How often a request is sent again that got no decision.
    pub retries: u32,
    /// End when nothing was answered for this long.
    pub give_up: Duration,
    /// Whether labels are sent to `/feedback`.
    pub labels: bool,
}

/// How a scorer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `POST /predict`.
    Predict,
    /// `POST /v2/models/{model}/infer`, without receipts and so without labels.
    Infer {
        /// The model's name.
        model: String,
    },
}

/// Why a stream ended without having done what it should.
#[derive(Debug, Error)]
pub enum StreamError {
    /// Nothing listens there, or not the one that is trusted.
    #[error("--to {to}: {failure}")]
    Unreachable {
        /// The url.
        to: String,
        /// What happened.
        failure: Failure,
    },
    /// The scorer stopped answering.
    #[error("--to {to}: no decision for {} s: {failure}", .after.as_secs_f64())]
    GaveUp {
        /// The url.
        to: String,
        /// `--give-up-after`.
        after: Duration,
        /// What happened last.
        failure: Failure,
    },
    /// Not a single transaction was answered.
    #[error("--to {to}: no request got a decision: {failure}")]
    NothingAnswered {
        /// The url.
        to: String,
        /// What happened last.
        failure: Failure,
    },
    /// The standard output takes no more.
    #[error("--to - cannot be written")]
    Output(#[source] io::Error),
    /// Whoever read the output has enough of it.
    #[error("--to -: the reader closed the pipe")]
    ReaderGone,
    /// The port for Prometheus is taken, or not ours.
    #[error("--metrics-listen {address}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no timer, signal or thread.
    #[error("the system refuses what a stream needs")]
    System(#[source] io::Error),
}
