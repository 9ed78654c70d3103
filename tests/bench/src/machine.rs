//! What the figures were measured on.

use std::{fs, process::Command};

/// One line for people: processor, cores, kernel.
pub fn describe(cores: usize) -> String {
    let cpu = first("/proc/cpuinfo", "model name");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = first("/etc/os-release", "PRETTY_NAME")
        .trim_matches('"')
        .to_owned();
    format!("{cpu}, {cores} cores, {system}, kernel {}", kernel.trim())
}

/// Load average of the last minute: what else ran.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(f64::NAN)
}

/// First line that a program prints about its version; empty when it cannot be started.
pub fn version(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn first(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_once([':', '='])
        .map_or("unknown", |(_, value)| value)
        .trim()
        .to_owned()
}
