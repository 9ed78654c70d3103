//! Flags about who may call.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};

/// Who may call, and how often.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Options {
    /// Folder with the tokens of clients, a file for each client: requests need one then. See `fraudops-scorer token`.
    #[arg(long, env = "FRAUDOPS_TOKENS", value_name = "DIR")]
    pub tokens: Option<PathBuf>,
    /// Requests a second of each client, in this process. Not limited when absent.
    #[arg(long, env = "FRAUDOPS_RATE_LIMIT", value_parser = rate)]
    pub rate_limit: Option<f64>,
    /// Requests that a client may send at once; as many as in a second when absent.
    #[arg(long, env = "FRAUDOPS_RATE_BURST", requires = "rate_limit", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_burst: Option<u32>,
    /// Clients without a token are told apart by X-Real-Ip: only where every request comes through a proxy that sets it.
    #[arg(long, env = "FRAUDOPS_TRUST_FORWARDED", value_parser = BoolishValueParser::new())]
    pub trust_forwarded: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=1e6).contains(rate));
    rate.ok_or_else(|| "give requests a second, from 0.01 to 1000000".to_owned())
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
        let program = Program::try_parse_from(["program"].iter().chain(arguments))?;
        Ok(program.options)
    }

    #[test]
    fn rates_are_checked() {
        assert_eq!(parse(&["--rate-limit", "50"]).unwrap().rate_limit, Some(50.0));
        for bad in [
            &["--rate-limit", "0"][..],
            &["--rate-limit", "NaN"],
            &["--rate-limit", "many"],
            &["--rate-burst", "5"],
            &["--rate-limit", "5", "--rate-burst", "0"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_proxy_is_not_trusted_unless_it_is_said() {
        assert!(!parse(&[]).unwrap().trust_forwarded);
        assert!(parse(&["--trust-forwarded"]).unwrap().trust_forwarded);
    }
}
