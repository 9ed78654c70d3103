//! Who runs where: the load on the last core, servers on the first ones.

use anyhow::{Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Cores as taskset writes them.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The server's.
    pub one: String,
    /// Those of a server that gets two.
    pub two: String,
    /// Whether the load generator has to share one of the two.
    pub shared: bool,
    /// How many this process was given.
    pub count: usize,
}

impl Cores {
    /// Pins this process, and with it every load generator, to the last core that it may use.
    pub fn claim() -> Result<Self> {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this)?;
        let cores: Vec<usize> = (0..CpuSet::count())
            .filter(|c| allowed.is_set(*c).unwrap_or(false))
            .collect();
        ensure!(
            cores.len() >= 2,
            "two cores are needed: one for the server, one for the load"
        );
        let mut last = CpuSet::new();
        last.set(cores[cores.len() - 1])?;
        sched_setaffinity(this, &last)?;
        Ok(Self {
            one: cores[0].to_string(),
            two: format!("{},{}", cores[0], cores[1]),
            shared: cores.len() == 2,
            count: cores.len(),
        })
    }
}
