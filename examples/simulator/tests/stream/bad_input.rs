//! What cannot be done is said with the field, and ends with an error.

use std::{fs, time::Duration};

use super::{
    refused,
    server::{Behaviour, Server},
    simulator, stream,
};

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    for (arguments, message) in [
        (
            &["--from-day", "40"][..],
            "--from-day 40: the simulation has days 0 to 39: give more --days",
        ),
        (
            &["--until-day", "37"],
            "--until-day 37: the end must be after the start, --from-day 37",
        ),
        (
            &["--until-day", "99"],
            "--until-day 99: the simulation ends with day 39",
        ),
        (
            &["--rate", "0"],
            "invalid value '0' for '--rate <N>': must be a number above 0, or `max`",
        ),
        (&["--rate", "5", "--speedup", "2"], "cannot be used with"),
        (
            &["--first-id", "9000000000000001"],
            "must be a whole number up to 9000000000000000, or `now`",
        ),
        (&["--duration", "0"], "must be a number of seconds above 0"),
        (
            &["--connections", "0"],
            "invalid value '0' for '--connections <N>'",
        ),
        (
            &["--label-never", "2"],
            "--label-never 2: must be a share from 0 to 1",
        ),
        (
            &["--label-delay=-1"],
            "--label-delay -1: must be a number of days from 0 to 36500",
        ),
        (&["--chargeback-spread", "1"], "--chargeback-median <DAYS>"),
        (
            &["--protocol", "v2"],
            "--model : --protocol v2 needs the model's name",
        ),
        (&["--model", "m"], "--model m: only --protocol v2 names a model"),
        (
            &["--break", "everything"],
            "[possible values: risk_zero, customer_zero, cents, swap]",
        ),
        (
            &["--drift", "amount_scale=2"],
            "must have the form NAME=VALUE@DAYS",
        ),
        (
            &["--attack", "s2_rate=2@9..3"],
            "the days end before they start: 3 must be after 9",
        ),
        (
            &["--season", "50..60"],
            "--season @50..60: begins after the last day, 39: give more --days",
        ),
        (
            &["--truth"],
            "--truth true: no scorer is told the truth: use --to -",
        ),
        (
            &["--token-file", "/no/such/file"],
            "--token-file /no/such/file: No such file",
        ),
    ] {
        refused(
            &stream(&[&["--to", "http://127.0.0.1:1"], arguments].concat()),
            message,
        );
    }
    refused(
        &stream(&["--to", "localhost:8080"]),
        "--to localhost:8080: must be http://HOST[:PORT]",
    );
    refused(
        &stream(&["--to", "https://localhost"]),
        "--cacert is missing: https://localhost needs",
    );
}

#[test]
fn a_world_without_customers_is_refused() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fraudops-simulator"))
        .args(["stream", "--to", "-", "--customers", "0"])
        .output()
        .expect("the simulator runs");
    refused(&output, "--customers 0: at least 1 customer is needed");
}

#[test]
fn scenario_files_that_say_nothing_or_nonsense_are_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a readable path");
    for (text, message) in [
        ("", "is empty: give drift, attack, season, new-merchants or break"),
        ("drift: [", "--scenario "),
        ("drifts: [x]", "drifts"),
        (
            "attack: [s2_rate=1@1, s2_rate=x@1]",
            "attack[1] s2_rate=x@1: the value must be a factor from 0 to 1000",
        ),
    ] {
        fs::write(path, text).expect("a file");
        refused(&stream(&["--to", "-", "--scenario", path]), message);
    }
    refused(
        &stream(&["--to", "-", "--scenario", "/no/such.yaml"]),
        "--scenario /no/such.yaml: No such file",
    );
    fs::write(path, "break: swap").expect("a file");
    let table = simulator("generate", &["--out", "-", "--scenario", path])
        .output()
        .expect("the simulator runs");
    refused(&table, "--scenario: break is for `stream`");
}

#[test]
fn a_server_that_is_not_there_is_an_error_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let url = format!("http://{free}");
    refused(
        &stream(&["--to", &url]),
        &format!("error: --to {url}: cannot connect: Connection refused"),
    );
}

#[test]
fn a_port_for_metrics_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let message = format!("error: --metrics-listen {address}: Address already in use");
    refused(&stream(&["--to", "-", "--metrics-listen", &address]), &message);
}

#[test]
fn a_server_that_answers_nothing_but_503_is_given_up() {
    let server = Server::start(Behaviour {
        refuse_first: usize::MAX,
        ..Behaviour::default()
    });
    let url = server.url();
    let output = stream(&["--to", &url, "--rate", "100", "--give-up-after", "0.5"]);
    refused(
        &output,
        &format!("error: --to {url}: no decision for 0.5 s: HTTP 503"),
    );
    refused(&output, r#""event":"summary""#);
    let short = stream(&["--to", &url, "--rate", "100", "--limit", "3"]);
    refused(
        &short,
        &format!("error: --to {url}: no request got a decision: HTTP 503"),
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(Behaviour {
        delay: Duration::from_secs(60),
        ..Behaviour::default()
    });
    let url = server.url();
    let output = stream(&["--to", &url, "--timeout", "1", "--give-up-after", "1.5"]);
    refused(&output, "no decision for 1.5 s: no answer within --timeout");
}
