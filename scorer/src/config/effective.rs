//! What a command was told in the end: flags, environment and defaults together, for the log and for `--print-config`.

use std::fmt;

use clap::{Arg, ArgMatches, Command, CommandFactory, parser::ValueSource};

use super::Cli;

/// Every flag with its value and where that comes from. Values that may name people are told by their size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective(Vec<Flag>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Flag {
    name: String,
    value: String,
    source: &'static str,
}

impl Effective {
    /// The flags of the subcommand that was called.
    pub fn of(matches: &ArgMatches) -> Self {
        let mut cli = Cli::command();
        cli.build();
        let Some((name, matches)) = matches.subcommand() else {
            return Self::default();
        };
        let flags = cli.find_subcommand(name).map(Command::get_arguments);
        Self(
            flags
                .into_iter()
                .flatten()
                .filter_map(|flag| Flag::of(flag, matches))
                .collect(),
        )
    }

    /// One flag on each line, with its source.
    pub fn lines(&self) -> String {
        let lines = self.0.iter().map(|flag| format!("{flag}  # {}\n", flag.source));
        lines.collect()
    }
}

/// On one line, as one would type it.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, flag) in self.0.iter().enumerate() {
            write!(f, "{}{flag}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl Flag {
    fn of(flag: &Arg, matches: &ArgMatches) -> Option<Self> {
        let id = flag.get_id().as_str();
        let source = match matches.value_source(id)? {
            ValueSource::CommandLine => "flag",
            ValueSource::EnvVariable => "environment",
            _ => "default",
        };
        let values = matches.get_raw(id)?.map(|value| value.to_string_lossy());
        let value = values.collect::<Vec<_>>().join(",");
        Some(Self {
            name: flag.get_long().unwrap_or(id).to_owned(),
            value: if flag.is_hide_env_values_set() {
                format!("<{} bytes>", value.len())
            } else {
                value
            },
            source,
        })
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+*".contains(c);
        if self.value.chars().all(plain) {
            write!(f, "--{}={}", self.name, self.value)
        } else {
            write!(f, "--{}={:?}", self.name, self.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(arguments: &[&str]) -> Effective {
        let all = ["fraudops-scorer", "serve", "--model", "m.onnx"];
        let matches = Cli::command().try_get_matches_from(all.iter().chain(arguments));
        Effective::of(&matches.unwrap())
    }

    #[test]
    fn every_flag_is_there_with_its_source() {
        let lines = effective(&["--deadline", "20ms"]).lines();
        for line in [
            "--model=m.onnx  # flag",
            "--deadline=20ms  # flag",
            "--max-connections=1024  # default",
            "--decision-log=off  # default",
        ] {
            assert!(lines.lines().any(|l| l == line), "{line} is missing in\n{lines}");
        }
        assert!(
            !lines.contains("--companion="),
            "what is not given has no value: {lines}"
        );
    }

    #[test]
    fn rules_and_lists_are_told_by_their_size() {
        let policy = r#"{"lists":{"blocked":{"values":[4711]}}}"#;
        let text = effective(&["--policy", policy]).to_string();
        assert!(
            text.contains(&format!("--policy=\"<{} bytes>\"", policy.len())),
            "{text}"
        );
        assert!(!text.contains("4711"), "{text}");
    }

    #[test]
    fn what_is_not_plain_is_quoted_and_stays_on_its_line() {
        let text = effective(&["--model-version", "a \"b\"\nc"]).to_string();
        assert!(text.contains(r#"--model-version="a \"b\"\nc""#), "{text}");
    }
}
