//! Traces to a collector: sent when one answers, harmless when it is dead.

use std::{
    io::Read,
    net::TcpListener,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Connection, post_bytes},
    server::{PATIENCE, Server, good},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A server that exports to a collector which accepts and never answers; and what that collector reads first.
fn with_deaf_collector(sampler: &str) -> (Server, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, first) = channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = vec![0; PREFACE.len()];
            if stream.read_exact(&mut bytes).is_ok() {
                let _ = sender.send(bytes);
            }
            held.push(stream);
        }
    });
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", sampler),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let server = Server::start_with(&["--drain-delay", "100ms", "--workers", "1"], &environment);
    server.wait_until_ready();
    (server, first)
}

fn post_with(server: &Server, header: &str) {
    let mut connection = Connection::open(server.http).unwrap();
    connection
        .send(post_bytes(&good()).replacen("host: scorer", &format!("host: scorer{header}"), 1))
        .unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
}

#[test]
fn a_dead_collector_costs_no_answer_and_hardly_delays_the_end() {
    let (mut server, first) = with_deaf_collector("always_on");
    for _ in 0..50 {
        post_with(&server, "");
    }
    assert_eq!(first.recv_timeout(PATIENCE).expect("spans are sent"), PREFACE);
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_sampled_parent_is_traced_and_nothing_else_is() {
    let (server, first) = with_deaf_collector("always_off");
    for _ in 0..50 {
        post_with(&server, "");
    }
    let silent = first.recv_timeout(Duration::from_millis(500));
    assert!(
        silent.is_err(),
        "nothing was sampled, but the collector was called"
    );
    post_with(
        &server,
        "\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    assert_eq!(first.recv_timeout(PATIENCE).expect("the span is sent"), PREFACE);
}
