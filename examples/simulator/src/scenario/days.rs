//! Some days of a simulation.

use std::{fmt, str::FromStr};

use super::NotAChange;

/// Days from one on, or until another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first one, from 0.
    pub from: u32,
    /// The one after the last one; none: to the end.
    pub until: Option<u32>,
}

impl Days {
    /// Whether a day is one of them.
    #[must_use]
    pub fn contains(self, day: u32) -> bool {
        day >= self.from && self.until.is_none_or(|until| day < until)
    }

    /// How many of them lie within so many days.
    #[must_use]
    pub fn within(self, days: u32) -> u32 {
        let until = self.until.unwrap_or(days).min(days);
        until.saturating_sub(self.from)
    }
}

impl FromStr for Days {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let day = |text: &str| text.parse().map_err(|_| NotAChange::Days);
        let Some((from, until)) = text.split_once("..") else {
            let (from, until) = (day(text)?, None);
            return Ok(Self { from, until });
        };
        let (from, until) = (day(from)?, day(until)?);
        if until <= from {
            return Err(NotAChange::Backwards(until, from));
        }
        let until = Some(until);
        Ok(Self { from, until })
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => write!(f, "{}", self.from),
            Some(until) => write!(f, "{}..{until}", self.from),
        }
    }
}
