//! What a bad request gets: a finding, never a score.

use serde_json::{Value, json};

use crate::{
    client::{Connection, post},
    server::{INPUTS, Server, good, request},
};

fn with(field: &str, raw: &str) -> String {
    let mut body = request(&[0.5; 15]);
    body.insert(field.into(), json!("@@"));
    Value::Object(body).to_string().replace("\"@@\"", raw)
}

fn without(field: &str) -> String {
    let mut body = request(&[0.5; 15]);
    body.remove(field);
    Value::Object(body).to_string()
}

#[test]
fn every_bad_body_is_a_422_that_says_what_is_wrong() {
    let server = Server::ready(&["--workers", "1"]);
    let body = good();
    let table = [
        (String::new(), "missing", None),
        ("not json".into(), "json_invalid", None),
        ("{".into(), "json_invalid", None),
        (format!("{body} {body}"), "json_invalid", None),
        (format!("\u{feff}{body}"), "json_invalid", None),
        ("[]".into(), "model_attributes_type", None),
        ("\"text\"".into(), "model_attributes_type", None),
        ("null".into(), "model_attributes_type", None),
        (with("TX_AMOUNT", "NaN"), "json_invalid", None),
        (with("TX_AMOUNT", "Infinity"), "json_invalid", None),
        (with("TX_AMOUNT", "-Infinity"), "json_invalid", None),
        (with("TX_AMOUNT", "1e999"), "json_invalid", None),
        (with("TX_AMOUNT", "1e300"), "finite_number", Some("TX_AMOUNT")),
        (with("TX_AMOUNT", "\"12\""), "float_type", Some("TX_AMOUNT")),
        (with("TX_AMOUNT", "null"), "float_type", Some("TX_AMOUNT")),
        (with("TX_AMOUNT", "[]"), "float_type", Some("TX_AMOUNT")),
        (with("TX_AMOUNT", "true"), "float_type", Some("TX_AMOUNT")),
        (with("CUSTOMER_ID", "1.5"), "int_from_float", Some("CUSTOMER_ID")),
        (
            with("TX_DURING_NIGHT", "2"),
            "literal_error",
            Some("TX_DURING_NIGHT"),
        ),
        (
            with("TX_DATETIME", "\"soon\""),
            "datetime_from_date_parsing",
            Some("TX_DATETIME"),
        ),
        (without("TX_AMOUNT"), "missing", Some("TX_AMOUNT")),
        (without("TX_DATETIME"), "missing", Some("TX_DATETIME")),
        (
            body.replacen('{', "{\"TX_AMOUNT\":1,", 1),
            "duplicate_field",
            Some("TX_AMOUNT"),
        ),
        (with("EXTRA", &"[".repeat(10_000)), "recursion_loop", None),
        ("[".repeat(10_000), "model_attributes_type", None),
        (with("TX_AMOUNT", &"[".repeat(10_000)), "recursion_loop", None),
    ];
    for (body, code, field) in &table {
        let answer = post(server.http, body);
        assert_eq!(answer.status, 422, "{body:.80}: {answer:?}");
        let json = answer.json();
        let first = &json["detail"][0];
        assert_eq!(first["type"], *code, "{body:.80}: {json}");
        assert!(
            first["msg"].is_string() && first.get("input").is_some() && first["loc"][0] == "body",
            "{json}"
        );
        if let Some(field) = field {
            assert_eq!(first["loc"][1], *field, "{json}");
        }
        assert!(json.get("fraud_probability").is_none());
    }
    let errors = |kind: &str| server.metric(&format!("fraud_request_errors_total{{kind=\"{kind}\"}}"));
    assert_eq!(
        errors("invalid_json") + errors("invalid_request"),
        table.len() as f64
    );
    assert_eq!(
        server.metric("fraud_inferences_total"),
        0.0,
        "no bad request was scored"
    );
    assert_eq!(server.metric("fraud_panics_total"), 0.0);
    assert_eq!(post(server.http, &good()).status, 200);
}

#[test]
fn all_missing_fields_are_listed_in_one_answer() {
    let server = Server::ready(&["--workers", "1"]);
    let json = post(server.http, "{}").json();
    let missing: Vec<_> = json["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["loc"][1].as_str().unwrap())
        .collect();
    assert_eq!(missing.len(), 21);
    assert!(INPUTS.iter().all(|name| missing.contains(name)));
}

#[test]
fn a_text_that_may_be_a_card_number_is_never_repeated() {
    let server = Server::ready(&["--workers", "1"]);
    for raw in [
        "\"4111111111111111\"",
        "4111111111111111",
        "[\"4111111111111111\"]",
    ] {
        for field in ["TX_DURING_NIGHT", "TX_DATETIME"] {
            let answer = post(server.http, &with(field, raw));
            assert_eq!(answer.status, 422);
            assert!(!answer.body.contains("41111"), "{answer:?}");
        }
    }
}

#[test]
fn compressed_bodies_and_other_methods_are_refused() {
    let server = Server::ready(&["--workers", "1"]);
    let mut connection = Connection::open(server.http).unwrap();
    connection
        .send("POST /predict HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}")
        .unwrap();
    assert_eq!(connection.answer().unwrap().status, 415);
    for method in ["PUT", "DELETE", "PATCH"] {
        let mut connection = Connection::open(server.http).unwrap();
        connection
            .send(format!(
                "{method} /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}"
            ))
            .unwrap();
        assert_eq!(connection.answer().unwrap().status, 405);
    }
}

#[test]
fn malformed_http_is_refused_and_closed() {
    let server = Server::ready(&["--workers", "1"]);
    for raw in [
        "nonsense\r\n\r\n",
        "POST /predict HTTP/9.9\r\nhost: x\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "POST /predict HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.http).unwrap();
        connection.send(raw).unwrap();
        connection.half_close().unwrap();
        let answer = String::from_utf8(connection.rest().unwrap()).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.is_empty(),
            "{raw:?}: {answer}"
        );
    }
    assert_eq!(post(server.http, &good()).status, 200);
}
