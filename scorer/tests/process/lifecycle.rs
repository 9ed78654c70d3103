//! SIGTERM: readiness off, go on serving, ask clients to leave, leave.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Connection, get, post, post_bytes},
    server::{Server, good, poll},
};

#[test]
fn a_drain_under_load_loses_no_request_and_ends_with_0() {
    let mut server = Server::ready(&["--drain-delay", "1s", "--workers", "2"]);
    let (body, stop) = (good(), AtomicBool::new(false));
    let (answered, after_signal) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let signalled = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Like a proxy: keeps the connection until the server asks to close it.
                let mut connection = Connection::open(server.http).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let answer = connection.post(&body).expect("no request may be lost");
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                    if signalled.load(Ordering::SeqCst) {
                        after_signal.fetch_add(1, Ordering::SeqCst);
                    }
                    if answer.header("connection") == Some("close") {
                        connection = Connection::open(server.http).expect("the port still accepts");
                    }
                }
            });
        }
        poll("load", || answered.load(Ordering::SeqCst) > 200);
        server.signal("TERM");
        poll("readiness to go", || {
            server.readyz().json()["reason"] == "Draining"
        });
        signalled.store(true, Ordering::SeqCst);
        // The endpoints' consumers take a while to notice.
        thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::SeqCst);
    });
    assert!(
        after_signal.load(Ordering::SeqCst) > 100,
        "the port goes on serving while it drains"
    );
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_request_that_began_before_the_end_gets_its_answer() {
    let mut server = Server::ready(&["--drain-delay", "200ms", "--workers", "1"]);
    let whole = post_bytes(&good());
    let (start, end) = whole.split_at(whole.len() - 10);
    let mut connection = Connection::open(server.http).unwrap();
    connection.send(start).unwrap();
    poll("the connection", || server.metric("fraud_connections") == 1.0);
    server.signal("TERM");
    poll("the listener to go", || Connection::open(server.http).is_err());
    connection.send(end).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_the_shutdown_up() {
    let mut server = Server::ready(&["--drain-delay", "100ms", "--workers", "2"]);
    let mut idle: Vec<_> = (0..4).map(|_| Connection::open(server.http).unwrap()).collect();
    for connection in &mut idle {
        assert_eq!(connection.post(&good()).unwrap().status, 200);
    }
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_stuck_client_delays_the_end_to_the_timeout_and_no_longer() {
    let mut server = Server::ready(&[
        "--drain-delay",
        "100ms",
        "--shutdown-timeout",
        "800ms",
        "--workers",
        "1",
    ]);
    let mut stuck = Connection::open(server.http).unwrap();
    stuck
        .send("POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    poll("the connection", || server.metric("fraud_connections") == 1.0);
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(700)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn while_it_drains_it_is_not_ready_but_alive() {
    let server = Server::ready(&["--drain-delay", "10s", "--workers", "1"]);
    server.signal("TERM");
    poll("readiness to go", || server.readyz().status == 503);
    assert_eq!(server.readyz().json()["reason"], "Draining");
    assert_eq!(get(server.admin, "/livez").status, 200);
    assert_eq!(get(server.http, "/health").status, 503);
    let answer = post(server.http, &good());
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::ready(&["--drain-delay", "20s", "--workers", "1"]);
    server.signal("TERM");
    server.wait_for_log("draining");
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let first = Server::ready(&["--workers", "1"]);
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let mut command = crate::server::scorer();
    let model = crate::server::fixture_arg("tiny.onnx");
    let output = command
        .args([
            "serve",
            "--model",
            &model,
            "--listen",
            &taken,
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot listen on {taken}")));
    drop(first);
}
