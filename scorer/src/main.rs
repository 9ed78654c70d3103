//! The scorer's command line.

use std::{
    env,
    io::{self, Write as _},
    os::unix::process::CommandExt,
    process::{self, ExitCode},
    sync::Arc,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use fraudops_scorer::{
    access,
    check::check,
    config::{Cli, Command, Effective},
    model::{NO_TELEMETRY, artifact, trial},
    serve::serve,
    telemetry::{Lossy, start_logs},
};

fn main() -> ExitCode {
    if let Some(error) = start_again_without_telemetry() {
        eprintln!("fraudops-scorer: {} cannot be set: {error}", NO_TELEMETRY.0);
        return ExitCode::FAILURE;
    }
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let logs = start_logs(cli.log_format, &cli.log_filter);
    let code = run(cli.command, &matches, &logs);
    logs.flush();
    code
}

/// ONNX Runtime's official builds report to their maker from the moment that they are loaded, unless a variable says
/// otherwise. A process cannot set its own safely, so it becomes itself once more; none when the variable is there.
fn start_again_without_telemetry() -> Option<std::io::Error> {
    let (name, value) = NO_TELEMETRY;
    if env::var_os(name).is_some() {
        return None;
    }
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error),
    };
    let mut arguments = env::args_os();
    let mut again = process::Command::new(program);
    if let Some(called) = arguments.next() {
        again.arg0(called);
    }
    Some(again.args(arguments).env(name, value).exec())
}

fn run(command: Command, matches: &ArgMatches, logs: &Arc<Lossy>) -> ExitCode {
    match command {
        Command::Serve(mut arguments) => {
            arguments.effective = Effective::of(matches);
            if arguments.print_config {
                return say(arguments.effective.lines().trim_end(), ExitCode::SUCCESS);
            }
            serve(*arguments, Arc::clone(logs)).unwrap_or_else(|error| {
                tracing::error!(error = format!("{error:#}"), "the scorer cannot run");
                ExitCode::FAILURE
            })
        }
        Command::Check(arguments) => {
            let (report, servable) = check(&arguments);
            say(&report, code(servable))
        }
        Command::Token(arguments) => match access::issue(&arguments) {
            Ok(issued) => say(&format!("{}\n{}", issued.token, issued.line), ExitCode::SUCCESS),
            Err(error) => {
                tracing::error!(error, "no token can be made");
                ExitCode::FAILURE
            }
        },
        Command::Trial(arguments) => {
            let (line, servable) = trial::run(&arguments);
            say(&line, code(servable))
        }
        Command::Fetch(arguments) => artifact::run(&arguments),
    }
}

/// Prints a result. A reader who has seen enough and left is no news; a token that nobody could read is.
fn say(result: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match writeln!(out, "{result}").and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "the result cannot be written");
            }
            ExitCode::FAILURE
        }
    }
}

fn code(servable: bool) -> ExitCode {
    if servable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
