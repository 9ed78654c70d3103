//! More of everything than the process has: it sheds, says so at once, goes on answering, and recovers.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    client::{Connection, post, post_bytes},
    server::{Server, fixture_arg, good, poll, scorer},
};

/// Clients that never finish what they began, of each kind.
const SLOW: usize = 5_000;

/// Thousands of sockets need thousands of descriptors, here and in the scorer, which inherits the limit.
fn allow_many_sockets() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        hard >= 16_384,
        "the hard limit of open files is {hard}; 16384 are needed"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).unwrap();
}

fn send(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

/// Asks on one connection. Every answer must be a 200; answers the slowest.
fn slowest_of(connection: &mut Connection, requests: usize) -> Duration {
    let body = good();
    let times = (0..requests).map(|_| {
        let begun = Instant::now();
        assert_eq!(connection.post(&body).unwrap().status, 200);
        begun.elapsed()
    });
    times.max().unwrap_or_default()
}

#[test]
fn thousands_of_slow_clients_are_cut_off_and_others_do_not_notice() {
    allow_many_sockets();
    let limits = [
        "--max-connections",
        "12288",
        "--header-timeout",
        "5s",
        "--body-timeout",
        "5s",
    ];
    let server = Server::ready(&[&limits[..], &["--workers", "2"]].concat());
    let mut patient = Connection::open(server.http).unwrap();
    slowest_of(&mut patient, 50);

    let large = format!(
        "POST /predict HTTP/1.1\r\nhost: x\r\nx-large: {}",
        "x".repeat(12 * 1024)
    );
    let body = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 700\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..SLOW / 2 {
        slow.push(send(server.http, "POST /predict HTTP/1.1\r\nhost:"));
        slow.push(send(server.http, &large));
    }
    slow.extend((0..SLOW).map(|_| send(server.http, body)));
    thread::scope(|scope| {
        // A byte from time to time must not buy more time.
        let dripping = scope.spawn(|| {
            for _ in 0..4 {
                thread::sleep(Duration::from_millis(250));
                for stream in &slow {
                    let _ = (&mut &*stream).write_all(b" ");
                }
            }
        });
        while !dripping.is_finished() {
            let slowest = slowest_of(&mut patient, 20);
            assert!(
                slowest < Duration::from_millis(500),
                "{slowest:?} beside slow clients"
            );
        }
    });
    let resident = server.resident_mib();
    assert!(resident < 600, "{resident} MiB with {} slow clients", 2 * SLOW);

    poll("the end of the slow clients", || {
        server.metric("fraud_connections") == 1.0
    });
    assert!(server.metric("fraud_connections_timed_out_total") >= SLOW as f64);
    assert_eq!(
        server.metric("fraud_request_errors_total{kind=\"body_timeout\"}"),
        SLOW as f64
    );
    slowest_of(&mut patient, 20);
}

#[test]
fn a_flood_of_connections_is_turned_away_at_once_and_those_inside_are_served() {
    allow_many_sockets();
    let server = Server::ready(&["--max-connections", "50", "--workers", "2"]);
    let mut inside: Vec<_> = (0..50).map(|_| Connection::open(server.http).unwrap()).collect();
    for connection in &mut inside {
        slowest_of(connection, 1);
    }
    let whole = post_bytes(&good());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let begun = Instant::now();
                    let mut stream = TcpStream::connect(server.http).unwrap();
                    // The server may be faster than we are: then it is gone, and its answer waits.
                    let _ = stream.write_all(whole.as_bytes());
                    let mut answer = String::new();
                    let _ = stream.read_to_string(&mut answer);
                    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
                    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer:?}");
                    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
                }
            });
        }
        let slowest = slowest_of(&mut inside[0], 300);
        assert!(
            slowest < Duration::from_millis(500),
            "{slowest:?} beside the flood"
        );
    });
    assert_eq!(server.metric("fraud_connections_refused_total"), 1_000.0);
    assert_eq!(server.metric("fraud_connections"), 50.0);
    drop(inside);
    poll("room", || {
        Connection::open(server.http)
            .and_then(|mut c| c.post(&good()))
            .is_ok_and(|a| a.status == 200)
    });
}

#[test]
fn half_closed_sockets_do_not_stay() {
    let server = Server::ready(&["--workers", "2"]);
    let whole = post_bytes(&good());
    let parts = [0, 10, whole.len() - 10, whole.len()];
    let mut half_closed: Vec<_> = (0..400)
        .map(|turn| {
            let stream = send(server.http, &whole[..parts[turn % parts.len()]]);
            stream.shutdown(Shutdown::Write).unwrap();
            stream
        })
        .collect();
    // Far below the timeouts of heads, bodies and idle connections.
    let begun = Instant::now();
    poll("the end of half-closed connections", || {
        server.metric("fraud_connections") == 0.0
    });
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for (turn, stream) in half_closed.iter_mut().enumerate() {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        // No answer, a finding about the broken body, or the prediction: never a score for a part of a request.
        let is_whole = turn % parts.len() == 3;
        assert!(is_whole || !answer.contains("fraud_probability"), "{answer}");
    }
    assert_eq!(post(server.http, &good()).status, 200);
}

#[test]
fn a_process_out_of_descriptors_serves_who_is_inside_and_recovers() {
    let plain = scorer();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128 && exec \"$0\" \"$@\""]);
    command.arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["serve", "--model", &fixture_arg("tiny.onnx"), "--workers", "2"]);
    let server = Server::spawn(command);
    server.wait_until_ready();
    let mut inside = Connection::open(server.http).unwrap();
    slowest_of(&mut inside, 10);

    // The kernel completes the handshake of each; the process has no descriptor for most of them.
    let flood: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(server.http).unwrap())
        .collect();
    server.wait_for_log("could not be accepted");
    let slowest = slowest_of(&mut inside, 50);
    assert!(
        slowest < Duration::from_millis(500),
        "{slowest:?} without descriptors"
    );

    drop(flood);
    let begun = Instant::now();
    poll("recovery", || {
        Connection::open(server.http)
            .and_then(|mut c| c.post(&good()))
            .is_ok_and(|a| a.status == 200)
    });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(server.readyz().status, 200);
}

#[test]
fn nobody_reads_what_it_writes_and_it_goes_on() {
    let mut command = scorer();
    command.args([
        "serve",
        "--model",
        &fixture_arg("tiny.onnx"),
        "--drain-delay",
        "100ms",
    ]);
    let mut server = Server::spawn_unread(command);
    server.wait_until_ready();
    let mut connection = Connection::open(server.http).unwrap();
    slowest_of(&mut connection, 100);
    // What follows is logged: a request that cannot be read, and the end.
    assert_eq!(post(server.http, "nonsense").status, 422);
    server.signal("TERM");
    assert_eq!(
        server.wait().code(),
        Some(0),
        "a broken pipe is no reason to fail"
    );
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_its_lost_lines_are_counted() {
    let mut command = scorer();
    command.args(["serve", "--model", &fixture_arg("tiny.onnx"), "--workers", "1"]);
    command.args(["--drain-delay", "100ms", "--log-filter", "trace"]);
    let (mut server, _unread) = Server::spawn_stalled(command);
    server.wait_until_ready();
    // At this level HTTP/2 has something to say of every frame: far more than a pipe and our own room hold.
    let mut talkative = TcpStream::connect(server.http).unwrap();
    talkative
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let ping = b"\0\0\x08\x06\0\0\0\0\0fraudops";
    let mut pings = 0;
    poll("lost lines", || {
        pings += 100;
        assert!(pings < 200_000, "nothing is lost: nothing was logged");
        talkative.write_all(&ping.repeat(100)).unwrap();
        let mut pongs = vec![0; 17 * 100];
        talkative.read_exact(&mut pongs).unwrap();
        server.metric("fraud_log_lines_lost_total") > 0.0
    });
    slowest_of(&mut Connection::open(server.http).unwrap(), 50);
    drop(talkative);
    server.signal("TERM");
    let begun = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
