//! A scorer under load.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::{
    eventually,
    server::{Behaviour, Server},
    simulator, stream, succeeded, summary,
};

#[test]
fn transactions_are_asked_about_and_labels_follow_with_their_receipts() {
    let server = Server::start(Behaviour::default());
    let url = server.url();
    let output = stream(&[
        "--to",
        &url,
        "--rate",
        "max",
        "--from-day",
        "10",
        "--first-id",
        "1000000",
    ]);
    let summary = succeeded(&output);
    let seen = server.seen();
    let sent = seen.predictions.len();
    assert!(sent > 2_000, "{sent}");
    assert_eq!(summary["sent"], sent);
    assert_eq!(summary["failures"], json!({}));
    let decided: u64 = ["approve", "review", "block"]
        .iter()
        .filter_map(|d| summary["decisions"][d].as_u64())
        .sum();
    assert_eq!(decided as usize, sent);
    assert!(
        seen.predictions
            .iter()
            .all(|body| body["TRANSACTION_ID"].as_u64() >= Some(1_000_000))
    );

    let last = seen
        .predictions
        .iter()
        .filter_map(|body| body["TX_TIME_SECONDS"].as_u64())
        .max()
        .expect("a time");
    let due = seen
        .predictions
        .iter()
        .filter(|body| body["TX_TIME_SECONDS"].as_u64() <= last.checked_sub(7 * 86_400));
    assert_eq!(seen.labels.len(), due.count());
    assert_eq!(
        summary["feedback"],
        json!({"counted": seen.labels.len(), "repeated": 0, "refused": 0, "failed": 0})
    );
    let frauds = seen
        .labels
        .iter()
        .filter(|label| label["label"] == "fraud")
        .count();
    assert_eq!(
        summary["labels"],
        json!({"fraud": frauds, "genuine": seen.labels.len() - frauds})
    );
    assert!(
        frauds > 0 && summary["block"]["precision"].as_f64() > Some(0.9),
        "{summary}"
    );
    assert!(summary["review"]["recall"].as_f64() >= summary["block"]["recall"].as_f64());
    assert!(
        seen.connections <= 17,
        "16 connections and one for feedback: {}",
        seen.connections
    );
}

#[test]
fn labels_can_stay_away() {
    let server = Server::start(Behaviour::default());
    let url = server.url();
    let common = ["--to", &url, "--rate", "max", "--from-day", "10"];
    let never = succeeded(&stream(&[&common[..], &["--label-never", "1"]].concat()));
    assert_eq!(never["labels"], json!({"fraud": 0, "genuine": 0}));
    let silent = succeeded(&stream(&[&common[..], &["--no-feedback"]].concat()));
    assert!(silent["labels"]["fraud"].as_u64() > Some(1_000), "{silent}");
    assert_eq!(server.seen().labels.len(), 0);
}

#[test]
fn the_open_inference_protocol_gets_tensors() {
    let server = Server::start(Behaviour::default());
    let url = server.url();
    let arguments = [
        "--to",
        &url,
        "--protocol",
        "v2",
        "--model",
        "m",
        "--rate",
        "max",
        "--limit",
        "50",
    ];
    let summary = succeeded(&stream(&arguments));
    assert_eq!(summary["decisions"]["review"], 50);
    assert_eq!(server.seen().predictions[0]["inputs"][0]["shape"], json!([1, 15]));
}

#[test]
fn a_stalled_server_is_not_asked_less_and_its_stall_is_seen() {
    let server = Server::start(Behaviour {
        first_delay: Duration::from_millis(600),
        ..Behaviour::default()
    });
    let url = server.url();
    let arguments = [
        "--to",
        &url,
        "--connections",
        "1",
        "--rate",
        "200",
        "--limit",
        "200",
        "--no-feedback",
    ];
    let summary = succeeded(&stream(&arguments));
    assert_eq!(summary["sent"], 200);
    // 120 transactions were due while the first was not answered: a closed loop would see a single slow one.
    assert!(summary["latency_ms"]["p90"].as_f64() > Some(300.0), "{summary}");
    assert!(summary["behind_ms"].as_f64() > Some(300.0), "{summary}");
}

#[test]
fn nothing_is_sent_twice_unless_retries_are_on() {
    let refusing = || {
        Server::start(Behaviour {
            refuse_first: 1,
            ..Behaviour::default()
        })
    };
    let run = |retries: &str| {
        let url = refusing().url();
        let arguments = [
            "--to",
            &url,
            "--connections",
            "1",
            "--rate",
            "max",
            "--limit",
            "20",
            "--retries",
            retries,
        ];
        succeeded(&stream(&arguments))
    };
    let off = run("0");
    assert_eq!(
        (&off["failures"], &off["retries"]),
        (&json!({"http_503": 1}), &json!(0))
    );
    let on = run("1");
    assert_eq!((&on["failures"], &on["retries"]), (&json!({}), &json!(1)));
}

#[test]
fn an_interrupt_ends_with_the_summary_and_metrics_are_there_until_then() {
    let server = Server::start(Behaviour::default());
    let url = server.url();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let metrics = free.to_string();
    let arguments = [
        "--to",
        &url,
        "--rate",
        "50",
        "--metrics-listen",
        &metrics,
        "--interval",
        "0.1",
    ];
    let child = simulator("stream", &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator runs");
    let page = eventually("a page of metrics with ten decisions", || {
        let mut stream = TcpStream::connect(free).ok()?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        let decided = page
            .lines()
            .find(|line| line.starts_with("fraud_simulator_decisions_total{decision=\"approve\"}"))?;
        let count: u32 = decided.rsplit(' ').next()?.parse().ok()?;
        (count >= 10).then_some(page)
    });
    assert!(page.contains("application/openmetrics-text"), "{page}");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("a signal");
    let output = child.wait_with_output().expect("the simulator ends");
    assert!(output.status.success());
    assert!(summary(&output)["sent"].as_u64() > Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains(r#""event":"progress","recent_rate":"#));
}

#[test]
fn a_server_that_closes_connections_costs_no_transaction() {
    let server = Server::start(Behaviour {
        is_closing: true,
        ..Behaviour::default()
    });
    let url = server.url();
    let summary = succeeded(&stream(&["--to", &url, "--rate", "200", "--limit", "50"]));
    assert_eq!(summary["failures"], json!({}));
    assert_eq!(server.seen().predictions.len(), 50);
    assert!(server.seen().connections >= 50);
}

#[test]
fn a_token_is_shown() {
    let server = Server::start(Behaviour::default());
    let url = server.url();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "secret\n").expect("a file");
    let path = file.path().to_str().expect("a readable path");
    succeeded(&stream(&[
        "--to",
        &url,
        "--rate",
        "max",
        "--limit",
        "1",
        "--token-file",
        path,
    ]));
    assert_eq!(server.seen().authorization.as_deref(), Some("Bearer secret"));
}
