//! The operator's program against a collector: traces arrive, the last ones at the end of the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fraudops_crds::FraudModel;
use fraudops_testcluster::ApiServer;
use kube::Api;
use kube::api::PostParams;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Speaks just enough HTTP/2 to accept every export; keeps the bytes of all messages.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let collector = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let collector = collector.clone();
                std::thread::spawn(move || collector.serve(stream));
            }
        });
        address
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface)?;
        send(&mut stream, SETTINGS, 0, 0, &[])?;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
            let mut body = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
            stream.read_exact(&mut body)?;
            let id = u32::from_be_bytes([s1, s2, s3, s4]);
            match kind {
                SETTINGS if flags & ACK == 0 => send(&mut stream, SETTINGS, ACK, 0, &[])?,
                PING if flags & ACK == 0 => send(&mut stream, PING, ACK, 0, &body)?,
                DATA => {
                    self.0.lock().expect("no writer panics").extend(&body);
                    if flags & END_STREAM != 0 {
                        accept(&mut stream, id)?;
                    }
                }
                _ => {}
            }
        }
    }

    fn has(&self, text: &str) -> bool {
        self.0
            .lock()
            .expect("no writer panics")
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

fn send(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len())
        .expect("our frames are small")
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame)
}

/// Status 200, an empty message, grpc-status 0.
fn accept(stream: &mut TcpStream, id: u32) -> std::io::Result<()> {
    let mut head = vec![0x88];
    head.extend(header("content-type", "application/grpc"));
    send(stream, HEADERS, END_HEADERS, id, &head)?;
    send(stream, DATA, 0, id, &[0; 5])?;
    send(
        stream,
        HEADERS,
        END_HEADERS | END_STREAM,
        id,
        &header("grpc-status", "0"),
    )
}

/// A header in HPACK's plain form.
fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |s: &str| [&[u8::try_from(s.len()).expect("short")], s.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}

/// Whether the operator has ended a visit of a model, by its metrics.
fn has_visited(probes: SocketAddr) -> bool {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(probes) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: probes\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.read_to_string(&mut answer);
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix("fraudops_operator_reconcile_duration_seconds_count "));
    count.is_some_and(|count| count != "0")
}

fn operator(server: &ApiServer, collector: SocketAddr, probes: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudops-operator"));
    command
        .args([
            "--namespace",
            "default",
            "--metrics-addr",
            &probes.to_string(),
            "--kubeconfig",
        ])
        .arg(server.kubeconfig())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "60000") // so that only the flush at the end can export in time
        .stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_visits_are_exported_at_the_end_and_logs_are_json() {
    let server = ApiServer::start().unwrap();
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/fraudmodels.yaml");
    server.install_crds(&[crd]).await.unwrap();
    let example = include_str!("../../examples/quickstart/fraudmodel.yaml");
    let mut model: FraudModel = serde_yaml::from_str(example).unwrap();
    model.metadata.namespace = Some(String::from("default"));
    let models: Api<FraudModel> = Api::namespaced(server.client().await.unwrap(), "default");
    models.create(&PostParams::default(), &model).await.unwrap();

    let collector = Collector::default();
    let probes = free_address();
    let mut child = operator(&server, collector.start(), probes).spawn().unwrap();
    let start = Instant::now();
    while !has_visited(probes) {
        assert!(start.elapsed() < Duration::from_secs(30), "no visit within 30 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !collector.has("reconciling object"),
        "exported before the end: the flush would not be tested"
    );
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut log = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut log)
            .map(|_| (log, child.wait()))
    });
    let (log, status) = tokio::time::timeout(Duration::from_secs(20), output)
        .await
        .unwrap()
        .unwrap()
        .unwrap();

    assert!(status.unwrap().success());
    for text in ["reconciling object", "fraudops-operator", "service.version"] {
        assert!(collector.has(text), "{text} did not arrive");
    }
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(
        lines.iter().any(
            |line| line["message"] == "became the leader" && line["lease"] == "default/fraudops-operator"
        )
    );
}
