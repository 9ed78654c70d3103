//! `stream`, as a person and as a scorer see it. Servers are on the loopback interface.

mod bad_input;
mod lines;
mod load;
mod server;
mod tls;

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A world of some 4,000 transactions, 3,200 of them after day 10. It is so small that most of them are fraud.
const SMALL: [&str; 10] = [
    "--customers",
    "60",
    "--terminals",
    "40",
    "--days",
    "40",
    "--radius",
    "30",
    "--threads",
    "1",
];

/// The program with the small world and more arguments.
fn simulator(command: &str, arguments: &[&str]) -> Command {
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_fraudops-simulator"));
    simulator.arg(command).args(SMALL).args(arguments);
    simulator.stdin(Stdio::null());
    simulator
}

fn stream(arguments: &[&str]) -> Output {
    simulator("stream", arguments)
        .output()
        .expect("the simulator runs")
}

/// The last line of JSON on the standard error.
#[track_caller]
fn summary(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().rfind(|line| line.contains(r#""event":"summary""#));
    serde_json::from_str(line.unwrap_or_else(|| panic!("a summary in {stderr:?}"))).expect("JSON")
}

#[track_caller]
fn succeeded(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    summary(output)
}

#[track_caller]
fn refused(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "expected a refusal, not {stderr:?}");
    assert!(stderr.contains(message), "expected {message:?} in {stderr:?}");
}

/// Asks again and again until there is an answer.
fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} within 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}
