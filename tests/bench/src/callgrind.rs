//! User instructions per request, counted by callgrind: free of noise, blind to the kernel.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{payloads::Payloads, process::Process, scorer::Scorer, steady};

const CONNECTIONS: u32 = 8;
const WARM_UP: u64 = 500;

/// Counts the instructions of `count` requests over eight connections, and divides.
pub fn per_request(
    command: &Command,
    cores: &str,
    work: &Path,
    payloads: &Payloads,
    count: u64,
) -> Result<f64> {
    let out = work.join("callgrind.out");
    let _ = fs::remove_file(&out);
    let mut under = Command::new("valgrind");
    under.args([
        "--tool=callgrind",
        "--instr-atstart=no",
        "--separate-threads=no",
        "--quiet",
    ]);
    under.arg(format!("--callgrind-out-file={}", out.display()));
    under.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => under.env(name, value),
            None => under.env_remove(name),
        };
    }
    let first = 2_000_000_000;
    let body = payloads.numbered(first);
    let process = Process::start(
        &under,
        cores,
        Scorer::address(),
        &work.join("callgrind.log"),
        &body,
    )?;
    steady::exactly(process.address, payloads, WARM_UP, CONNECTIONS, first + 1)?;
    instrument("on", process.id())?;
    steady::exactly(process.address, payloads, count, CONNECTIONS, first + 1 + WARM_UP)?;
    instrument("off", process.id())?;
    process.stop()?;
    let text = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
    Ok(total(&text)? as f64 / count as f64)
}

fn instrument(switch: &str, id: u32) -> Result<()> {
    let output = Command::new("callgrind_control")
        .args(["-i", switch, &id.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && text.contains("OK"),
        "callgrind_control: {text}"
    );
    Ok(())
}

/// The sum of all lines. The `summary` further up holds only what was counted since the last switch.
fn total(text: &str) -> Result<u64> {
    let number = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(number.context("callgrind wrote no total")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read() {
        assert_eq!(
            total("summary: 0\nfn=(1) main\n12 5\n\ntotals: 123456\n").unwrap(),
            123_456
        );
        assert!(total("nothing").is_err());
    }
}
