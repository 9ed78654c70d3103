//! The same transaction has the same score: in any replica, after any restart, on any thread, in any company.

use std::{net::SocketAddr, thread};

use serde_json::{Value, json};

use crate::{
    client::Connection,
    server::{Server, fixture_arg, request},
};

/// Transactions of each model.
const ROWS: usize = 256;

/// The n-th transaction of an inexhaustible list.
fn transaction(n: usize) -> Value {
    let mut state = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut row = [0.0; 15];
    for (column, value) in row.iter_mut().enumerate() {
        *value = match column {
            0 | 4 | 6 | 8 => next() * 400.0,
            1 | 2 => next().round(),
            10 | 12 | 14 => next(),
            _ => (next() * 40.0).round(),
        };
    }
    Value::Object(request(&row))
}

fn bits(answer: &Value) -> u32 {
    let score = answer["fraud_probability"].as_f64();
    (score.unwrap_or_else(|| panic!("{answer}")) as f32).to_bits()
}

fn call(connection: &mut Connection, path: &str, body: &str) -> Value {
    connection
        .send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// One after the other: each is alone in its batch.
fn alone(server: SocketAddr, all: &[Value]) -> Vec<u32> {
    let mut connection = Connection::open(server).unwrap();
    let scores = all
        .iter()
        .map(|one| bits(&call(&mut connection, "/predict", &one.to_string())));
    scores.collect()
}

/// Sixteen at a time: they share batches of sizes that nobody controls.
fn together(server: SocketAddr, all: &[Value]) -> Vec<u32> {
    thread::scope(|scope| {
        let parts = all.chunks(all.len().div_ceil(16));
        let parts: Vec<_> = parts
            .map(|part| scope.spawn(move || alone(server, part)))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// In one request.
fn as_a_batch(server: SocketAddr, all: &[Value]) -> Vec<u32> {
    let mut connection = Connection::open(server).unwrap();
    let answers = call(&mut connection, "/predict/batch", &json!(all).to_string());
    answers.as_array().unwrap().iter().map(bits).collect()
}

#[test]
fn a_score_depends_on_nothing_but_the_transaction() {
    let all: Vec<Value> = (0..ROWS).map(transaction).collect();
    for model in [
        "tiny.onnx",
        "models/xgboost.onnx",
        "models/lightgbm.onnx",
        "models/mlp.onnx",
    ] {
        let model = fixture_arg(model);
        let start = |workers: &str| {
            let limits = ["--review", "0.1", "--block", "0.5", "--deadline", "10s"];
            let flags = ["--model", &model, "--workers", workers, "--idempotency-ttl", "0s"];
            Server::ready(&[&flags[..], &limits].concat())
        };
        let first = alone(start("1").http, &all);
        let (replica, wide) = (start("1"), start("3"));
        for (way, scores) in [
            ("after a restart", alone(replica.http, &all)),
            ("in company", together(replica.http, &all)),
            ("in a batch", as_a_batch(replica.http, &all)),
            ("in company on three threads", together(wide.http, &all)),
            ("in a batch on three threads", as_a_batch(wide.http, &all)),
        ] {
            let differing = first.iter().zip(&scores).filter(|(a, b)| a != b).count();
            assert_eq!((differing, scores.len()), (0, ROWS), "{model} {way}");
        }
    }
}
