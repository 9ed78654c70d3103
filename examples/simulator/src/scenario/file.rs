//! Scenarios in files.

use std::{fs, io, path::Path, str::FromStr};

use serde::Deserialize;
use thiserror::Error;

use super::{NotAChange, Scenario};
use crate::payload::Break;

/// A file: its keys are the options, its values lists of what they take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// What happens in the simulation.
    pub scenario: Scenario,
    /// What is wrong with the inputs on their way.
    pub broken: Option<Break>,
}

/// A file that says no scenario.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("--scenario {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It has nothing in it.
    #[error("--scenario {path}: is empty: give drift, attack, season, new-merchants or break")]
    Empty {
        /// The file.
        path: String,
    },
    /// It is not YAML, or has other keys.
    #[error("--scenario {path}: {problem}")]
    Form {
        /// The file.
        path: String,
        /// Where and what.
        problem: String,
    },
    /// An entry makes no sense.
    #[error("--scenario {path}: {field}[{index}] {value}")]
    Entry {
        /// The file.
        path: String,
        /// The key.
        field: &'static str,
        /// Which entry, from 0.
        index: usize,
        /// What was given.
        value: String,
        /// What is wrong.
        source: NotAChange,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    #[serde(default)]
    drift: Vec<String>,
    #[serde(default)]
    attack: Vec<String>,
    #[serde(default)]
    season: Vec<String>,
    #[serde(default)]
    new_merchants: Vec<String>,
    r#break: Option<Break>,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self, FileError> {
        let path = path.to_owned();
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Err(FileError::Empty { path });
        }
        let raw: Raw = serde_yaml::from_str(text).map_err(|error| FileError::Form {
            path: path.clone(),
            problem: problem(&error, text),
        })?;
        let Raw {
            drift,
            attack,
            season,
            new_merchants,
            r#break: broken,
        } = raw;
        let scenario = Scenario {
            drifts: entries("drift", &drift, &path)?,
            attacks: entries("attack", &attack, &path)?,
            seasons: entries("season", &season, &path)?,
            growth: entries("new-merchants", &new_merchants, &path)?,
        };
        if scenario == Scenario::default() && broken.is_none() {
            return Err(FileError::Empty { path });
        }
        Ok(Self { scenario, broken })
    }
}

fn entries<T: FromStr<Err = NotAChange>>(
    field: &'static str,
    texts: &[String],
    path: &str,
) -> Result<Vec<T>, FileError> {
    let parse = |(index, text): (usize, &String)| {
        text.parse().map_err(|source| FileError::Entry {
            path: path.to_owned(),
            field,
            index,
            value: text.clone(),
            source,
        })
    };
    texts.iter().enumerate().map(parse).collect()
}

/// What is wrong, and the line that it is in, which names the key.
fn problem(error: &serde_yaml::Error, text: &str) -> String {
    // What follows the first line is a drawing of the place.
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
    let line = line.and_then(|line| text.lines().nth(line.checked_sub(1)?));
    match line {
        Some(line) => format!("{message}, in `{}`", line.trim()),
        None => message.to_owned(),
    }
}
