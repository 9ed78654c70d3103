//! `--reload`: another model takes over while requests come, and one that cannot be served changes nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Answer, Connection, get, post},
    server::{INPUTS, PATIENCE, Server, fixture, poll, request},
};

/// A file that has been as it is for a shorter time may still be written to.
const QUIET: Duration = Duration::from_millis(500);

/// A folder as the kubelet mounts a ConfigMap: the files are links into a folder that is exchanged as a whole.
struct Mount {
    directory: TempDir,
    turn: AtomicU64,
}

impl Mount {
    fn new(content: &[u8]) -> Self {
        let mount = Self {
            directory: tempfile::tempdir().unwrap(),
            turn: AtomicU64::new(0),
        };
        symlink("..data/model.onnx", mount.model()).unwrap();
        mount.put(content);
        mount
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.place("model.onnx")
    }

    /// Exchanges the content, as the kubelet does it; the file is as old as that of an archive.
    fn put(&self, content: &[u8]) {
        self.exchange(|file| {
            fs::write(file, content).unwrap();
            let old = SystemTime::now() - Duration::from_secs(3600);
            File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(old)
                .unwrap();
        });
    }

    fn exchange(&self, write: impl FnOnce(&Path)) {
        let before = fs::read_link(self.place("..data")).ok();
        let folder = format!("..2026_11_26_{}", self.turn.fetch_add(1, SeqCst));
        fs::create_dir(self.place(&folder)).unwrap();
        write(&self.place(&folder).join("model.onnx"));
        symlink(&folder, self.place("..data_tmp")).unwrap();
        fs::rename(self.place("..data_tmp"), self.place("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(self.directory.path().join(before)).unwrap();
        }
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let server = self.start(arguments);
        server.wait_until_ready();
        server
    }

    fn start(&self, arguments: &[&str]) -> Server {
        let model = self.model();
        Server::start(&[&["--model", model.to_str().unwrap()], arguments].concat())
    }
}

/// The tiny model in version `number` of a thousand.
fn tiny(number: u32) -> Vec<u8> {
    replaced(
        "\"version\": \"0.0.1\"",
        &format!("\"version\": \"{}\"", version(number)),
    )
}

fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 100, number / 10 % 10, number % 10)
}

/// The tiny model with another text of the same length.
fn replaced(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(fixture("tiny.onnx")).unwrap();
    let at = bytes
        .windows(from.len())
        .position(|found| found == from.as_bytes());
    bytes[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
    bytes
}

/// A transaction that was never sent before.
fn transaction() -> String {
    Value::Object(request(&[1.0; INPUTS.len()])).to_string()
}

fn served(server: &Server) -> String {
    let answer = server.readyz();
    assert_eq!(answer.status, 200, "{answer:?}");
    text(&answer, "/model/version")
}

fn text(answer: &Answer, pointer: &str) -> String {
    let json = answer.json();
    let found = json.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no {pointer} in {json}"))
        .to_owned()
}

fn wait_for(server: &Server, number: u32) {
    poll(&version(number), || served(server) == version(number));
}

fn rejected(server: &Server) -> Value {
    get(server.admin, "/model").json()["rejected"].clone()
}

/// Sends transactions over connections that are kept until it is told to stop. Every answer must be a 200. Answers how many
/// there were, and for each connection the versions that answered, in order.
fn load(address: SocketAddr, connections: usize, stop: &AtomicBool) -> (u64, Vec<Vec<String>>) {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(address).unwrap();
                    let (mut count, mut versions) = (0, Vec::new());
                    while !stop.load(SeqCst) {
                        let answer = connection.post(&transaction()).expect("no request may be lost");
                        assert_eq!(answer.status, 200, "{answer:?}");
                        versions.push(text(&answer, "/model_version"));
                        versions.dedup();
                        count += 1;
                    }
                    (count, versions)
                })
            })
            .collect();
        let ended = clients.into_iter().map(|client| client.join().unwrap());
        let (counts, versions): (Vec<u64>, _) = ended.unzip();
        (counts.iter().sum(), versions)
    })
}

/// Does something while the load goes on, and answers what the load found.
fn under_load(address: SocketAddr, connections: usize, work: impl FnOnce()) -> (u64, Vec<Vec<String>>) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| load(address, connections, &stop));
        {
            let _stop = Stop(&stop); // also when the work fails
            work();
        }
        load.join().unwrap()
    })
}

#[test]
fn models_take_over_under_load_and_no_request_is_lost_or_scored_twice() {
    let mount = Mount::new(&tiny(1));
    // A busy machine must not look like a model that fails.
    let server = mount.serve(&["--reload", "10ms", "--workers", "2", "--deadline", "10s"]);
    let (count, connections) = under_load(server.http, 6, || {
        for number in 2..=15 {
            mount.put(&tiny(number));
            wait_for(&server, number);
        }
    });
    for versions in connections {
        let mut in_order = versions.clone();
        in_order.sort();
        in_order.dedup();
        assert_eq!(versions, in_order, "a version came back on one connection");
        assert!(versions.len() > 1, "{versions:?}");
    }
    for series in [
        "fraud_predictions_total",
        "fraud_exposures_total",
        "fraud_inference_rows_total",
        "fraud_idempotency_total{outcome=\"new\"}",
    ] {
        assert_eq!(
            server.metric(series),
            count as f64,
            "{series} of all versions together"
        );
    }
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"ok\"}"), 14.0);
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"failed\"}"), 0.0);
    assert_eq!(server.metric("fraud_model_errors_total"), 0.0);
    server.wait_for_log("another model serves");
}

#[test]
fn what_belongs_to_the_process_survives_and_what_belongs_to_the_model_changes() {
    let keys = tempfile::tempdir().unwrap();
    fs::write(
        keys.path().join("first"),
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    )
    .unwrap();
    let mount = Mount::new(&tiny(1));
    let companion = fixture("tiny.onnx");
    let server = mount.serve(&[
        "--reload",
        "10ms",
        "--workers",
        "1",
        "--receipt-keys",
        keys.path().to_str().unwrap(),
        "--companion",
        companion.to_str().unwrap(),
    ]);
    let body = transaction();
    let before = post(server.http, &body);
    assert_eq!(text(&before, "/model_version"), version(1));
    poll("a pair", || server.metric("fraud_pairs_total") > 0.0);

    mount.put(&tiny(2));
    wait_for(&server, 2);
    let again = post(server.http, &body);
    assert_eq!((again.status, &again.body), (200, &before.body));
    let mut other: Value = serde_json::from_str(&body).unwrap();
    other["TX_AMOUNT"] = json!(2.0);
    assert_eq!(post(server.http, &other.to_string()).status, 409);
    assert_eq!(
        server.metric("fraud_pairs_total"),
        0.0,
        "pairs are those of one model"
    );
    assert_eq!(
        text(&post(server.http, &transaction()), "/model_version"),
        version(2)
    );
    assert_eq!(server.metric("fraud_predictions_total"), 2.0);
    poll("a pair with the new model", || {
        server.metric("fraud_pairs_total") > 0.0
    });

    let label = json!({
        "receipt": text(&before, "/receipt"), "label": "fraud", "source": "chargeback",
        "time": jiff::Timestamp::now().to_string(),
    });
    let mut connection = Connection::open(server.http).unwrap();
    let (label, path) = (label.to_string(), "POST /feedback HTTP/1.1\r\nhost: scorer\r\n");
    let head = format!(
        "{path}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        label.len()
    );
    connection.send(head + &label).unwrap();
    let counted = connection.answer().unwrap();
    assert_eq!(counted.json()["counted"], 1, "{counted:?}");
    let series = format!(
        "fraud_labelled_total{{scored_by=\"{}\",source=\"chargeback\",label=\"fraud\"}}",
        version(2)
    );
    assert_eq!(server.metric(&series), 1.0);

    let card = get(server.admin, "/model").json();
    assert_eq!(card["version"], version(2));
    assert_eq!(
        get(server.http, "/v2/models/tiny").json()["versions"],
        json!([version(2)])
    );
    assert_eq!(
        get(server.http, "/openapi.json").json()["info"]["version"],
        version(2)
    );
    let page = get(server.admin, "/metrics").body;
    let of_the_one_before = "model=\"tiny\",version=\"0.0.1\"";
    assert!(!page.contains(of_the_one_before), "{page}");
}

#[test]
fn a_file_that_cannot_be_served_changes_nothing_and_is_tried_once() {
    let mount = Mount::new(&tiny(1));
    let server = mount.serve(&["--reload", "10ms", "--workers", "1"]);
    let golden = fs::read(fixture("golden-mismatch.onnx")).unwrap();
    let whole = tiny(2);
    let other_inputs = replaced("TX_DURING_NIGHT", "TX_DURING_LUNCH");
    for (turn, (content, reason, words)) in [
        (&golden[..], "GoldenMismatch", "golden row 0"),
        (&whole[..whole.len() / 2], "NotONNX", "truncated"),
        (&other_inputs, "FeatureMismatch", "column 2 is TX_DURING_LUNCH"),
    ]
    .into_iter()
    .enumerate()
    {
        mount.put(content);
        poll(reason, || rejected(&server)["reason"] == reason);
        let told = rejected(&server);
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
        assert_eq!(told["sha256"].as_str().map(str::len), Some(64), "{told}");
        assert_eq!(served(&server), version(1));
        let answer = post(server.http, &transaction());
        assert_eq!(
            (answer.status, text(&answer, "/model_version")),
            (200, version(1))
        );
        assert_eq!(
            server.metric("fraud_model_reloads_total{result=\"failed\"}"),
            turn as f64 + 1.0
        );
        server.wait_for_log(reason);
    }

    fs::remove_file(mount.model()).unwrap();
    poll("the loss of the file", || {
        rejected(&server)["reason"] == "ModelUnreadable"
    });
    symlink("..data/model.onnx", mount.model()).unwrap();
    poll("the file from before", || {
        rejected(&server)["reason"] == "FeatureMismatch"
    });
    mount.put(&tiny(1));
    poll("the file that serves", || rejected(&server).is_null());
    mount.put(&tiny(3));
    wait_for(&server, 3);
    // Looked at a hundred times a second all the while.
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"failed\"}"), 5.0);
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"ok\"}"), 1.0);
}

#[test]
fn a_file_that_is_being_written_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model.onnx");
    fs::write(&model, tiny(1)).unwrap();
    let server = Server::ready(&[
        "--model",
        model.to_str().unwrap(),
        "--reload",
        "10ms",
        "--workers",
        "1",
    ]);
    let next = tiny(2);
    let mut file = File::create(&model).unwrap(); // in place, as `cp` does it
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    for part in next.chunks(next.len() / 15) {
        file.write_all(part).unwrap();
        longest = longest.max(last.elapsed());
        last = Instant::now();
        poll("the next part", || {
            let answer = post(server.http, &transaction());
            assert_eq!(
                (answer.status, text(&answer, "/model_version")),
                (200, version(1))
            );
            last.elapsed() > QUIET / 5
        });
    }
    drop(file);
    wait_for(&server, 2);
    // Where this test itself stood still, the file stood still for too long as well.
    if longest < QUIET {
        assert_eq!(server.metric("fraud_model_reloads_total{result=\"failed\"}"), 0.0);
    }
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"ok\"}"), 1.0);
}

#[test]
fn a_fresh_mount_is_taken_over_too() {
    let mount = Mount::new(&tiny(1));
    let server = mount.serve(&["--reload", "10ms", "--workers", "1"]);
    mount.exchange(|file| fs::write(file, tiny(2)).unwrap());
    wait_for(&server, 2);
}

#[test]
fn sighup_asks_for_a_look_and_tries_a_rejected_file_again() {
    let mount = Mount::new(&tiny(1));
    let server = mount.serve(&["--reload", "0s", "--workers", "1"]);
    mount.put(&tiny(2));
    assert_eq!(served(&server), version(1), "nobody asked");
    server.signal("HUP");
    wait_for(&server, 2);
    mount.put(b"nonsense");
    for turn in [1.0, 2.0] {
        server.signal("HUP");
        poll("the verdict", || {
            server.metric("fraud_model_reloads_total{result=\"failed\"}") == turn
        });
    }
    assert_eq!(served(&server), version(2));
}

#[test]
fn a_scorer_that_began_with_a_bad_file_serves_the_good_one_that_follows() {
    let mount = Mount::new(b"nonsense");
    let server = mount.start(&["--reload", "10ms", "--workers", "1"]);
    assert_eq!(server.failure().0, "NotONNX");
    mount.put(&tiny(1));
    server.wait_until_ready();
    assert_eq!(
        text(&post(server.http, &transaction()), "/model_version"),
        version(1)
    );
}

#[test]
fn many_reloads_leave_nothing_behind() {
    let mount = Mount::new(&tiny(1));
    // The memory of answers grows until it is full, whatever the models do.
    let server = mount.serve(&["--reload", "0s", "--workers", "2", "--idempotency-ttl", "0s"]);
    let reload = |numbers: std::ops::RangeInclusive<u32>| {
        for number in numbers {
            mount.put(&tiny(number));
            server.signal("HUP");
            let begun = Instant::now();
            wait_for(&server, number);
            assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
        }
    };
    let state = || {
        let page = get(server.admin, "/metrics").body;
        (
            page.lines().count(),
            server.metric("process_open_fds"),
            server.threads(),
        )
    };
    let (count, _) = under_load(server.http, 2, || {
        reload(2..=60);
        let (before, memory) = (state(), server.resident_mib());
        reload(61..=200);
        poll("as many lines of /metrics, files and threads as before", || {
            state() == before
        });
        let after = server.resident_mib();
        assert!(
            after <= memory + 4,
            "{memory} MiB after 60 reloads, {after} after 200"
        );
    });
    assert_eq!(server.metric("fraud_model_reloads_total{result=\"ok\"}"), 199.0);
    assert_eq!(server.metric("fraud_predictions_total"), count as f64);
}
