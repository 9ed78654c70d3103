//! What was asked about stays out of everything that is written: logs at their finest, traces, metrics, the decision log.

use std::{collections::HashSet, fs, path::Path};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{
    client::{Answer, Connection, get, post_bytes},
    collector::Collector,
    server::{Server, fixture_arg, poll, request},
};

/// Requests with a card number in them.
const SEEDED: usize = 10_000;

/// A scorer that writes everything it can write, and where.
struct Talkative {
    server: Server,
    collector: Collector,
    folder: TempDir,
}

impl Talkative {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let key = base64_of(&[7; 32]);
        fs::write(path("key"), &key).unwrap();
        fs::create_dir(path("receipt-keys")).unwrap();
        fs::write(path("receipt-keys/2026-11"), &key).unwrap();
        let (log, key, keys) = (path("decisions.jsonl"), path("key"), path("receipt-keys"));
        let all = [
            &["--workers", "1", "--drain-delay", "50ms", "--log-filter", "trace"][..],
            &["--decision-log", &log, "--decision-log-key", &key],
            &["--decision-log-approvals", "1", "--receipt-keys", &keys],
            arguments,
        ];
        let collector = Collector::start();
        let server = Server::start_with(&all.concat(), &collector.environment());
        server.wait_until_ready();
        Self {
            server,
            collector,
            folder,
        }
    }

    /// Ends it, and answers what it has written where, by name.
    fn written(mut self) -> Vec<(&'static str, String)> {
        let metrics = get(self.server.admin, "/metrics").body;
        poll("spans", || self.collector.text().contains("/predict"));
        self.server.signal("TERM");
        assert_eq!(self.server.wait().code(), Some(0));
        let decisions = fs::read_to_string(self.folder.path().join("decisions.jsonl")).unwrap();
        assert!(decisions.lines().count() > 0 && metrics.contains("fraud_predictions_total"));
        vec![
            ("metrics", metrics),
            ("traces and logs at the collector", self.collector.text()),
            ("decision log", decisions),
            ("log", self.server.rest_of_log()),
        ]
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// The n-th of many card numbers of 13 to 19 digits, all different, with right check digits.
fn card_number(n: usize) -> String {
    let length = 13 + n % 7;
    let mut state = n as u64 + 1;
    let mut digits: Vec<u32> = (1..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % 10
        })
        .collect();
    digits[0] = 3 + digits[0] % 4; // as those of the card schemes begin; and 19 digits fit into 64 bits
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, doubled) => doubled / 10 + doubled % 10,
            _ => *digit,
        })
        .sum();
    digits.push((10 - sum % 10) % 10);
    digits
        .iter()
        .map(|digit| char::from(b'0' + *digit as u8))
        .collect()
}

/// In groups of four.
fn grouped(number: &str, by: &str) -> String {
    let groups = number.as_bytes().chunks(4).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(by)
}

/// One of the card numbers in the text, however it is grouped.
fn leaked<'a>(text: &str, numbers: &'a HashSet<String>) -> Option<&'a String> {
    let joined: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let runs = joined.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() >= 13).find_map(|run| {
        (13..=19).find_map(|length| {
            let windows = run.as_bytes().windows(length);
            windows
                .filter_map(|window| std::str::from_utf8(window).ok())
                .find_map(|window| numbers.get(window))
        })
    })
}

fn body_with(field: &str, raw: &str) -> String {
    let mut body = request(&[0.5; 15]);
    body.insert(field.into(), json!("@@"));
    Value::Object(body).to_string().replace("\"@@\"", raw)
}

fn http(target: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Ways to hide a card number in a request.
const WAYS: usize = 20;

/// A request with the card number in some place of it, and what it must be answered.
fn seeded(way: usize, number: &str) -> (String, u16) {
    let predict = |field: &str, raw: &str| post_bytes(&body_with(field, raw));
    match way {
        0 => (predict("TX_DATETIME", &format!("\"{number}\"")), 422),
        1 => {
            let text = format!("\"paid with {}.\"", grouped(number, " "));
            (predict("NOTE", &text), 422)
        }
        2 => {
            let nested = format!("[{{\"a\":[\"{}\"]}}]", grouped(number, "-"));
            (predict("NOTE", &nested), 422)
        }
        3 => (predict(number, "1"), 422),
        4 => (predict("TX_AMOUNT", &format!("\"{number}\"")), 422),
        5 => (predict("CUSTOMER_ID", number), 200),
        6 => (predict("TRANSACTION_ID", number), 200),
        7 => (predict("TERMINAL_ID", number), 200),
        8 => (predict("TX_AMOUNT", number), 200),
        9 => (predict("TX_DURING_NIGHT", number), 422),
        10 => (post_bytes(&format!("{{\"TX_AMOUNT\": {number}x")), 422),
        11 => (post_bytes(&format!("{number} {number}")), 422),
        _ => seeded_elsewhere(way, number),
    }
}

/// The same outside of the body of a prediction.
fn seeded_elsewhere(way: usize, number: &str) -> (String, u16) {
    let predict = |headers: &str| http("/predict", headers, &body_with("NOTE", "1"));
    match way {
        12 => (predict(&format!("x-request-id: {number}\r\n")), 200),
        13 => (
            predict(&format!("x-request-id: pay-{}\r\n", grouped(number, "-"))),
            200,
        ),
        14 => (
            http(&format!("/predict?card={number}"), "", &body_with("NOTE", "1")),
            200,
        ),
        15 => {
            let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let state = format!("{parent}\r\ntracestate: a={number}\r\nuser-agent: {number}\r\n");
            (predict(&state), 200)
        }
        16 => (http(&format!("/v2/models/{number}/infer"), "", "{}"), 404),
        17 => (http(&format!("/{number}"), "", ""), 404),
        18 => {
            let refused = body_with("NOTE", &format!("\"{number}\""));
            let batch = format!("[{refused},{}]", body_with("CUSTOMER_ID", number));
            (http("/predict/batch", "", &batch), 200)
        }
        _ => {
            let item =
                json!({"receipt": number, "label": number, "time": number, "source": number, "note": number});
            (http("/feedback", "", &item.to_string()), 422)
        }
    }
}

/// Whether the way ends in a refusal because of the card number.
fn is_told(way: usize) -> bool {
    way < 5 || way == 18
}

fn send(connection: &mut Connection, request: &str) -> Answer {
    connection.send(request).unwrap();
    connection.answer().unwrap()
}

#[test]
fn ten_thousand_requests_with_card_numbers_leave_none_anywhere() {
    let scorer = Talkative::start(&[]);
    let mut connection = Connection::open(scorer.server.http).unwrap();
    let mut numbers = HashSet::new();
    let mut refused = 0;
    for n in 0..SEEDED {
        let number = card_number(n);
        let (request, status) = seeded(n % WAYS, &number);
        assert!(numbers.insert(number), "they are all different");
        let answer = send(&mut connection, &request);
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        let headers = answer.headers.iter().map(|(_, value)| value.as_str());
        for text in headers.chain([answer.body.as_str()]) {
            assert_eq!(leaked(text, &numbers), None, "{request}: {answer:?}");
        }
        refused += usize::from(is_told(n % WAYS));
    }
    let counted = scorer
        .server
        .metric("fraud_request_errors_total{kind=\"card_number\"}");
    assert_eq!(counted, refused as f64);
    assert_eq!(scorer.server.metric("fraud_panics_total"), 0.0);
    for (place, text) in scorer.written() {
        assert_eq!(leaked(&text, &numbers), None, "a card number is in the {place}");
    }
}

/// Values that occur nowhere else, and that 32 bits hold.
const CANARIES: [f64; 4] = [31_415_926.0, 27_182_818.0, 16_180_340.0, 14_142_136.0];
const FIRST: i64 = 577_215_664;
const CUSTOMER: i64 = 915_965_594;
const TERMINAL: i64 = 693_147_180;

fn canary(n: i64, amount: f64) -> Map<String, Value> {
    let mut row = [0.0; 15];
    row[0] = amount;
    for (place, canary) in [3, 4, 9, 14].into_iter().zip(CANARIES) {
        row[place] = canary;
    }
    let mut body = request(&row);
    body["TRANSACTION_ID"] = json!(FIRST + n);
    body["CUSTOMER_ID"] = json!(CUSTOMER);
    body["TERMINAL_ID"] = json!(TERMINAL);
    body
}

#[test]
fn features_and_ids_are_written_nowhere() {
    for model in ["tiny.onnx", "unstable.onnx"] {
        let scorer = Talkative::start(&["--model", &fixture_arg(model)]);
        let mut connection = Connection::open(scorer.server.http).unwrap();
        let mut receipt = Value::Null;
        for n in 0..50 {
            // Some amounts make the unstable model fail.
            let amount = if n % 2 == 0 { CANARIES[0] } else { 1e30 };
            let body = Value::Object(canary(n, amount)).to_string();
            let answer = send(&mut connection, &post_bytes(&body));
            assert_eq!(answer.status, 200, "{answer:?}");
            if amount < 1e30 {
                receipt = answer.json()["receipt"].clone();
            }
        }
        let conflict = Value::Object(canary(0, CANARIES[1])).to_string();
        assert_eq!(send(&mut connection, &post_bytes(&conflict)).status, 409);
        let mut wrong = canary(99, CANARIES[0]);
        wrong["TX_DURING_NIGHT"] = json!(CANARIES[2]);
        wrong["TX_DURING_WEEKEND"] = json!(CANARIES[1].to_string());
        let wrong = Value::Object(wrong).to_string();
        assert_eq!(send(&mut connection, &post_bytes(&wrong)).status, 422);
        let now = jiff::Timestamp::now().to_string();
        let label = json!({"receipt": receipt, "label": "fraud", "time": now, "source": "other"});
        let feedback = post_bytes(&label.to_string()).replacen("/predict", "/feedback", 1);
        assert_eq!(send(&mut connection, &feedback).status, 200);

        let numbers = CANARIES.iter().map(f64::to_string);
        let ids = (0..50).map(|n| FIRST + n).chain([CUSTOMER, TERMINAL]);
        let receipt = receipt.as_str().expect("answers have receipts").to_owned();
        let secrets = numbers.chain(ids.map(|id| id.to_string())).chain([receipt]);
        let secrets: Vec<String> = secrets.collect();
        for (place, text) in scorer.written() {
            for secret in &secrets {
                assert!(!text.contains(secret), "{secret} is in the {place} of {model}");
            }
        }
    }
}

#[test]
fn there_are_no_core_dumps() {
    let server = Server::ready(&["--workers", "1"]);
    let limits = fs::read_to_string(Path::new("/proc").join(server.id().to_string()).join("limits")).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.unwrap_or_default().split_whitespace().take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");
}
