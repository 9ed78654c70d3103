//! The tables, as Markdown: readable on a terminal and on a page.

use std::fmt::Write as _;

/// What is said beside the tables.
pub struct Facts {
    /// Processor, cores, kernel.
    pub machine: String,
    /// Versions of what was measured and measured with.
    pub versions: Vec<String>,
    /// Day of the run.
    pub date: String,
    /// Load average when it began.
    pub load: f64,
    /// Rounds of each measurement.
    pub rounds: usize,
    /// What the scorer had switched on.
    pub on: Vec<&'static str>,
    /// What this build does not offer yet.
    pub missing: Vec<&'static str>,
    /// Wall time of the run in minutes.
    pub minutes: f64,
}

/// A Markdown table with its columns aligned.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    line(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
    text
}

/// The three tables.
pub fn tables(goals: &[Vec<String>], servers: &[Vec<String>], extras: &[Vec<String>]) -> String {
    let mut text = table(
        &["the scorer against", "must", "aim", "measured", "reaches"],
        goals,
    );
    text.push('\n');
    let head = [
        "server, one core, 64 connections",
        "req/s",
        "p50 / p99 ms",
        "CPU µs/req",
        "PSS MiB",
        "ready s",
        "p50 / p99 µs at 2,000 req/s",
    ];
    text += &table(&head, servers);
    if !extras.is_empty() {
        text.push('\n');
        text += &table(&["also", "measured", "goal"], extras);
    }
    text
}

/// The page docs/benchmarks.md.
pub fn page(facts: &Facts, tables: &str) -> String {
    let list = |names: &[&str]| names.join(", ");
    let mut text = String::from(
        "# Benchmarks\n\nWritten by `make bench`; do not edit. `BENCH=quick make bench` prints the first two tables in three minutes.\n\n",
    );
    let _ = writeln!(
        text,
        "- Measured on {}, in {:.0} minutes.",
        facts.date, facts.minutes
    );
    let _ = writeln!(
        text,
        "- Machine: {}; load average at the start {:.2}.",
        facts.machine, facts.load
    );
    let _ = writeln!(text, "- Versions: {}.", facts.versions.join(", "));
    let _ = writeln!(text, "- The scorer has on: {}.", list(&facts.on));
    if !facts.missing.is_empty() {
        let _ = writeln!(text, "- This build does not offer: {}.", list(&facts.missing));
    }
    let _ = write!(
        text,
        "
{tables}
## How it was measured

- Each server runs alone on one core (`taskset`), the load generator on another, over loopback, on kept connections. All answer the same
  1,000 simulated transactions, each sent with a number of its own, none of which the rules stop.
- The servers take turns within each of {} rounds. Ratios are medians of the rounds' ratios, figures medians of the rounds. Loopback and
  a shared machine move requests per second by a third from day to day: trust the ratios, the CPU time and the instructions.
- Throughput by wrk with 64 connections; any answer but 200 fails the run. CPU time is user and system time of the server from `/proc`.
- At 2,000 requests a second the requests are due at fixed times, and a latency counts from then, so a stall is not hidden.
  The 99th percentile of such a run moves by a factor of three on a shared machine, with labels and without (0.3 to 1.8 ms): there
  the median says more.
- Instructions are those of user space, counted by callgrind over the same requests at 8 connections; it shows ONNX Runtime a processor
  without AVX-512. Telemetry's share is the difference to the same run without traces and decision log; counters are always on.
- The scorer and the peers with ONNX Runtime serve XGBoost with 100 trees of depth 6. The reference system's stack serves what that
  system serves, a scaled decision tree of depth 5, with its own telemetry on. The other peers check the same 21 fields and rules, and have no telemetry.
- The peers are in `tests/bench/peers`, written for this comparison.
",
        facts.rounds
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1×".to_owned()],
            vec!["long".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(&["x", "y"], &rows),
            "| x    | y  |\n| ---- | -- |\n| a    | 1× |\n| long | 2  |\n"
        );
    }
}
