//! One measurement: start, warm up, load, read the costs, stop.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    cores::Cores,
    payloads::Payloads,
    plan::Plan,
    process::Process,
    steady::{self, Latency},
    subjects::Subject,
    wrk::{self, Load, Throughput},
};

/// Connections of the first table.
pub const CONNECTIONS: u32 = 64;
/// Requests per second of the measurement at a constant rate.
pub const RATE: u32 = 2_000;

/// Numbers of transactions, so far apart that no run on one process sends one twice.
const FIRST: u64 = 1_000_000_001;
const WARM_UP: u64 = 2_000_000_000;
const MEASURED: u64 = 4_000_000_000;

/// What all measurements share.
pub struct Bench {
    /// How long and how often.
    pub plan: Plan,
    /// Who runs where.
    pub cores: Cores,
    /// Where files of a run go.
    pub work: PathBuf,
    /// What is sent.
    pub payloads: Payloads,
}

/// What one measurement of a server found.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Requests and latencies.
    pub throughput: Throughput,
    /// CPU time of the server for each request, kernel included.
    pub cpu_micros: f64,
    /// Proportional memory after the load.
    pub pss_mib: f64,
    /// Resident memory after the load.
    pub rss_mib: f64,
    /// From the start to the first prediction.
    pub ready_after: Duration,
}

/// How a server is loaded.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// Path of the requests.
    pub path: &'a str,
    /// File with one body a line.
    pub bodies: &'a Path,
    /// Kept connections.
    pub connections: u32,
    /// Whether over TLS.
    pub tls: bool,
}

impl Bench {
    /// Starts a server on the cores given.
    pub fn start(&self, command: &Command, cores: &str, subject: &Subject) -> Result<Process> {
        let log = self.work.join(format!("{}.log", subject.key));
        let body = self.payloads.numbered(FIRST);
        Process::start(command, cores, subject.address, &log, &body).context(subject.title)
    }

    /// The usual load: the bodies of `/predict`, each with a number of its own.
    pub fn usual(&self) -> Result<PathBuf> {
        self.lines("predict", &self.payloads.bodies)
    }

    /// Writes bodies to a file, one a line.
    pub fn lines(&self, name: &str, bodies: &[String]) -> Result<PathBuf> {
        let file = self.work.join(format!("{name}.txt"));
        fs::write(&file, bodies.join("\n"))?;
        Ok(file)
    }

    /// Throughput and costs of a server on one core, at 64 connections.
    pub fn throughput(&self, subject: &Subject) -> Result<Sample> {
        let bodies = self.usual()?;
        let shape = Shape {
            path: "/predict",
            bodies: &bodies,
            connections: CONNECTIONS,
            tls: false,
        };
        let process = self.start(&subject.command, &self.cores.one, subject)?;
        self.load(process, &shape)
    }

    /// Loads a running server, and stops it.
    pub fn load(&self, process: Process, shape: &Shape<'_>) -> Result<Sample> {
        let scheme = if shape.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}", process.address);
        let load = |connections, first| Load {
            base: &base,
            path: shape.path,
            bodies: shape.bodies,
            connections,
            first,
        };
        wrk::run(&load(shape.connections.min(16), WARM_UP), self.plan.warm_up)?;
        let before = process.cpu()?;
        let throughput = wrk::run(&load(shape.connections, MEASURED), self.plan.measure)?;
        let spent = process.cpu()? - before;
        let sample = Sample {
            throughput,
            cpu_micros: spent.as_secs_f64() * 1e6 / throughput.requests as f64,
            pss_mib: process.pss_mib()?,
            rss_mib: process.rss_mib()?,
            ready_after: process.ready_after,
        };
        process.stop()?;
        Ok(sample)
    }

    /// Latency of a server on one core at 2,000 requests a second.
    pub fn latency(&self, subject: &Subject) -> Result<Latency> {
        let process = self.start(&subject.command, &self.cores.one, subject)?;
        let found = self.steady(process.address).context(subject.title)?;
        process.stop()?;
        Ok(found)
    }

    /// The same of a server that runs.
    pub fn steady(&self, address: SocketAddr) -> Result<Latency> {
        steady::exactly(address, &self.payloads, 2_000, 8, WARM_UP)?;
        steady::at_constant_rate(address, &self.payloads, RATE, self.plan.steady, MEASURED)
    }
}

/// The middle value; of an even number the mean of the two in the middle; NaN of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
