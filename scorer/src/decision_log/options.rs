//! Where the log goes, and what it holds.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::Args;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Off,
    /// Standard output; nothing else is written there.
    Stdout,
    /// A file, which is rotated by size.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "off" => Self::Off,
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

/// Flags of the decision log.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Where decisions are logged: `off`, `stdout`, or a file.
    #[arg(
        id = "decision_log",
        long = "decision-log",
        env = "FRAUDOPS_DECISION_LOG",
        value_name = "off|stdout|PATH",
        default_value = "off"
    )]
    pub to: Destination,
    /// File with the key of the pseudonyms of ids, 32 bytes or more as base64. Without it ids are left out.
    #[arg(
        id = "decision_log_key",
        long = "decision-log-key",
        env = "FRAUDOPS_DECISION_LOG_KEY"
    )]
    pub key: Option<PathBuf>,
    /// Share of the approvals that are logged, 0 to 1. Blocks and reviews always are.
    #[arg(
        id = "decision_log_approvals",
        long = "decision-log-approvals",
        env = "FRAUDOPS_DECISION_LOG_APPROVALS",
        default_value = "0.01",
        value_parser = share
    )]
    pub approvals: f64,
    /// Size at which the file is rotated, in bytes.
    #[arg(
        id = "decision_log_max_bytes",
        long = "decision-log-max-bytes",
        env = "FRAUDOPS_DECISION_LOG_MAX_BYTES",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(1 << 20..)
    )]
    pub max_bytes: u64,
    /// Rotated files that are kept beside the current one.
    #[arg(
        id = "decision_log_old_files",
        long = "decision-log-old-files",
        env = "FRAUDOPS_DECISION_LOG_OLD_FILES",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub old_files: u32,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a share from 0 to 1, such as 0.01".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["program"].iter().chain(arguments);
        Program::try_parse_from(all).map(|program| program.options)
    }

    #[test]
    fn the_destination_is_a_word_or_a_path() {
        assert_eq!(parse(&[]).unwrap().to, Destination::Off);
        assert_eq!(
            parse(&["--decision-log", "stdout"]).unwrap().to,
            Destination::Stdout
        );
        let path = parse(&["--decision-log", "/var/log/decisions.jsonl"]).unwrap().to;
        assert_eq!(path, Destination::File("/var/log/decisions.jsonl".into()));
    }

    #[test]
    fn shares_and_sizes_are_checked() {
        assert_eq!(parse(&[]).unwrap().approvals, 0.01);
        for bad in [
            ["--decision-log-approvals", "1.5"],
            ["--decision-log-approvals", "NaN"],
            ["--decision-log-max-bytes", "10"],
            ["--decision-log-old-files", "0"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
