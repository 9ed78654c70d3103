//! What to simulate: checked once, then run.

use jiff::{
    Span,
    civil::{Date, Weekday, date},
    tz::TimeZone,
};
use thiserror::Error;

use crate::{DAY, draw, fraud, scenario::Scenario, transactions::Transactions, world::World};

/// Rows are numbered in 32 bits, and a customer makes fewer than four transactions a day on average.
const MAX_CUSTOMER_DAYS: u64 = 500_000_000;

/// The settings as a person gives them. The defaults describe the handbook's published data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Number of customers.
    pub customers: u32,
    /// Number of terminals.
    pub terminals: u32,
    /// Number of days.
    pub days: u32,
    /// First day.
    pub start: Date,
    /// How far a customer goes to a terminal, on a map of 100 by 100.
    pub radius: f64,
    /// Everything random follows from it.
    pub seed: u64,
    /// What differs on some days.
    pub scenario: Scenario,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            customers: 5_000,
            terminals: 10_000,
            days: 183,
            start: date(2018, 4, 1),
            radius: 5.0,
            seed: 0,
            scenario: Scenario::default(),
        }
    }
}

/// A setting that makes no sense, by the name of its option.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("--{field} {value}: {problem}")]
pub struct InvalidSetting {
    /// Name of the option, without dashes.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// What is wrong, and what would do.
    pub problem: String,
}

/// Settings that were checked.
#[derive(Clone, Debug)]
pub struct Simulation {
    settings: Settings,
    epoch: i64,
}

impl Simulation {
    /// Checks the settings.
    pub fn new(settings: Settings) -> Result<Self, InvalidSetting> {
        let Settings {
            customers,
            terminals,
            days,
            start,
            radius,
            seed: _,
            scenario,
        } = &settings;
        require(
            *customers > 0,
            "customers",
            customers,
            "at least 1 customer is needed",
        )?;
        require(
            *terminals > 0,
            "terminals",
            terminals,
            "at least 1 terminal is needed",
        )?;
        require(*days > 0, "days", days, "at least 1 day is needed")?;
        let size = u64::from(*customers) * u64::from(*days);
        let problem = format!("customers times days may be at most {MAX_CUSTOMER_DAYS}, this makes {size}");
        require(size <= MAX_CUSTOMER_DAYS, "customers", customers, &problem)?;
        let is_distance = radius.is_finite() && *radius > 0.0;
        require(
            is_distance,
            "radius",
            radius,
            "must be a number above 0; the map is 100 by 100",
        )?;
        scenario.check(*days)?;
        let end = start.checked_add(Span::new().days(i64::from(*days)));
        require(
            end.is_ok(),
            "start",
            start,
            "the last day lies after the year 9999",
        )?;
        let midnight = start.to_zoned(TimeZone::UTC);
        let epoch = midnight.map(|at| at.timestamp().as_second());
        let epoch = epoch.map_err(|error| invalid("start", start, &error.to_string()))?;
        Ok(Self { settings, epoch })
    }

    /// The checked settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Unix time of the first second of the first day.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Draws the world, the transactions and the frauds. Uses the threads of the current rayon pool.
    #[must_use]
    pub fn run(&self) -> Transactions {
        let world = World::draw(&self.settings);
        let mut transactions = draw::transactions(&world, &self.settings, self.epoch);
        fraud::commit(&mut transactions, &self.settings);
        scale_amounts(&mut transactions, &self.settings.scenario);
        transactions
    }
}

/// Whether a moment, in seconds since 1970, lies on a Saturday or Sunday.
#[must_use]
pub fn is_weekend(unix_seconds: i64) -> bool {
    // 1970-01-01 was a Thursday.
    let since_sunday =
        (unix_seconds.div_euclid(DAY) + i64::from(Weekday::Thursday.to_sunday_zero_offset())).rem_euclid(7);
    since_sunday == 0 || since_sunday == 6
}

/// Whether a moment lies in the hours 0 to 6, that is before 07:00.
#[must_use]
pub fn is_night(unix_seconds: i64) -> bool {
    unix_seconds.rem_euclid(DAY) < 7 * 3_600
}

impl Settings {
    /// Number of terminals, with those that open later.
    #[must_use]
    pub fn all_terminals(&self) -> u32 {
        let new = u32::try_from(self.scenario.new_terminals(self.days)).unwrap_or(u32::MAX);
        self.terminals.saturating_add(new)
    }
}

/// After the frauds: what they are is decided by amounts before.
fn scale_amounts(rows: &mut Transactions, scenario: &Scenario) {
    if scenario.drifts.is_empty() && scenario.seasons.is_empty() {
        return;
    }
    for row in 0..rows.len() {
        let scale = scenario.amount_scale(rows.day(row));
        rows.cents[row] = (rows.cents[row] as f64 * scale).round() as i64;
    }
}

fn require(
    holds: bool,
    field: &'static str,
    value: &impl ToString,
    problem: &str,
) -> Result<(), InvalidSetting> {
    if holds {
        Ok(())
    } else {
        Err(invalid(field, value, problem))
    }
}

pub(crate) fn invalid(field: &'static str, value: &impl ToString, problem: &str) -> InvalidSetting {
    InvalidSetting {
        field,
        value: value.to_string(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        Simulation::new(settings).unwrap_err().to_string()
    }

    #[test]
    fn the_message_names_the_option_and_the_value() {
        assert_eq!(
            refusal(|s| s.customers = 0),
            "--customers 0: at least 1 customer is needed"
        );
        assert_eq!(
            refusal(|s| s.terminals = 0),
            "--terminals 0: at least 1 terminal is needed"
        );
        assert_eq!(refusal(|s| s.days = 0), "--days 0: at least 1 day is needed");
        assert!(refusal(|s| s.radius = f64::NAN).starts_with("--radius NaN: must be a number above 0"));
        assert!(refusal(|s| s.radius = 0.0).starts_with("--radius 0: "));
        assert!(refusal(|s| s.start = date(9999, 12, 1)).starts_with("--start 9999-12-01: "));
        assert!(refusal(|s| s.customers = u32::MAX).contains("at most 500000000"));
    }

    #[test]
    fn the_defaults_start_on_a_sunday_at_midnight() {
        let epoch = Simulation::new(Settings::default()).unwrap().epoch();
        assert_eq!(epoch, 1_522_540_800);
        let weekend: Vec<bool> = (0..8).map(|day| is_weekend(epoch + day * DAY)).collect();
        assert_eq!(weekend, [true, false, false, false, false, false, true, true]);
    }

    #[test]
    fn the_night_ends_at_seven() {
        assert!(is_night(0));
        assert!(is_night(7 * 3_600 - 1));
        assert!(!is_night(7 * 3_600));
        assert!(!is_night(DAY - 1));
        assert!(is_night(DAY));
    }
}
