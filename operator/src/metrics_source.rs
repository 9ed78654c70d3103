//! Where the numbers of scorer processes come from.

mod page;
mod pod_scrape;

pub use page::{Malformed, read};
pub use pod_scrape::PodScrape;

use thiserror::Error;

use crate::rollout::Counts;

/// A pod to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What identifies the pod: never another pod's.
    pub pod: String,
    /// Hash of the version that it serves.
    pub version: String,
    /// Its IP address.
    pub address: String,
}

/// What a scorer process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it started, in milliseconds of Unix time.
    pub started: i64,
    /// What it has counted since.
    pub counts: Counts,
}

/// Why a pod gave no numbers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unread {
    /// It did not answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// It did not answer in time.
    #[error("no answer within 2 s")]
    Deadline,
    /// It answered with another status than 200.
    #[error("HTTP {0}")]
    Status(u16),
    /// It said more than a scorer has to say.
    #[error("the answer is too long or broke off")]
    Body,
    /// It said something else than a scorer says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads the counters of scorer processes.
pub trait MetricsSource {
    /// What each of `targets` says now, in their order. Silence is an answer too: nothing is retried.
    fn read(&self, targets: &[Target]) -> impl Future<Output = Vec<Result<Reading, Unread>>> + Send;
}
