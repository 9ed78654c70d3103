//! What changes on some days: drifts, attacks, seasons and new merchants.
//!
//! Each is written as `NAME=VALUE@DAYS`, on the command line as in files. Days are counted from 0; `100` means from
//! day 100 on, `100..110` the ten days from 100 to 109.

mod days;
mod file;

use std::{ops::RangeInclusive, str::FromStr};

use thiserror::Error;

use crate::settings::{InvalidSetting, invalid};

pub use days::Days;
pub use file::{File, FileError};

/// What differs from the handbook's world. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Changes of what honest customers do.
    pub drifts: Vec<Drift>,
    /// Changes of what criminals do.
    pub attacks: Vec<Attack>,
    /// Weeks like those before Christmas.
    pub seasons: Vec<Season>,
    /// Terminals that open later.
    pub growth: Vec<Growth>,
}

/// A change of what honest customers do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// What changes.
    pub what: Habit,
    /// By how much.
    pub value: f64,
    /// When.
    pub days: Days,
}

/// What a drift changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Every amount is multiplied, frauds included. What is fraud does not change, so genuine amounts may exceed 220.
    AmountScale,
    /// The number of purchases is multiplied.
    RateScale,
    /// Purchases are made so many hours later in the day; those after midnight are not made.
    HourShift,
}

/// A change of what criminals do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attack {
    /// What they do more of.
    pub what: Crime,
    /// How much more, or how many.
    pub value: f64,
    /// When.
    pub days: Days,
}

/// What an attack does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crime {
    /// So many times as many terminals are compromised each day.
    TerminalRate,
    /// So many times as many cards are stolen each day.
    CardRate,
    /// So many stolen cards are tried out each day, all within an hour at one terminal, for 0.50 to 2.50.
    CardTesting,
}

/// A shopping season: 1.4 times as many purchases, 1.25 times the amounts, an hour later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Season(pub Days);

/// New terminals, which have no history and so no risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// How many open each day.
    pub per_day: u32,
    /// When.
    pub days: Days,
}

const SEASON: [(Habit, f64); 3] = [
    (Habit::AmountScale, 1.25),
    (Habit::RateScale, 1.4),
    (Habit::HourShift, 1.0),
];
/// More terminals than this are no simulation.
const MAX_NEW_TERMINALS: u64 = 10_000_000;

/// Text that says no change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAChange {
    /// Not of the form.
    #[error("must have the form {0}")]
    Form(&'static str),
    /// An unknown name.
    #[error("{name} is unknown: use {known}")]
    Name {
        /// What was given.
        name: String,
        /// What there is.
        known: &'static str,
    },
    /// A value that makes no sense.
    #[error("{name} must be {range}")]
    Value {
        /// Whose value.
        name: &'static str,
        /// What would do.
        range: &'static str,
    },
    /// No days.
    #[error("days must be DAY or FROM..UNTIL, from 0")]
    Days,
    /// The end is not after the start.
    #[error("the days end before they start: {0} must be after {1}")]
    Backwards(u32, u32),
}

impl Scenario {
    /// Factor of amounts on a day.
    #[must_use]
    pub fn amount_scale(&self, day: u32) -> f64 {
        self.habits(Habit::AmountScale, day).product()
    }

    /// Factor of the number of purchases on a day.
    #[must_use]
    pub fn rate_scale(&self, day: u32) -> f64 {
        self.habits(Habit::RateScale, day).product()
    }

    /// Hours by which purchases are made later on a day.
    #[must_use]
    pub fn hour_shift(&self, day: u32) -> f64 {
        self.habits(Habit::HourShift, day).sum()
    }

    /// Factor of the number of terminals that are compromised on a day.
    #[must_use]
    pub fn terminal_rate(&self, day: u32) -> f64 {
        self.crimes(Crime::TerminalRate, day).product()
    }

    /// Factor of the number of cards that are stolen on a day.
    #[must_use]
    pub fn card_rate(&self, day: u32) -> f64 {
        self.crimes(Crime::CardRate, day).product()
    }

    /// Number of stolen cards that are tried out on a day.
    #[must_use]
    pub fn card_tests(&self, day: u32) -> u32 {
        self.crimes(Crime::CardTesting, day).sum::<f64>() as u32
    }

    /// The day on which each new terminal opens, ascending.
    #[must_use]
    pub fn openings(&self, days: u32) -> Vec<u32> {
        let on = |day| self.growth.iter().filter(move |growth| growth.days.contains(day));
        (0..days)
            .flat_map(|day| on(day).flat_map(move |growth| std::iter::repeat_n(day, growth.per_day as usize)))
            .collect()
    }

    /// Number of terminals that open in so many days.
    #[must_use]
    pub fn new_terminals(&self, days: u32) -> u64 {
        let count = |growth: &Growth| u64::from(growth.per_day) * u64::from(growth.days.within(days));
        self.growth.iter().map(count).sum()
    }

    /// Checks that everything begins within so many days.
    pub fn check(&self, days: u32) -> Result<(), InvalidSetting> {
        let drifts = self.drifts.iter().map(|drift| ("drift", drift.days));
        let attacks = self.attacks.iter().map(|attack| ("attack", attack.days));
        let seasons = self.seasons.iter().map(|season| ("season", season.0));
        let growth = self.growth.iter().map(|growth| ("new-merchants", growth.days));
        for (field, at) in drifts.chain(attacks).chain(seasons).chain(growth) {
            if at.from >= days {
                let problem = format!("begins after the last day, {}: give more --days", days - 1);
                return Err(invalid(field, &format!("@{at}"), &problem));
            }
        }
        let new = self.new_terminals(days);
        if new > MAX_NEW_TERMINALS {
            let problem = format!("at most {MAX_NEW_TERMINALS} terminals may open");
            return Err(invalid("new-merchants", &new, &problem));
        }
        Ok(())
    }

    fn habits(&self, what: Habit, day: u32) -> impl Iterator<Item = f64> {
        let drifts = self
            .drifts
            .iter()
            .filter(move |drift| drift.what == what && drift.days.contains(day));
        let seasons = self.seasons.iter().filter(move |season| season.0.contains(day));
        let of_season = SEASON.into_iter().filter(move |(habit, _)| *habit == what);
        let seasonal = seasons.flat_map(move |_| of_season.clone().map(|(_, value)| value));
        drifts.map(|drift| drift.value).chain(seasonal)
    }

    fn crimes(&self, what: Crime, day: u32) -> impl Iterator<Item = f64> {
        let attacks = self
            .attacks
            .iter()
            .filter(move |attack| attack.what == what && attack.days.contains(day));
        attacks.map(|attack| attack.value)
    }
}

const DRIFT: &str = "NAME=VALUE@DAYS, such as amount_scale=1.2@100";
const ATTACK: &str = "NAME=VALUE@DAYS, such as s2_rate=10@120..127";
const GROWTH: &str = "PER_DAY@DAYS, such as 20@100..130";

impl FromStr for Drift {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let known = "amount_scale, rate_scale or hour_shift";
        let (what, value, days) = change(text, DRIFT, known, |name| match name {
            "amount_scale" => Some((Habit::AmountScale, 0.001..=1_000.0, "a factor from 0.001 to 1000")),
            "rate_scale" => Some((Habit::RateScale, 0.0..=100.0, "a factor from 0 to 100")),
            "hour_shift" => Some((Habit::HourShift, -12.0..=12.0, "hours from -12 to 12")),
            _ => None,
        })?;
        Ok(Self { what, value, days })
    }
}

impl FromStr for Attack {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let known = "s2_rate, s3_rate or card_testing";
        let (what, value, days) = change(text, ATTACK, known, |name| match name {
            "s2_rate" => Some((Crime::TerminalRate, 0.0..=1_000.0, "a factor from 0 to 1000")),
            "s3_rate" => Some((Crime::CardRate, 0.0..=1_000.0, "a factor from 0 to 1000")),
            "card_testing" => Some((Crime::CardTesting, 1.0..=1e6, "cards a day, from 1 to 1000000")),
            _ => None,
        })?;
        Ok(Self { what, value, days })
    }
}

impl FromStr for Season {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        text.parse().map(Self)
    }
}

impl FromStr for Growth {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let (per_day, days) = text.split_once('@').ok_or(NotAChange::Form(GROWTH))?;
        let per_day = per_day.parse().ok().filter(|count| (1..=100_000).contains(count));
        let (name, range) = ("the number", "1 to 100000 a day");
        Ok(Self {
            per_day: per_day.ok_or(NotAChange::Value { name, range })?,
            days: days.parse()?,
        })
    }
}

/// What a name stands for, the values that it may have, and these in words.
type Meaning<T> = (T, RangeInclusive<f64>, &'static str);

fn change<T>(
    text: &str,
    form: &'static str,
    known: &'static str,
    meaning: impl Fn(&str) -> Option<Meaning<T>>,
) -> Result<(T, f64, Days), NotAChange> {
    let (name, rest) = text.split_once('=').ok_or(NotAChange::Form(form))?;
    let (value, days) = rest.split_once('@').ok_or(NotAChange::Form(form))?;
    let (what, allowed, range) = meaning(name).ok_or_else(|| NotAChange::Name {
        name: name.to_owned(),
        known,
    })?;
    let value = value.parse().ok().filter(|value| allowed.contains(value));
    let name = "the value";
    Ok((
        what,
        value.ok_or(NotAChange::Value { name, range })?,
        days.parse()?,
    ))
}

#[cfg(test)]
mod tests;
