//! The scorer's command line.

use std::process::ExitCode;

use clap::Parser;
use fraudops_scorer::{
    access,
    check::check,
    config::{Cli, Command},
    model::{artifact, trial},
    serve::serve,
    telemetry::start_logs,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logs(cli.log_format, &cli.log_filter);
    match cli.command {
        Command::Serve(arguments) => serve(*arguments).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "the scorer cannot run");
            ExitCode::FAILURE
        }),
        Command::Check(arguments) => {
            let (report, servable) = check(&arguments);
            println!("{report}");
            if servable {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Command::Token(arguments) => match access::issue(&arguments) {
            Ok(issued) => {
                println!("{}\n{}", issued.token, issued.line);
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!(error, "no token can be made");
                ExitCode::FAILURE
            }
        },
        Command::Trial(arguments) => {
            let (line, servable) = trial::run(&arguments);
            println!("{line}");
            if servable {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Command::Fetch(arguments) => artifact::run(&arguments),
    }
}
