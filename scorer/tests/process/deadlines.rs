//! How long a caller waits at most: the flag, and the caller's own word.

use serde_json::{Value, json};

use crate::{
    client::{Connection, post},
    server::{Server, good},
};

fn post_with(server: &Server, limit: &str) -> Value {
    let body = good();
    let mut connection = Connection::open(server.http).unwrap();
    connection
        .send(format!(
            "POST /predict HTTP/1.1\r\nhost: x\r\nx-deadline-ms: {limit}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, 200);
    answer.json()
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
