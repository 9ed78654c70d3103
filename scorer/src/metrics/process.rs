//! What the kernel knows about this process, under the names that Prometheus' client libraries share.

use std::fs;

use super::Exposition;

/// Ticks per second in /proc: fixed by the kernel's interface, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// Reads /proc; what cannot be read is left out. `started` is in Unix seconds.
pub fn collect(out: &mut Exposition, started: f64) {
    out.gauge(
        "process_start_time_seconds",
        "Start of the process, in Unix time.",
    )
    .sample(&[], started);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, help, key) in [
        (
            "process_resident_memory_bytes",
            "Resident memory of the process.",
            "VmRSS:",
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory of the process.",
            "VmSize:",
        ),
    ] {
        if let Some(bytes) = bytes_of(&status, key) {
            out.gauge(name, help).sample(&[], bytes);
        }
    }
    if let Some(seconds) = cpu_seconds() {
        let help = "User and system CPU time of the process.";
        out.counter("process_cpu_seconds", help).sample(&[], seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.gauge("process_open_fds", "Open file descriptors.")
            .sample(&[], open.count() as u64);
    }
    if let Some(most) = most_files() {
        out.gauge("process_max_fds", "File descriptors that may be open.")
            .sample(&[], most);
    }
}

fn bytes_of(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may contain blanks: count from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |index| fields.split_whitespace().nth(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn most_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Format;

    #[test]
    fn the_usual_process_metrics_have_plausible_values() {
        let mut out = Exposition::new(Format::Text, 0.0);
        collect(&mut out, 12.5);
        let page = out.finish();
        let value = |name: &str| -> f64 {
            let line = page.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|v| v.parse().ok())
                .unwrap_or_else(|| panic!("{name} is missing in\n{page}"))
        };
        assert_eq!(value("process_start_time_seconds"), 12.5);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") <= value("process_max_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
