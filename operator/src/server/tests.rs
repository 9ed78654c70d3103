use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: probes\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn started(health: &Health) -> SocketAddr {
    start(([127, 0, 0, 1], 0).into(), health.clone(), Metrics::new()).unwrap()
}

#[test]
fn readiness_follows_the_stage() {
    let health = Health::default();
    let address = started(&health);
    for (stage, status) in [
        (Stage::Starting, "503"),
        (Stage::StandingBy, "200"),
        (Stage::Syncing, "503"),
        (Stage::Working, "200"),
    ] {
        health.set(stage);
        assert_eq!(health.stage(), stage);
        let answer = get(address, "/readyz");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{stage:?}: {answer}"
        );
        assert!(answer.contains(stage.word()), "{answer}");
    }
}

#[test]
fn liveness_tells_a_stuck_runtime_and_nothing_else() {
    assert_eq!(live(STUCK - Duration::from_millis(1)).status(), StatusCode::OK);
    assert_eq!(live(STUCK).status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn the_heart_beats_while_the_runtime_runs() {
    let health = Health::default();
    std::thread::sleep(Duration::from_millis(20));
    let before = health.silence();
    health.beat_for_ever();
    tokio::time::sleep(BEAT).await;
    assert!(health.silence() < before, "{:?}", health.silence());
}

#[test]
fn metrics_come_as_open_metrics_and_other_paths_not_at_all() {
    let address = started(&Health::default());
    let answer = get(address, "/metrics");
    assert!(answer.contains("application/openmetrics-text"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_client_that_never_finishes_its_headers_does_not_block_the_others() {
    let address = started(&Health::default());
    let slow: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /livez HTTP/1.1\r\nx: ").unwrap();
            stream
        })
        .collect();
    assert!(get(address, "/livez").starts_with("HTTP/1.1 200"));
    drop(slow);
}

#[test]
fn headers_have_a_limit() {
    let address = started(&Health::default());
    let answer = get(address, &format!("/{}", "x".repeat(20 * 1024)));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
