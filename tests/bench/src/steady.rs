//! Two small loads of our own: a constant rate, and an exact number of requests.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use crate::{client::Client, payloads::Payloads};

const CONNECTIONS: u32 = 32;

/// Latencies of a load at a constant rate.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// Sends `rate` requests a second over 32 connections. A request is due at its time whether or not earlier ones were
/// answered, and its latency counts from there, so a server that stalls is not asked less (no coordinated omission).
/// The first second is not counted.
pub fn at_constant_rate(
    address: SocketAddr,
    payloads: &Payloads,
    rate: u32,
    duration: Duration,
    first: u64,
) -> Result<Latency> {
    let begin = Instant::now() + Duration::from_millis(100);
    let (counted_from, end) = (
        begin + Duration::from_secs(1),
        begin + Duration::from_secs(1) + duration,
    );
    let gap = Duration::from_secs(1) / rate;
    let mut latencies: Vec<Duration> = join(CONNECTIONS, |connection| {
        // By default the kernel may wake a sleeper 50 µs late, which is as long as an answer takes.
        nix::sys::prctl::set_timerslack(1)?;
        let mut client = Client::connect(address)?;
        let mut latencies = Vec::new();
        for turn in 0_u64.. {
            let place = turn * u64::from(CONNECTIONS) + u64::from(connection);
            let due = begin + gap * u32::try_from(place)?;
            if due >= end {
                break;
            }
            let body = payloads.numbered(first + place);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let status = client.post("/predict", &body)?;
            ensure!(status == 200, "HTTP {status}");
            if due >= counted_from {
                latencies.push(due.elapsed());
            }
        }
        Ok(latencies)
    })?;
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    let (p50, p99) = at(50)
        .zip(at(99))
        .ok_or_else(|| anyhow!("no request was counted"))?;
    Ok(Latency { p50, p99 })
}

/// Sends exactly `count` requests over `connections` connections, each as fast as it is answered.
pub fn exactly(
    address: SocketAddr,
    payloads: &Payloads,
    count: u64,
    connections: u32,
    first: u64,
) -> Result<()> {
    let next = AtomicU64::new(0);
    join(connections, |_| {
        let mut client = Client::connect(address)?;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= count {
                return Ok(Vec::new());
            }
            let status = client.post("/predict", &payloads.numbered(first + turn))?;
            ensure!(status == 200, "HTTP {status}");
        }
    })
    .map(drop)
}

/// Runs one thread for each connection, and joins what they found.
fn join(connections: u32, work: impl Fn(u32) -> Result<Vec<Duration>> + Sync) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..connections).map(|c| scope.spawn(move || work(c))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(
                thread
                    .join()
                    .map_err(|_| anyhow!("a connection's thread panicked"))??,
            );
        }
        Ok(all)
    })
}
