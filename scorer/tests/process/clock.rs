//! The date is set while the scorer serves, as an administrator or a time server may do: by an hour, forward and back.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Answer, Connection, post, post_bytes},
    server::{Server, fixture, good, scorer},
};

/// Of Debian's package libfaketime. It answers every question for the date from a file, and leaves the monotonic clock alone,
/// as setting the date does.
const LIBRARY: &str = "faketime/libfaketime.so.1";
/// Longer than any timer takes to ring that is due.
const A_MOMENT: Duration = Duration::from_millis(300);
const AHEAD: &str = "+3600";
const BEHIND: &str = "-3600";

/// A scorer and the date that it sees.
struct Scene {
    server: Server,
    folder: TempDir,
}

impl Scene {
    fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (keys, clock) = (folder.path().join("keys"), folder.path().join("clock"));
        fs::create_dir(&keys).unwrap();
        fs::write(
            keys.join("2026-11"),
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        )
        .unwrap();
        fs::write(&clock, "+0").unwrap();
        let mut command = scorer();
        command.arg("serve").arg("--model").arg(fixture("tiny.onnx"));
        command.arg("--receipt-keys").arg(&keys).args(arguments);
        command.env("LD_PRELOAD", library());
        command.env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let server = Server::spawn(command);
        server.wait_until_ready();
        Self { server, folder }
    }

    /// Sets the date to so many seconds from the real one; what is due by then has time to happen.
    fn set(&self, seconds: &str) {
        // Renamed, so that nobody reads half of it.
        let (new, clock) = (self.folder.path().join("new"), self.folder.path().join("clock"));
        fs::write(&new, seconds).unwrap();
        fs::rename(new, clock).unwrap();
        thread::sleep(A_MOMENT);
    }

    /// Why a label with the receipt of `answer` is refused, if it is.
    fn refusal(&self, answer: &Value) -> Option<Value> {
        let date = fs::read_to_string(self.folder.path().join("clock")).unwrap();
        let ahead: i64 = date.parse().unwrap();
        let time = Timestamp::now() + SignedDuration::from_secs(ahead);
        let label = json!({ "receipt": answer["receipt"], "label": "fraud", "source": "chargeback",
            "time": time.to_string() });
        let label = label.to_string();
        let head = "POST /feedback HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let mut connection = Connection::open(self.server.http).unwrap();
        connection
            .send(format!("{head}content-length: {}\r\n\r\n{label}", label.len()))
            .unwrap();
        let said = connection.answer().unwrap().json();
        said.pointer("/errors/0/reason").cloned()
    }
}

fn library() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap();
    let mut places = places.map(|place| place.unwrap().path().join(LIBRARY));
    let found = places.find(|place: &PathBuf| Path::exists(place));
    found.expect("libfaketime is there: tests/setup.sh installs it")
}

/// A scored answer, not one that a deadline forced.
fn scored(answer: &Answer) -> Value {
    let body = answer.json();
    assert!(
        answer.status == 200 && body["fraud_probability"].is_number(),
        "{answer:?}"
    );
    body
}

#[test]
fn no_wait_ends_early_and_no_answer_is_forgotten() {
    let scene = Scene::start(&["--deadline", "5s", "--idempotency-ttl", "10m"]);
    let http = scene.server.http;
    let remembered = good();
    let first = post(http, &remembered);
    let mut idle = Connection::open(http).unwrap();
    scored(&idle.post(&good()).unwrap());

    let mut made_in_the_future = Value::Null;
    for date in [AHEAD, "+0", BEHIND] {
        let mut slow = Connection::open(http).unwrap();
        let request = post_bytes(&good());
        let (some, rest) = request.split_at(request.len() / 2);
        slow.send(some).unwrap();

        scene.set(date);
        slow.send(rest).unwrap();
        scored(&slow.answer().unwrap());
        scored(&idle.post(&good()).unwrap());
        let new = scored(&post(http, &good()));
        assert_eq!(scene.refusal(&new), None, "{date}: its own receipt");
        assert_eq!(post(http, &remembered).body, first.body, "{date}");
        assert_eq!(scene.server.readyz().status, 200, "{date}");
        if date == AHEAD {
            made_in_the_future = new;
        } else {
            let refusal = scene.refusal(&made_in_the_future);
            assert_eq!(refusal, Some(json!("receipt_from_future")), "{date}");
        }
    }
    assert_eq!(scene.server.metric("fraud_model_errors_total"), 0.0);
}

#[test]
fn nobody_gets_a_new_share_by_a_new_date() {
    let scene = Scene::start(&["--rate-limit", "0.01", "--rate-burst", "2"]);
    let statuses = || [(); 2].map(|()| post(scene.server.http, &good()).status);
    assert_eq!(statuses(), [200, 200]);
    for date in [AHEAD, BEHIND] {
        scene.set(date);
        assert_eq!(statuses(), [429, 429], "{date}");
    }
}
