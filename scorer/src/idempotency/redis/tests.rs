//! Against Debian's redis-server, on a loopback port.

use std::{
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    idempotency::{Begin, Completed, Idempotency, Limits, Memory, Token},
    receipt::Scope,
};

const TTL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_millis(20);

/// A redis-server of its own, ended when dropped.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Self {
            dir: tempfile::tempdir().unwrap(),
            port: free.local_addr().unwrap().port(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            process: None,
        };
        drop(free);
        server.run();
        server
    }

    fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(self.dir.path()).args(&self.arguments);
        if !self.arguments.iter().any(|a| a == "--tls-port") {
            command.args(["--port", &port]);
        }
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(started.expect("redis-server is installed (tests/setup.sh)"));
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops or continues it, without ending it.
    fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A pod of this FraudModel, with its own memory.
    fn pod(&self, url: &str, ca: Option<&str>) -> (Idempotency, Arc<AtomicUsize>) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "url", url);
        if let Some(ca) = ca {
            write(dir.path(), "ca.crt", ca);
        }
        let scope = Scope {
            namespace: "payments".to_owned(),
            model: "card-fraud".to_owned(),
        };
        let settings = RedisSettings::from_dir(dir.path(), &scope, TIMEOUT, TTL).unwrap();
        let connected = Arc::new(AtomicUsize::new(0));
        let redis = Redis::start(Arc::new(settings), Arc::clone(&connected));
        (
            Idempotency::shared(Arc::new(Memory::new(Limits::default())), redis),
            connected,
        )
    }

    async fn connected_pod(&self) -> Idempotency {
        let (pod, connected) = self.pod(&self.url(), None);
        until_connected(&connected, 1).await;
        pod
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write(dir: &Path, name: &str, content: &str) {
    std::fs::File::create(dir.join(name))
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
}

async fn until_connected(connected: &AtomicUsize, count: usize) {
    let start = Instant::now();
    while connected.load(Relaxed) != count {
        assert!(
            start.elapsed() < Duration::from_secs(15),
            "no {count} connections"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn token(pod: &Idempotency, id: i64, digest: u128) -> Token<'_> {
    match pod.begin(id, Digest(digest), Instant::now()).await {
        Begin::New(token) => token,
        other => panic!("{other:?}"),
    }
}

async fn answered(pod: &Idempotency, id: i64, digest: u128, answer: &'static str) -> Completed {
    let token = token(pod, id, digest).await;
    pod.complete(token, Bytes::from_static(answer.as_bytes())).await
}

fn own(answer: &'static str) -> Completed {
    Completed::Own(Bytes::from_static(answer.as_bytes()))
}

#[tokio::test]
async fn pods_agree_on_the_answer_that_was_stored_first() {
    let server = Server::start(&[]);
    let (a, b) = (server.connected_pod().await, server.connected_pod().await);
    assert_eq!(answered(&a, 7, 1, "from a").await, own("from a"));
    assert_eq!(
        answered(&b, 7, 1, "from b").await,
        Completed::Replay(Bytes::from_static(b"from a"))
    );
    // From then on b knows it by itself.
    assert!(matches!(b.begin(7, Digest(1), Instant::now()).await, Begin::Replay(bytes) if bytes == "from a"));
    let c = server.connected_pod().await;
    assert_eq!(answered(&c, 7, 2, "from c").await, Completed::Conflict);
    assert_eq!(answered(&c, 8, 2, "from c").await, own("from c"));
    assert_eq!(b.memory.counts().outcomes, [0, 2, 0, 0]);
    assert_eq!(c.memory.counts().outcomes, [1, 0, 1, 0]);
}

#[tokio::test]
async fn of_two_pods_at_the_same_time_one_wins_and_both_answer_the_same() {
    let server = Server::start(&[]);
    let (a, b) = (server.connected_pod().await, server.connected_pod().await);
    for id in 0..200 {
        let (x, y) = tokio::join!(answered(&a, id, 1, "from a"), answered(&b, id, 1, "from b"));
        let bytes = |completed: &Completed| match completed {
            Completed::Own(bytes) | Completed::Replay(bytes) => bytes.clone(),
            Completed::Conflict => panic!("conflict"),
        };
        assert_eq!(bytes(&x), bytes(&y));
        assert!(matches!(
            (&x, &y),
            (Completed::Own(_), Completed::Replay(_)) | (Completed::Replay(_), Completed::Own(_))
        ));
    }
}

#[tokio::test]
async fn what_is_stored_names_no_transaction_and_expires() {
    let server = Server::start(&[]);
    let pod = server.connected_pod().await;
    answered(&pod, 4_111_111_111_111_111, 1, "x").await;
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<String> = ::redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(names.len(), 1);
    assert!(
        names[0].starts_with("fraudops:idempotency:") && !names[0].contains("4111"),
        "{names:?}"
    );
    let left: u64 = ::redis::cmd("PTTL")
        .arg(&names[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");
}

#[tokio::test]
async fn without_redis_scoring_goes_on_at_once_and_with_it_again_pods_agree_again() {
    let mut server = Server::start(&[]);
    let (pod, connected) = server.pod(&server.url(), None);
    until_connected(&connected, 1).await;
    assert_eq!(answered(&pod, 1, 1, "one").await, own("one"));
    server.kill();
    // The first command may find out; none after it waits.
    answered(&pod, 2, 1, "two").await;
    let start = Instant::now();
    for id in 3..1003 {
        assert_eq!(answered(&pod, id, 1, "x").await, own("x"));
    }
    assert!(
        start.elapsed() < Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(connected.load(Relaxed), 0);
    let [new, replayed, conflict, unavailable] = pod.memory.counts().outcomes;
    assert_eq!((new + unavailable, replayed, conflict), (1002, 0, 0));
    assert!(unavailable >= 1000);
    // The pod's own memory still holds.
    assert!(matches!(
        pod.begin(500, Digest(1), Instant::now()).await,
        Begin::Replay(_)
    ));
    server.run();
    until_connected(&connected, 1).await;
    assert_eq!(answered(&pod, 2000, 1, "again").await, own("again"));
    let other = server.connected_pod().await;
    assert!(matches!(answered(&other, 2000, 1, "other").await, Completed::Replay(bytes) if bytes == "again"));
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_timeout_and_no_more() {
    let server = Server::start(&[]);
    let (pod, connected) = server.pod(&server.url(), None);
    until_connected(&connected, 1).await;
    server.signal("-STOP");
    let start = Instant::now();
    assert_eq!(answered(&pod, 1, 1, "x").await, own("x"));
    let first = start.elapsed();
    assert!((TIMEOUT..TIMEOUT * 10).contains(&first), "{first:?}");
    for id in 2..1002 {
        answered(&pod, id, 1, "x").await;
    }
    assert!(start.elapsed() - first < Duration::from_millis(200));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        connected.load(Relaxed),
        0,
        "a connection that does not answer is not used"
    );
    server.signal("-CONT");
    until_connected(&connected, 1).await;
    assert_eq!(pod.memory.counts().outcomes[3], 1001);
}

#[tokio::test]
async fn a_wrong_password_is_an_unavailable_redis() {
    let server = Server::start(&["--requirepass", "right"]);
    let with = |password: &str| server.pod(&format!("redis://:{password}@127.0.0.1:{}", server.port), None);
    let (right, connected) = with("right");
    until_connected(&connected, 1).await;
    assert_eq!(answered(&right, 1, 1, "x").await, own("x"));
    let (wrong, connected) = with("wrong");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(connected.load(Relaxed), 0);
    assert_eq!(answered(&wrong, 1, 1, "y").await, own("y"));
    assert_eq!(wrong.memory.counts().outcomes, [0, 0, 0, 1]);
}

#[tokio::test]
async fn something_else_under_the_name_is_not_taken_for_an_answer() {
    let server = Server::start(&[]);
    let pod = server.connected_pod().await;
    answered(&pod, 1, 1, "x").await;
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<String> = ::redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let _: () = ::redis::cmd("SET")
        .arg(&names[0])
        .arg("theirs")
        .query_async(&mut connection)
        .await
        .unwrap();
    let other = server.connected_pod().await;
    assert_eq!(answered(&other, 1, 1, "y").await, own("y"));
    assert_eq!(other.memory.counts().outcomes, [0, 0, 0, 1]);
}

#[tokio::test]
async fn redis_over_tls_is_checked_against_the_mounted_ca() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    write(files.path(), "tls.crt", &certified.cert.pem());
    write(files.path(), "tls.key", &certified.signing_key.serialize_pem());
    let path = |name: &str| files.path().join(name).to_string_lossy().into_owned();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    let server = Server::start(&[
        "--port",
        "0",
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
    ]);
    let url = format!("rediss://localhost:{port}");
    let (trusting, connected) = server.pod(&url, Some(&certified.cert.pem()));
    until_connected(&connected, 1).await;
    assert_eq!(answered(&trusting, 1, 1, "x").await, own("x"));
    let (distrusting, connected) = server.pod(&url, None);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(connected.load(Relaxed), 0);
    assert_eq!(answered(&distrusting, 1, 1, "y").await, own("y"));
}
