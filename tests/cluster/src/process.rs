//! Processes that outlive us, found again by their number and start time.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process that can't be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks between the machine's start and its own.
    started: u64,
}

impl Process {
    /// The running process of that number.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid,
            started: parse(&stat)?.started,
        })
    }

    /// Whether it still runs; a zombie does not.
    pub(crate) fn is_running(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        parse(&stat).is_some_and(|now| now.started == self.started && now.state != 'Z')
    }

    /// The process that this one started first, if any.
    pub(crate) fn child(self) -> Option<Self> {
        let entries = fs::read_dir("/proc").ok()?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_child = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            parse(&stat).is_some_and(|found| found.parent == self.pid)
        };
        Self::find(pids.into_iter().find(is_child)?)
    }

    /// Kills it and waits until it is gone; nothing to do when it is already.
    pub(crate) fn kill(self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.is_running() {
            kill(Pid::from_raw(self.pid), Signal::SIGKILL).ok();
            if Instant::now() > deadline {
                bail!("process {} does not end although it was killed", self.pid);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

/// Reads /proc/PID/stat; the name in parentheses may contain anything.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stat_line_is_read_although_the_name_has_spaces_and_parentheses() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 1";
        let stat = parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 7, 123_456));
    }

    #[test]
    fn a_killed_process_is_gone_and_its_number_alone_is_no_proof_of_life() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::find(child.id() as i32).unwrap();
        assert!(process.is_running());
        let other = Process {
            started: process.started + 1,
            ..process
        };
        assert!(!other.is_running());
        process.kill().unwrap();
        assert!(!process.is_running());
        child.wait().unwrap();
    }
}
