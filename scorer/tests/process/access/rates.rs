//! How often a client may call, and what its excess costs the others.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use tonic::Code;

use super::{Secret, ask, call, denied, head, over_grpc, predict, shop, token, whole};
use crate::{
    client::{Connection, get},
    server::{Server, good, poll},
};

#[test]
fn a_client_at_ten_times_its_rate_hurts_only_itself() {
    const BURST: usize = 200;
    let (greedy, modest) = (token("predict"), token("predict"));
    let secret = Secret::new(&[("greedy", &greedy.1), ("modest", &modest.1)]);
    let limits = ["--rate-limit", "50", "--rate-burst", "200"];
    let server = secret.server(&[&limits[..], &["--workers", "2", "--idempotency-ttl", "0s"]].concat());
    let [greedy, modest] = [greedy.0, modest.0].map(|token| whole("POST", "/predict", Some(&token), &good()));
    let (sent, begun) = (AtomicUsize::new(0), Instant::now());
    let passed = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut connection = Connection::open(server.http).unwrap();
            let mut passed = 0;
            for _ in 0..10 * BURST {
                connection.send(&greedy).unwrap();
                let answer = connection.answer().unwrap();
                match answer.status {
                    200 => passed += 1,
                    429 => assert!(answer.header("retry-after").is_some()),
                    other => panic!("{other}"),
                }
                sent.fetch_add(1, Ordering::SeqCst);
            }
            passed
        });
        let mut connection = Connection::open(server.http).unwrap();
        for turn in 0..BURST {
            poll("the flood", || sent.load(Ordering::SeqCst) >= 10 * turn);
            let asked = Instant::now();
            connection.send(&modest).unwrap();
            assert_eq!(connection.answer().unwrap().status, 200, "turn {turn}");
            assert!(
                asked.elapsed() < Duration::from_millis(500),
                "{:?}",
                asked.elapsed()
            );
        }
        flood.join().unwrap()
    });
    let most = BURST + (50.0 * begun.elapsed().as_secs_f64()) as usize + 1;
    assert!((BURST..=most).contains(&passed), "{passed} of at most {most}");
    assert_eq!(denied(&server, "rate_limited"), (10 * BURST - passed) as f64);
}

#[test]
fn the_rate_is_the_clients_whatever_the_route_and_the_port() {
    let shop = shop("predict,feedback,admin");
    let limits = ["--rate-limit", "0.01", "--rate-burst", "1"];
    let server = shop.secret.server(&[&limits[..], &["--workers", "2"]].concat());
    let token = Some(shop.token.as_str());
    assert_eq!(predict(&server, token).status, 200);
    let (serving, admin) = (server.http, server.admin);
    for (address, method, path) in [
        (serving, "POST", "/predict"),
        (serving, "POST", "/predict/batch"),
        (serving, "POST", "/v2/models/tiny/infer"),
        (serving, "POST", "/feedback"),
        (admin, "GET", "/model"),
    ] {
        let answer = ask(address, method, path, token, "");
        assert_eq!(answer.status, 429, "{path}");
        assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none());
        let key = if path.starts_with("/v2") {
            "error"
        } else {
            "detail"
        };
        assert!(
            answer.json()[key].as_str().unwrap().contains("try again in"),
            "{answer:?}"
        );
    }
    over_grpc(&server, async |channel| {
        let status = call(&channel, "ModelInfer", token).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
        assert_eq!(call(&channel, "ServerLive", token).await.code(), Code::Ok);
    });
    for path in ["/livez", "/metrics"] {
        assert_eq!(ask(admin, "GET", path, token, "").status, 200, "{path}");
    }
    assert_eq!(denied(&server, "rate_limited"), 6.0);
}

#[test]
fn without_tokens_a_client_is_an_address_and_a_trusted_proxy_names_it() {
    let limits = [
        "--workers",
        "2",
        "--rate-limit",
        "0.01",
        "--rate-burst",
        "2",
        "--idempotency-ttl",
        "0s",
    ];
    let server = Server::start_with(&limits, &[("FRAUDOPS_TRUST_FORWARDED", "true")]);
    server.wait_until_ready();
    let status = |headers: &str| {
        let (mut connection, body) = (Connection::open(server.http).unwrap(), good());
        let headers = format!("{headers}content-length: {}\r\n\r\n", body.len());
        connection
            .send(head("POST", "/predict", None, &headers) + &body)
            .unwrap();
        let answer = connection.answer().unwrap();
        let wait = answer
            .header("retry-after")
            .map(|wait| wait.parse::<u64>().unwrap());
        assert!(wait.is_none_or(|wait| (50..=100).contains(&wait)), "{answer:?}");
        assert_eq!(wait.is_some(), answer.status == 429);
        answer.status
    };
    let real = |address: &str| status(&format!("x-real-ip: {address}\r\n"));
    // Two each, for each pod and not for each of its threads; of IPv6 the first 64 bits are one caller.
    for (first, second) in [
        ("203.0.113.1", "203.0.113.1"),
        ("203.0.113.2", "::ffff:203.0.113.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
        ("2001:db8:0:2::1", "2001:db8:0:2::1"),
    ] {
        assert_eq!(
            [real(first), real(second), real(first), real(second)],
            [200, 200, 429, 429],
            "{first}"
        );
    }
    // What is no address is the proxy itself.
    assert_eq!([real("unknown"), status("")], [200, 200]);
    for malformed in [
        "unknown",
        "203.0.113.3, 203.0.113.4",
        "203.0.113.3:80",
        "203.0.113.3\r\nx-real-ip: 203.0.113.4",
    ] {
        assert_eq!(real(malformed), 429, "{malformed}");
    }
    assert_eq!(
        get(server.http, "/livez").status,
        200,
        "what is open is not counted"
    );
}

#[test]
fn an_untrusted_word_about_the_address_is_not_heard() {
    let server = Server::ready(&[
        "--workers",
        "1",
        "--rate-limit",
        "0.01",
        "--rate-burst",
        "2",
        "--idempotency-ttl",
        "0s",
    ]);
    let real = |address: &str| {
        let (mut connection, body) = (Connection::open(server.http).unwrap(), good());
        let headers = format!("x-real-ip: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
        connection
            .send(head("POST", "/predict", None, &headers) + &body)
            .unwrap();
        connection.answer().unwrap().status
    };
    assert_eq!(
        [real("203.0.113.1"), real("203.0.113.2"), real("203.0.113.3")],
        [200, 200, 429]
    );
}
