//! The scorer's command line.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use fraudops_scorer::{
    check::check,
    config::{Cli, Command},
    model::{artifact, trial},
    serve::serve,
    telemetry::{Lossy, start_logs},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let logs = start_logs(cli.log_format, &cli.log_filter);
    let code = run(cli.command, &logs);
    logs.flush();
    code
}

fn run(command: Command, logs: &Arc<Lossy>) -> ExitCode {
    match command {
        Command::Serve(arguments) => serve(*arguments, Arc::clone(logs)).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "the scorer cannot run");
            ExitCode::FAILURE
        }),
        Command::Check(arguments) => {
            let (report, servable) = check(&arguments);
            println!("{report}");
            code(servable)
        }
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
