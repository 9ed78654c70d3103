//! Throughput over HTTP/2 by h2load, which sends one body again and again.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

/// Connections, and requests under way on each.
const CONNECTIONS: &str = "16";
const STREAMS: &str = "4";

/// Runs h2load on the core of this process; answers requests per second. Any answer but 2xx with a body is an error.
pub fn run(url: &str, body: &Path, headers: &[&str], duration: Duration) -> Result<f64> {
    let mut command = Command::new("h2load");
    command.args([
        "--threads=1",
        "--clients",
        CONNECTIONS,
        "--max-concurrent-streams",
        STREAMS,
    ]);
    command
        .args(["--duration", &duration.as_secs().max(1).to_string(), "--data"])
        .arg(body);
    for header in headers {
        command.args(["--header", header]);
    }
    let output = command.arg(url).output().context("h2load cannot be started")?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<f64> {
    let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let finished = line("finished in ").with_context(|| format!("h2load printed no result: {text}"))?;
    let rate = finished.split(", ").find_map(|part| part.strip_suffix(" req/s"));
    let rate: f64 = rate.context("h2load printed no rate")?.trim().parse()?;
    let codes: Vec<u64> = line("status codes: ")
        .context("h2load printed no status codes")?
        .split(", ")
        .filter_map(|part| part.split(' ').next()?.parse().ok())
        .collect();
    ensure!(
        matches!(codes[..], [good, 0, 0, 0] if good > 0),
        "h2load: answers without a 200: {codes:?}"
    );
    // gRPC says in a trailer what went wrong, and then sends no data.
    ensure!(!text.contains("0B (0) data"), "h2load: no answer had a body");
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
finished in 2.00s, 41234.50 req/s, 5.1MB/s
requests: 82469 total, 82533 started, 82469 done, 82469 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 82469 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 10.1MB (10590000) total, 1.1MB (1153434) headers (space savings 90.00%), 7.0MB (7340032) data
";

    #[test]
    fn a_result_is_read_and_errors_are_errors() {
        assert_eq!(parse(TEXT).unwrap(), 41_234.5);
        assert!(parse(&TEXT.replace("0 5xx", "3 5xx")).is_err());
        assert!(parse(&TEXT.replace("7.0MB (7340032) data", "0B (0) data")).is_err());
        assert!(parse("").is_err());
    }
}
