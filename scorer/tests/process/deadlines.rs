//! How long a caller waits at most: the flag, and the caller's own word.

use serde_json::{Value, json};

use crate::{
    client::{Answer, Connection, post},
    server::{Server, good},
};

fn post_with(server: &Server, limit: &str) -> Value {
    let answer = send_with(server, limit, "/predict", &good());
    assert_eq!(answer.status, 200);
    answer.json()
}

fn send_with(server: &Server, limit: &str, path: &str, body: &str) -> Answer {
    let mut connection = Connection::open(server.http).unwrap();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-deadline-ms: {limit}\r\n");
    connection
        .send(format!("{head}content-length: {length}\r\n\r\n{body}"))
        .unwrap();
    connection.answer().unwrap()
}

#[test]
fn what_the_caller_no_longer_waits_for_is_not_scored() {
    let server = Server::ready(&["--workers", "1", "--deadline", "10s", "--on-model-error", "block"]);
    let late = post_with(&server, "0");
    assert_eq!(
        (
            &late["fraud_probability"],
            &late["decision"],
            &late["model_error"]
        ),
        (&Value::Null, &json!("block"), &json!(true))
    );
    assert_eq!(server.metric("fraud_inference_rows_total"), 0.0);
    assert_eq!(server.metric("fraud_model_errors_total{kind=\"deadline\"}"), 1.0);
    for limit in ["10000", "soon", "-1"] {
        assert!(
            post_with(&server, limit)["fraud_probability"].is_number(),
            "{limit}"
        );
    }
    for _ in 0..10 {
        post_with(&server, "0");
    }
    assert_eq!(
        server.readyz().status,
        200,
        "the caller's haste is no failure of the model"
    );
}

#[test]
fn a_caller_cannot_lengthen_the_deadline() {
    let server = Server::ready(&["--workers", "1", "--deadline", "0s"]);
    assert_eq!(post_with(&server, "10000")["fraud_probability"], Value::Null);
    assert_eq!(
        post(server.http, &good()).json()["fraud_probability"],
        Value::Null
    );
}

#[test]
fn a_batch_and_an_inference_are_not_scored_for_a_caller_who_is_gone_either() {
    let server = Server::ready(&["--workers", "1", "--deadline", "10s", "--on-model-error", "block"]);
    let batch = |limit: &str| send_with(&server, limit, "/predict/batch", &format!("[{}]", good()));
    let input = json!({ "name": "features", "datatype": "FP32", "shape": [1, 15], "data": vec![0; 15] });
    let inference = json!({ "inputs": [input] }).to_string();
    let infer = |limit: &str| send_with(&server, limit, "/v2/models/tiny/infer", &inference);

    let late = batch("0").json();
    assert_eq!(
        (&late[0]["fraud_probability"], &late[0]["decision"]),
        (&Value::Null, &json!("block")),
        "{late}"
    );
    let late = infer("0");
    assert_eq!(
        (late.status, late.json()),
        (504, json!({ "error": "row 0 was not scored in time" }))
    );
    assert_eq!(server.metric("fraud_inference_rows_total"), 0.0);

    let scored = batch("10000").json();
    assert!(scored[0]["fraud_probability"].is_number(), "{scored}");
    assert_eq!(infer("10000").status, 200);
}
