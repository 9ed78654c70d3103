//! A scorer that was started for one test.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::client::{Answer, get};

/// Nothing here takes longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running scorer; dropped, it is killed.
pub struct Server {
    child: Child,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub grpc: SocketAddr,
    lines: Receiver<String>,
}

impl Server {
    /// Starts `serve` on free ports, with the tiny model unless the arguments name another.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = scorer();
        command.arg("serve");
        if !arguments.contains(&"--model") {
            command.arg("--model").arg(fixture("tiny.onnx"));
        }
        command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Starts a `serve` that was put together by the test.
    pub fn spawn(command: Command) -> Self {
        let mut child = Self::child(command);
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        let first = lines
            .recv_timeout(PATIENCE)
            .expect("the scorer says where it listens");
        Self::of(child, &first, lines)
    }

    /// The same, and nobody reads what it writes after its first line, although somebody could: what comes back is to be kept.
    pub fn spawn_stalled(command: Command) -> (Self, impl Sized) {
        let mut child = Self::child(command);
        let mut first = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        stderr
            .read_line(&mut first)
            .expect("the scorer says where it listens");
        (Self::of(child, &first, channel().1), stderr)
    }

    /// The same, and what it writes after its first line has nowhere to go.
    pub fn spawn_unread(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut child = Self::child(command);
        drop(child.stdout.take());
        let mut first = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        stderr
            .read_line(&mut first)
            .expect("the scorer says where it listens");
        Self::of(child, &first, channel().1)
    }

    fn child(mut command: Command) -> Child {
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--grpc-listen",
            "127.0.0.1:0",
        ]);
        command.stderr(Stdio::piped()).spawn().expect("the scorer starts")
    }

    fn of(child: Child, first: &str, lines: Receiver<String>) -> Self {
        let first: Value = serde_json::from_str(first).expect("logs are JSON");
        let address = |key: &str| {
            first[key]
                .as_str()
                .and_then(|a| a.parse().ok())
                .expect("an address")
        };
        Self {
            http: address("listen"),
            admin: address("admin"),
            grpc: address("grpc"),
            child,
            lines,
        }
    }

    /// Starts and waits for readiness.
    pub fn ready(arguments: &[&str]) -> Self {
        let server = Self::start(arguments);
        server.wait_until_ready();
        server
    }

    pub fn wait_until_ready(&self) {
        poll("readiness", || self.readyz().status == 200);
    }

    pub fn readyz(&self) -> Answer {
        get(self.admin, "/readyz")
    }

    /// Waits until the model is found unservable, and answers the reason and the message.
    pub fn failure(&self) -> (String, String) {
        poll("a verdict", || self.readyz().json()["reason"] != "Loading");
        let verdict = self.readyz();
        assert_eq!(verdict.status, 503, "{verdict:?}");
        let text = |key: &str| verdict.json()[key].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    /// The value of one series of /metrics, its labels `model` and `version` left out; without labels the sum of all.
    pub fn metric(&self, series: &str) -> f64 {
        let page = get(self.admin, "/metrics").body;
        let wanted = |found: &str| found == series || found.split('{').next() == Some(series);
        let values = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (found, value) = line.rsplit_once(' ')?;
                wanted(&without_the_model(found)).then(|| value.parse::<f64>().expect(line))
            });
        let values: Vec<_> = values.collect();
        assert!(!values.is_empty(), "{series} is missing in\n{page}");
        values.iter().sum()
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the scorer does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a log line that contains the text.
    pub fn wait_for_log(&self, text: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("no log line says {text}");
    }

    /// Threads of the process.
    pub fn threads(&self) -> usize {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        threads.unwrap().count()
    }

    /// What it logs up to its end, but for the lines that were waited for.
    pub fn rest_of_log(&mut self) -> String {
        self.wait();
        self.lines.iter().map(|line| line + "\n").collect()
    }

    /// Id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in MiB.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim()
            .split(' ')
            .next()
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap()
            / 1024
    }
}

/// `name{model="…",version="…",a="b"}` becomes `name{a="b"}`.
fn without_the_model(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else {
        return series.to_owned();
    };
    let mut rest = labels.trim_end_matches('}');
    for constant in ["model=\"", "version=\""] {
        if let Some(after) = rest.strip_prefix(constant) {
            // Versions in these tests have no quotes in them, but for one that no metric is asked for.
            rest = after
                .split_once('"')
                .map_or("", |(_, rest)| rest)
                .trim_start_matches(',');
        }
    }
    if rest.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{rest}}}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with ONNX Runtime's library and a clean environment.
pub fn scorer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudops-scorer"));
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("FRAUDOPS_") || n.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.env("ORT_DYLIB_PATH", library());
    command
}

/// ONNX Runtime's library: ORT_DYLIB_PATH, else where scorer/onnxruntime.sh puts it.
pub fn library() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so");
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or(place, PathBuf::from);
    assert!(
        library.exists(),
        "{} is missing: run `scorer/onnxruntime.sh target/onnxruntime` in the repository, or set ORT_DYLIB_PATH",
        library.display()
    );
    library
}

/// A file of tests/fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The same as text, for arguments.
pub fn fixture_arg(name: &str) -> String {
    fixture(name).to_str().expect("the path is UTF-8").to_owned()
}

/// Asks again until the answer is yes.
pub fn poll(what: &str, mut question: impl FnMut() -> bool) {
    let start = Instant::now();
    while !question() {
        assert!(start.elapsed() < PATIENCE, "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The 15 inputs of the model.
pub const INPUTS: [&str; 15] = [
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    "CUSTOMER_ID_NB_TX_1DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_7DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_30DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW",
    "TERMINAL_ID_NB_TX_1DAY_WINDOW",
    "TERMINAL_ID_RISK_1DAY_WINDOW",
    "TERMINAL_ID_NB_TX_7DAY_WINDOW",
    "TERMINAL_ID_RISK_7DAY_WINDOW",
    "TERMINAL_ID_NB_TX_30DAY_WINDOW",
    "TERMINAL_ID_RISK_30DAY_WINDOW",
];

/// A request with the given inputs.
pub fn request(inputs: &[f64]) -> Map<String, Value> {
    let mut body = Map::new();
    // A new transaction each time: the same one again would get the same answer again.
    static NEXT: AtomicU32 = AtomicU32::new(1);
    body.insert("TRANSACTION_ID".into(), json!(NEXT.fetch_add(1, Relaxed)));
    body.insert("TX_DATETIME".into(), json!("2018-08-01T00:00:31"));
    for name in ["CUSTOMER_ID", "TERMINAL_ID", "TX_TIME_SECONDS", "TX_TIME_DAYS"] {
        body.insert(name.into(), json!(7));
    }
    for (column, (name, value)) in INPUTS.iter().zip(inputs).enumerate() {
        body.insert(
            (*name).into(),
            if matches!(column, 1 | 2) {
                json!(*value as i64)
            } else {
                json!(value)
            },
        );
    }
    body
}

/// Rows that Python's ONNX Runtime scored with the tiny model: request bodies and scores.
pub fn scored_by_python() -> Vec<(String, f64)> {
    let table: Value = serde_json::from_slice(&std::fs::read(fixture("tiny-scores.json")).unwrap()).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(table["rows"].clone()).unwrap();
    let scores: Vec<f64> = serde_json::from_value(table["scores"].clone()).unwrap();
    rows.iter()
        .map(|row| Value::Object(request(row)).to_string())
        .zip(scores)
        .collect()
}

/// A request that nothing is wrong with.
pub fn good() -> String {
    scored_by_python().swap_remove(0).0
}
