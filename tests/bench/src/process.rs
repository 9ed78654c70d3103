//! A server under measurement: started on a core of its own, its costs read from /proc.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

use crate::client::Client;

/// Python with its libraries takes some seconds, and anything under valgrind more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server; dropped, it is killed.
pub struct Process {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    /// From its start to its first prediction.
    pub ready_after: Duration,
}

impl Process {
    /// Starts a command on the given cores (as taskset writes them), and waits for its first 200 to `body`.
    pub fn start(
        command: &Command,
        cores: &str,
        address: SocketAddr,
        log: &Path,
        body: &str,
    ) -> Result<Self> {
        Self::start_asking(command, cores, address, log, |ready| {
            let mut client = Client::connect(ready)?;
            let status = client.post("/predict", body)?;
            Ok((status, String::from_utf8_lossy(client.body()).into_owned()))
        })
    }

    /// The same for a server that talks TLS: it is ready when its admin port, one above, says so.
    pub fn start_behind_tls(command: &Command, cores: &str, address: SocketAddr, log: &Path) -> Result<Self> {
        Self::start_asking(command, cores, address, log, |mut ready| {
            ready.set_port(ready.port() + 1);
            let mut client = Client::connect(ready)?;
            let status = client.get("/readyz")?;
            Ok((status, String::from_utf8_lossy(client.body()).into_owned()))
        })
    }

    fn start_asking(
        command: &Command,
        cores: &str,
        address: SocketAddr,
        log: &Path,
        ask: impl Fn(SocketAddr) -> Result<(u16, String)>,
    ) -> Result<Self> {
        ensure!(
            Client::connect(address).is_err(),
            "something listens on {address} already"
        );
        let output = File::create(log).with_context(|| log.display().to_string())?;
        let mut pinned = Command::new("taskset");
        pinned
            .args(["--cpu-list", cores])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        pinned
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let start = Instant::now();
        let child = pinned.spawn().context("taskset cannot be started")?;
        let mut process = Self {
            child,
            address,
            ready_after: Duration::ZERO,
        };
        process.wait_until_ready(start, log, ask)?;
        process.ready_after = start.elapsed();
        Ok(process)
    }

    fn wait_until_ready(
        &mut self,
        start: Instant,
        log: &Path,
        ask: impl Fn(SocketAddr) -> Result<(u16, String)>,
    ) -> Result<()> {
        let mut last = String::from("no connection");
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", end_of(log));
            }
            match ask(self.address) {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => last = format!("HTTP {status} {body}"),
                Err(error) => last = error.to_string(),
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!("no answer within {PATIENCE:?} ({last}): {}", end_of(log))
    }

    /// The process' id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of all its threads.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name may hold spaces; what follows its bracket are fields 3 and on, and 14 and 15 are the times.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |place: usize| {
            fields
                .get(place)
                .and_then(|f| f.parse::<u64>().ok())
                .context("stat is short")
        };
        let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")? as u64;
        Ok(Duration::from_millis(
            (ticks(11)? + ticks(12)?) * 1000 / per_second,
        ))
    }

    /// Proportional memory, in MiB: shared pages count in parts.
    pub fn pss_mib(&self) -> Result<f64> {
        memory(&format!("/proc/{}/smaps_rollup", self.id()), "Pss:")
    }

    /// Resident memory, in MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        memory(&format!("/proc/{}/status", self.id()), "VmRSS:")
    }

    /// Asks it to end and waits; one that has not ended after half a minute is killed.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() && start.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn memory(file: &str, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let kib = text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .trim()
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    });
    Ok(kib.with_context(|| format!("{file} has no {key}"))? / 1024.0)
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costs_of_a_process_are_read() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process {
            child,
            address: "127.0.0.1:1".parse().unwrap(),
            ready_after: Duration::ZERO,
        };
        assert!(process.cpu().unwrap() < Duration::from_secs(1));
        assert!(process.pss_mib().unwrap() > 0.0 && process.rss_mib().unwrap() > 0.0);
        process.stop().unwrap();
    }
}
