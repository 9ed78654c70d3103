//! Throughput by wrk.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Answers.
    pub requests: u64,
    /// Answers per second.
    pub per_second: f64,
    /// Median latency.
    pub p50: Duration,
    /// 99th percentile of the latency.
    pub p99: Duration,
}

/// What to send, and how.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// `http://address` or `https://address`.
    pub base: &'a str,
    /// Path of the requests.
    pub path: &'a str,
    /// One body a line.
    pub bodies: &'a Path,
    /// Kept connections.
    pub connections: u32,
    /// The number of the first transaction.
    pub first: u64,
}

/// Runs wrk on the core of this process. Any answer but 2xx, and any broken connection, is an error.
pub fn run(load: &Load<'_>, duration: Duration) -> Result<Throughput> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("load.lua");
    let output = Command::new("wrk")
        .args([
            "--threads",
            "1",
            "--timeout",
            "10s",
            "--connections",
            &load.connections.to_string(),
        ])
        .args(["--duration", &format!("{}s", duration.as_secs().max(1))])
        .arg("--script")
        .arg(script)
        .args([load.base, "--"])
        .arg(load.bodies)
        .args([load.path, &load.first.to_string()])
        .output()
        .context("wrk cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    parse(&text)
}

fn parse(text: &str) -> Result<Throughput> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers: Vec<u64> = line
        .with_context(|| format!("wrk printed no result: {text}"))?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, micros, broken, statuses, p50, p99] = numbers[..] else {
        bail!("wrk printed {numbers:?}");
    };
    ensure!(
        broken + statuses == 0,
        "{broken} broken connections and {statuses} answers without a 200: {text}"
    );
    ensure!(requests > 0, "wrk got no answer");
    Ok(Throughput {
        requests,
        per_second: requests as f64 * 1e6 / micros as f64,
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_and_errors_are_errors() {
        let found = parse("Running 2s test\nRESULT 1000 2000000 0 0 150 900\n").unwrap();
        assert_eq!((found.requests, found.per_second), (1000, 500.0));
        assert_eq!(found.p99, Duration::from_micros(900));
        assert!(
            parse("RESULT 1000 2000000 1 0 150 900").is_err(),
            "a broken connection"
        );
        assert!(parse("RESULT 1000 2000000 0 7 150 900").is_err(), "a 503");
        assert!(parse("nothing").is_err());
    }
}
