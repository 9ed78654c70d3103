//! How long and how often.

use std::time::Duration;

use clap::ValueEnum;

/// How thorough a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Three rounds, and every row. Writes the page.
    Full,
    /// One short round of the first table, to see whether a change moved anything. Writes nothing.
    Quick,
    /// A constant load for `--minutes`, to see whether memory grows. Writes nothing.
    Soak,
    /// `--reloads` models, one after the other, under load, to see whether a request is lost or memory grows. Writes nothing.
    Reload,
}

/// The numbers of a mode.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Interleaved rounds; medians are over them.
    pub rounds: usize,
    /// Before each measurement, not counted.
    pub warm_up: Duration,
    /// One measurement of throughput.
    pub measure: Duration,
    /// One measurement at a constant rate.
    pub steady: Duration,
    /// Requests whose instructions are counted.
    pub counted: u64,
}

impl Mode {
    /// The numbers.
    pub fn plan(self) -> Plan {
        let seconds = Duration::from_secs;
        match self {
            Self::Full => Plan {
                rounds: 3,
                warm_up: seconds(2),
                measure: seconds(6),
                steady: seconds(5),
                counted: 4_000,
            },
            Self::Quick | Self::Soak | Self::Reload => Plan {
                rounds: 1,
                warm_up: seconds(1),
                measure: seconds(3),
                steady: seconds(3),
                counted: 2_000,
            },
        }
    }
}
