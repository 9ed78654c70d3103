//! A long load at a constant rate: does anything grow?

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bench::{Bench, RATE},
    page::table,
    steady,
    subjects::Subject,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Growth of resident memory after the first quarter that is taken for noise.
pub const NOISE_MIB: f64 = 2.0;

/// Loads the scorer for some minutes, prints its memory and latency after each, and fails when the memory grows.
pub fn run(bench: &Bench, scorer: &Subject, minutes: u32) -> Result<()> {
    let process = bench.start(&scorer.command, &bench.cores.one, scorer)?;
    let mut rows = Vec::new();
    let mut memory = Vec::new();
    for minute in 1..=minutes {
        let first = 2_000_000_000 + u64::from(minute) * 10_000_000;
        let latency = steady::at_constant_rate(process.address, &bench.payloads, RATE, MINUTE, first)?;
        memory.push(process.rss_mib()?);
        let micros = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e6);
        let resident = format!("{:.1}", memory[memory.len() - 1]);
        eprintln!(
            "    minute {minute}: {resident} MiB, p99 {} µs",
            micros(latency.p99)
        );
        rows.push(vec![
            minute.to_string(),
            resident,
            micros(latency.p50),
            micros(latency.p99),
        ]);
    }
    process.stop()?;
    println!(
        "\n{}",
        table(&["minute", "resident MiB", "p50 µs", "p99 µs"], &rows)
    );
    let growth = growth(&memory);
    println!("growth after the first quarter: {growth:.1} MiB");
    ensure!(growth <= NOISE_MIB, "resident memory grew by {growth:.1} MiB");
    Ok(())
}

/// From the end of the first quarter to the end. Caches and allocators fill up before.
pub fn growth(memory: &[f64]) -> f64 {
    let settled = memory.get(memory.len() / 4).copied().unwrap_or_default();
    memory.last().copied().unwrap_or_default() - settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_from_the_end_of_the_first_quarter() {
        assert_eq!(growth(&[10.0, 30.0, 30.0, 31.0]), 1.0);
        assert_eq!(growth(&[]), 0.0);
    }
}
