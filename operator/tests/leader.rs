//! Leader election on a real API server: in one process, and with the operator's own program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fraudops_operator::leader::{Election, Fence, LeaderError};
use fraudops_testcluster::ApiServer;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const TTL: Duration = Duration::from_secs(5);
const NAMESPACE: &str = "default";

/// Polls until `holds`, at most `limit`; answers how long it took.
async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

async fn holder(client: &Client, lease: &str) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    leases
        .get_opt(lease)
        .await
        .expect("the API server answers")?
        .spec?
        .holder_identity
}

async fn is_held_by(client: &Client, lease: &str, name: &str) -> bool {
    holder(client, lease)
        .await
        .is_some_and(|holder| holder.starts_with(name))
}

/// Counts who works, now and at most.
#[derive(Clone, Debug, Default)]
struct Floor {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    ever: Arc<AtomicUsize>,
}

struct Presence(Floor);

impl Floor {
    fn enter(&self) -> Presence {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.ever.fetch_add(1, Ordering::SeqCst);
        Presence(self.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

type Run = JoinHandle<Result<Option<()>, LeaderError>>;

fn start(client: &Client, lease: &str, name: &str, floor: &Floor, shutdown: &CancellationToken) -> Run {
    let election = Election::new(
        client.clone(),
        NAMESPACE,
        lease,
        name.to_owned(),
        TTL,
        Fence::closed(),
    );
    let (floor, shutdown) = (floor.clone(), shutdown.clone());
    tokio::spawn(async move {
        let stop = shutdown.clone();
        election
            .lead(shutdown, || async move {
                let _presence = floor.enter();
                stop.cancelled().await;
            })
            .await
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_candidates_leads_and_hands_over_or_is_replaced() {
    let server = ApiServer::start().unwrap();
    let client = server.client().await.unwrap();
    let floor = Floor::default();
    let (stop_a, stop_b, stop_c) = (
        CancellationToken::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let run_a = start(&client, "hand-over", "a", &floor, &stop_a);
    until("a leads", TTL, async || {
        is_held_by(&client, "hand-over", "a").await
    })
    .await;
    let run_b = start(&client, "hand-over", "b", &floor, &stop_b);
    sleep(TTL * 2).await;
    assert!(
        is_held_by(&client, "hand-over", "a").await,
        "a renews, so b must wait"
    );

    let before = Instant::now();
    stop_a.cancel();
    run_a.await.unwrap().unwrap();
    until("b takes over", Duration::from_secs(2), async || {
        is_held_by(&client, "hand-over", "b").await
    })
    .await;
    println!("clean hand-over: {:?}", before.elapsed());
    assert!(before.elapsed() <= Duration::from_secs(2));

    let run_c = start(&client, "hand-over", "c", &floor, &stop_c);
    sleep(TTL / 2).await;
    run_b.abort(); // as a crash: nothing is released
    let limit = TTL + Duration::from_secs(2);
    let took = until("c takes over", limit, async || {
        is_held_by(&client, "hand-over", "c").await
    })
    .await;
    println!("takeover after a crash: {took:?} with a Lease of {TTL:?}");
    assert!(
        took > TTL / 3,
        "a leader that is only slow must have had the time to stop"
    );
    stop_c.cancel();
    run_c.await.unwrap().unwrap();
    assert_eq!(
        holder(&client, "hand-over").await,
        None,
        "the Lease is released at the end"
    );
    assert_eq!(floor.most.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_candidates_that_crash_again_and_again_never_lead_together() {
    let server = ApiServer::start().unwrap();
    let client = server.client().await.unwrap();
    let floor = Floor::default();
    let end = Instant::now() + Duration::from_secs(25);
    let lives = (0_u64..3).map(|number| {
        let (client, floor) = (client.clone(), floor.clone());
        tokio::spawn(async move {
            for life in 0_u64.. {
                let (stop, name) = (CancellationToken::new(), format!("{number}-{life}"));
                let run = start(&client, "crashes", &name, &floor, &stop);
                while Instant::now() < end && !is_held_by(&client, "crashes", &name).await {
                    sleep(Duration::from_millis(50)).await;
                }
                sleep(Duration::from_millis(300)).await;
                // A crash one time, an orderly end the next.
                if life.is_multiple_of(2) {
                    run.abort()
                } else {
                    stop.cancel()
                }
                let _ = run.await;
                if Instant::now() >= end {
                    return;
                }
            }
        })
    });
    futures::future::try_join_all(lives).await.unwrap();
    let leaders = floor.ever.load(Ordering::SeqCst);
    println!("{leaders} leaders one after the other");
    assert!(leaders >= 4, "only {leaders} leaders: the test shows nothing");
    assert_eq!(floor.most.load(Ordering::SeqCst), 1);
}

/// The operator's program, with its probes on a free port of its own.
struct Operator {
    child: Child,
    probes: SocketAddr,
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}

impl Operator {
    fn start(kubeconfig: &Path, name: &str) -> Self {
        let probes = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_fraudops-operator"))
            .arg("run")
            .args([
                "--namespace",
                NAMESPACE,
                "--lease-duration",
                "5s",
                "--log-format",
                "text",
            ])
            .args(["--identity", name, "--metrics-addr", &probes.to_string()])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        Self { child, probes }
    }

    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        let Ok(mut stream) = TcpStream::connect(self.probes) else {
            return answer;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: probes\r\nconnection: close\r\n\r\n"
        );
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn leads(&self) -> bool {
        self.get("/metrics").contains("\nfraudops_operator_leader 1\n")
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").starts_with("HTTP/1.1 200")
    }

    async fn terminate(mut self) -> std::process::ExitStatus {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(kill.success());
        let mut status = None;
        until("the process ends", Duration::from_secs(10), async || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("awaited above")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_stands_by_hands_over_on_sigterm_and_replaces_a_killed_leader() {
    let server = ApiServer::start().unwrap();
    let client = server.client().await.unwrap();
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/fraudmodels.yaml");
    server.install_crds(&[crd]).await.unwrap();
    let lease = "fraudops-operator";
    let first = Operator::start(&server.kubeconfig(), "first");
    until("the first leads", Duration::from_secs(15), async || first.leads()).await;
    let second = Operator::start(&server.kubeconfig(), "second");
    until("the second is ready", Duration::from_secs(15), async || {
        second.is_ready()
    })
    .await;
    sleep(TTL).await;
    assert!(first.leads() && !second.leads());

    let before = Instant::now();
    assert!(first.terminate().await.success(), "an orderly end is exit code 0");
    let ended = before.elapsed();
    until("the second takes over", Duration::from_secs(2), async || {
        is_held_by(&client, lease, "second").await
    })
    .await;
    println!(
        "SIGTERM: process gone after {ended:?}, Lease taken over after {:?}",
        before.elapsed()
    );
    until("the second works", Duration::from_secs(5), async || {
        second.leads()
    })
    .await;

    let third = Operator::start(&server.kubeconfig(), "third");
    until("the third is ready", Duration::from_secs(15), async || {
        third.is_ready()
    })
    .await;
    sleep(TTL / 2).await;
    drop(second); // SIGKILL
    let limit = TTL + Duration::from_secs(2);
    let took = until("the third takes over", limit, async || {
        is_held_by(&client, lease, "third").await
    })
    .await;
    println!("SIGKILL: Lease taken over after {took:?} with a Lease of {TTL:?}");
}
