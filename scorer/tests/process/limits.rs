//! Sizes, times and numbers that a client cannot exceed.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Connection, get, post},
    server::{Server, good, poll},
};

const LIMIT: usize = 256 * 1024;

fn padded(size: usize) -> String {
    let body = good();
    let rest = size - body.len() - "\"PAD\":\"\",".len();
    body.replacen('{', &format!("{{\"PAD\":\"{}\",", "x".repeat(rest)), 1)
}

#[test]
fn a_body_of_the_limit_is_scored_and_a_larger_one_is_a_413() {
    let server = Server::ready(&["--workers", "1"]);
    assert_eq!(post(server.http, &padded(LIMIT)).status, 200);
    for size in [LIMIT + 1, 10_000_000] {
        let answer = post(server.http, &padded(size));
        assert_eq!(
            (answer.status, answer.header("connection")),
            (413, Some("close")),
            "{size}"
        );
    }
    assert_eq!(
        server.metric("fraud_request_errors_total{kind=\"too_large\"}"),
        2.0
    );
}

#[test]
fn a_chunked_body_has_the_same_limit() {
    let server = Server::ready(&["--workers", "1"]);
    let send = |size: usize| {
        let body = padded(size);
        let mut connection = Connection::open(server.http).unwrap();
        connection
            .send("POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        for chunk in body.as_bytes().chunks(16_000) {
            connection.send(format!("{:x}\r\n", chunk.len())).unwrap();
            connection.send(chunk).unwrap();
            connection.send("\r\n").unwrap();
        }
        connection.send("0\r\n\r\n").unwrap();
        connection.answer().unwrap().status
    };
    assert_eq!(
        (send(100_000), send(LIMIT), send(LIMIT + 1), send(1_000_000)),
        (200, 200, 413, 413)
    );
}

#[test]
fn slow_heads_are_cut_off_while_others_are_served() {
    let server = Server::ready(&["--header-timeout", "300ms", "--workers", "1"]);
    let slow: Vec<_> = ["", "POST /predict HTTP/1.1\r\nhost:"]
        .into_iter()
        .cycle()
        .take(40)
        .collect();
    let mut slow: Vec<_> = slow
        .into_iter()
        .map(|start| {
            let mut connection = Connection::open(server.http).unwrap();
            connection.send(start).unwrap();
            connection
        })
        .collect();
    assert_eq!(post(server.http, &good()).status, 200);
    let begun = Instant::now();
    for connection in &mut slow {
        connection.rest().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    poll("the count", || {
        server.metric("fraud_connections_timed_out_total") >= 40.0
    });
}

#[test]
fn a_slow_body_is_a_408() {
    let server = Server::ready(&["--body-timeout", "300ms", "--workers", "1"]);
    let mut connection = Connection::open(server.http).unwrap();
    connection
        .send("POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    connection.rest().unwrap();
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::ready(&["--idle-timeout", "300ms", "--workers", "1"]);
    let mut connection = Connection::open(server.http).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.post(&good()).unwrap().status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(connection.rest().unwrap().is_empty());
}

#[test]
fn headers_are_bounded_in_number_and_size() {
    let server = Server::ready(&["--workers", "1"]);
    let many: String = (0..101).map(|i| format!("x-{i}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "x".repeat(64 * 1024));
    for headers in [many, large] {
        let mut connection = Connection::open(server.http).unwrap();
        let _ = connection.send(format!("GET /livez HTTP/1.1\r\nhost: x\r\n{headers}\r\n"));
        let answer = String::from_utf8(connection.rest().unwrap()).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 431") || answer.is_empty(),
            "{answer}"
        );
    }
    assert_eq!(get(server.http, "/livez").status, 200);
}

#[test]
fn connections_beyond_the_limit_are_turned_away_at_once_and_welcome_later() {
    let server = Server::ready(&["--max-connections", "4", "--workers", "2"]);
    let held: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(server.http).unwrap();
            assert_eq!(connection.post(&good()).unwrap().status, 200);
            connection
        })
        .collect();
    let mut fifth = Connection::open(server.http).unwrap();
    let answer = fifth.answer().unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(server.metric("fraud_connections_refused_total"), 1.0);
    assert_eq!(
        server.readyz().status,
        200,
        "the admin port has connections of its own"
    );
    drop(held);
    poll("room", || {
        Connection::open(server.http)
            .and_then(|mut c| c.post(&good()))
            .is_ok_and(|a| a.status == 200)
    });
}

#[test]
fn an_answer_that_needs_no_body_reaches_a_client_who_sends_one() {
    let server = Server::ready(&["--workers", "1"]);
    let body = vec![b' '; 900_000];
    for (target, status) in [
        ("PUT /predict", 405),
        ("POST /predict HTTP/1.1\r\ncontent-encoding: gzip\r\nx-rest:", 415),
        ("PUT /predict/batch", 405),
        ("PUT /feedback", 405),
        ("POST /livez", 405),
        ("POST /nowhere", 404),
    ] {
        let mut connection = Connection::open(server.http).unwrap();
        let length = body.len();
        connection
            .send(format!(
                "{target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
            ))
            .unwrap();
        for part in body.chunks(90_000) {
            connection.send(part).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(connection.answer().unwrap().status, status, "{target}");
        let next = connection.post(&good()).unwrap();
        assert_eq!(next.status, 200, "{target}: the connection is good for more");
    }
}

#[test]
fn an_answer_reaches_a_client_whose_body_is_too_large_to_be_thrown_away() {
    let server = Server::ready(&["--workers", "1"]);
    let mut connection = Connection::open(server.http).unwrap();
    let head = "PUT /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n";
    connection.send(head).unwrap();
    for _ in 0..10 {
        connection.send([b' '; 90_000]).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (405, Some("close")));
}
