//! The scorer's command line.

use std::{process::ExitCode, sync::Arc};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use fraudops_scorer::{
    access,
    check::check,
    config::{Cli, Command, Effective},
    model::{artifact, trial},
    serve::serve,
    telemetry::{Lossy, start_logs},
};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let logs = start_logs(cli.log_format, &cli.log_filter);
    let code = run(cli.command, &matches, &logs);
    logs.flush();
    code
}

fn run(command: Command, matches: &ArgMatches, logs: &Arc<Lossy>) -> ExitCode {
    match command {
        Command::Serve(mut arguments) => {
            arguments.effective = Effective::of(matches);
            if arguments.print_config {
                print!("{}", arguments.effective.lines());
                return ExitCode::SUCCESS;
            }
            serve(*arguments, Arc::clone(logs)).unwrap_or_else(|error| {
                tracing::error!(error = format!("{error:#}"), "the scorer cannot run");
                ExitCode::FAILURE
            })
        }
        Command::Check(arguments) => {
            let (report, servable) = check(&arguments);
            println!("{report}");
            code(servable)
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
            code(servable)
        }
        Command::Fetch(arguments) => artifact::run(&arguments),
    }
}

fn code(servable: bool) -> ExitCode {
    if servable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
