//! What is simulated.

use std::path::PathBuf;

use clap::Args;
use fraudops_simulator::{
    Scenario, Settings,
    scenario::{Attack, Drift, File, FileError, Growth, Season},
};
use jiff::civil::Date;

/// The map, its people and its time.
#[derive(Debug, Args)]
pub struct World {
    /// Number of customers
    #[arg(long, value_name = "N", default_value_t = Settings::default().customers)]
    customers: u32,
    /// Number of terminals
    #[arg(long, value_name = "N", default_value_t = Settings::default().terminals)]
    terminals: u32,
    /// Number of days
    #[arg(long, value_name = "N", default_value_t = Settings::default().days)]
    days: u32,
    /// First day
    #[arg(long, value_name = "YYYY-MM-DD", default_value_t = Settings::default().start)]
    start: Date,
    /// How far customers go to a terminal, on a map of 100 by 100
    #[arg(long, value_name = "DISTANCE", default_value_t = Settings::default().radius)]
    radius: f64,
    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    seed: u64,
    /// Threads that generate; 0 uses all cores. Changes the time it takes, never the rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Habits change: amount_scale, rate_scale or hour_shift, such as amount_scale=1.2@100; may be repeated
    ///
    /// Days are counted from 0: @100 from that day on, @100..110 on the ten days from 100 to 109.
    #[arg(long, value_name = "NAME=VALUE@DAYS")]
    drift: Vec<Drift>,
    /// Criminals do more: s2_rate (terminals), s3_rate (cards) or card_testing, such as s2_rate=10@120..127
    #[arg(long, value_name = "NAME=VALUE@DAYS")]
    attack: Vec<Attack>,
    /// A shopping season: more purchases of more, later in the day
    #[arg(long, value_name = "DAYS")]
    season: Vec<Season>,
    /// Terminals that open, so many each day, such as 20@100..130
    #[arg(long, value_name = "N@DAYS")]
    new_merchants: Vec<Growth>,
    /// YAML file with keys drift, attack, season, new-merchants (lists) and break, in addition to the options
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

impl World {
    /// The scenario's file, or an empty one.
    pub fn file(&self) -> Result<File, FileError> {
        let file = self.scenario.as_deref().map(File::read);
        file.unwrap_or_else(|| Ok(File::default()))
    }

    /// What to simulate, with what the scenario's file adds; not checked yet.
    pub fn settings(&self, file: &File) -> Settings {
        let Scenario {
            drifts,
            attacks,
            seasons,
            growth,
        } = &file.scenario;
        Settings {
            customers: self.customers,
            terminals: self.terminals,
            days: self.days,
            start: self.start,
            radius: self.radius,
            seed: self.seed,
            scenario: Scenario {
                drifts: [&self.drift[..], drifts].concat(),
                attacks: [&self.attack[..], attacks].concat(),
                seasons: [&self.season[..], seasons].concat(),
                growth: [&self.new_merchants[..], growth].concat(),
            },
        }
    }
}
