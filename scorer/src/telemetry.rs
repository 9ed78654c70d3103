//! Logs and traces. Neither is on the path of a request that was not sampled.
//!
//! A collector that is dead, slow or deaf costs the serving threads nothing: what waits for it is bounded, the rest is
//! dropped and counted, and the connections live on a thread of their own.

mod counted;
mod counts;
mod export;
mod http_client;
mod logs;
mod lossy;
mod parent;
mod spans;

use std::time::{SystemTime, UNIX_EPOCH};

pub use counts::Counts;
pub use export::Exporter;
pub use logs::start_logs;
pub use lossy::Lossy;
pub use parent::remote_parent;
pub use spans::{RequestSpan, Tracing};

/// A number that differs between threads, processes and starts.
pub fn seed(index: usize) -> u64 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64;
    nanos ^ (u64::from(std::process::id()) << 40) ^ ((index as u64) << 56)
}
