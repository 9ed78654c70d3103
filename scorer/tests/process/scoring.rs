//! What a good request gets.

use std::thread;

use serde_json::{Value, json};

use crate::{
    client::{Connection, get, post, post_bytes},
    server::{Server, fixture_arg, good, poll, request, scored_by_python},
};

#[test]
fn scores_equal_those_of_python_and_decide_by_the_models_own_thresholds() {
    let server = Server::ready(&[]);
    for (body, score) in scored_by_python() {
        let answer = post(server.http, &body);
        let json = answer.json();
        assert_eq!(answer.status, 200);
        let ours = json["fraud_probability"].as_f64().unwrap();
        assert!((ours - score).abs() < 1e-6, "{ours} is not {score}");
        let decision = if score >= 0.5 {
            "block"
        } else if score >= 0.1 {
            "review"
        } else {
            "approve"
        };
        assert_eq!(json["decision"], decision);
        assert_eq!(json["is_fraud"], decision == "block");
        assert_eq!(json["model_version"], "0.0.1");
    }
    let total: f64 = ["approve", "review", "block"]
        .map(|d| server.metric(&format!("fraud_predictions_total{{decision=\"{d}\"}}")))
        .iter()
        .sum();
    assert_eq!(total, 64.0);
    assert_eq!(server.metric("fraud_prediction_duration_seconds_count"), 64.0);
    assert_eq!(server.metric("fraud_score_count"), 64.0);
    assert_eq!(server.metric("fraud_model_errors_total"), 0.0);
}

#[test]
fn flags_win_over_the_models_thresholds_and_version() {
    let server = Server::ready(&["--review", "0", "--block", "0", "--model-version", "2026 \"x\""]);
    let json = post(server.http, &good()).json();
    assert_eq!(
        (&json["decision"], &json["is_fraud"]),
        (&json!("block"), &json!(true))
    );
    assert_eq!(json["model_version"], "2026 \"x\"");
    assert_eq!(server.readyz().json()["model"]["version"], "2026 \"x\"");
}

#[test]
fn every_answer_belongs_to_its_own_request_under_concurrency_on_two_workers() {
    let server = Server::ready(&["--workers", "2", "--idempotency-ttl", "0s"]);
    let rows = scored_by_python();
    thread::scope(|scope| {
        for offset in 0..16 {
            let (rows, address) = (&rows, server.http);
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for turn in 0..200 {
                    let (body, score) = &rows[(offset * 7 + turn) % rows.len()];
                    let answer = connection.post(body).unwrap().json();
                    let ours = answer["fraud_probability"].as_f64().unwrap();
                    assert!((ours - score).abs() < 1e-6, "{ours} is not {score}");
                }
            });
        }
    });
    assert_eq!(server.metric("fraud_inference_rows_total"), 3200.0);
}

#[test]
fn clients_that_leave_in_the_middle_stop_nobody() {
    let server = Server::ready(&["--workers", "2"]);
    let body = good();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..100 {
                    let mut connection = Connection::open(server.http).unwrap();
                    let whole = post_bytes(&body);
                    let part = if turn % 3 == 0 {
                        whole.len() - 1 - turn
                    } else {
                        whole.len()
                    };
                    connection.send(&whole[..part]).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let mut connection = Connection::open(server.http).unwrap();
            for _ in 0..300 {
                assert_eq!(connection.post(&body).unwrap().status, 200);
            }
        });
    });
    poll("the end of all connections", || {
        server.metric("fraud_connections") == 0.0
    });
    assert_eq!(post(server.http, &body).status, 200);
}

#[test]
fn a_model_that_gives_no_probability_leaves_the_decision_to_the_policy() {
    let model = fixture_arg("unstable.onnx");
    for policy in ["approve", "review", "block"] {
        let server = Server::ready(&["--model", &model, "--on-model-error", policy, "--workers", "1"]);
        let mut poisoned = request(&[0.5; 15]);
        poisoned.insert("TX_AMOUNT".into(), json!(1e30));
        let answer = post(server.http, &Value::Object(poisoned).to_string());
        let json = answer.json();
        assert_eq!((answer.status, &json["decision"]), (200, &json!(policy)));
        assert_eq!(
            (&json["fraud_probability"], &json["model_error"]),
            (&Value::Null, &json!(true))
        );
        assert_eq!(json["is_fraud"], policy == "block");
        assert_eq!(server.metric("fraud_model_errors_total"), 1.0);
        assert!(post(server.http, &good()).json()["fraud_probability"].is_number());
    }
}

#[test]
fn request_ids_come_back_and_strange_ones_are_replaced() {
    let server = Server::ready(&[]);
    let body = good();
    let with_id = |id: &str| {
        let mut connection = Connection::open(server.http).unwrap();
        let head = format!(
            "POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.send(head + &body).unwrap();
        connection
            .answer()
            .unwrap()
            .header("x-request-id")
            .unwrap()
            .to_owned()
    };
    assert_eq!(with_id("order-42"), "order-42");
    let replaced = with_id("<script>");
    assert!(
        replaced.len() == 16 && replaced.bytes().all(|b| b.is_ascii_hexdigit()),
        "{replaced}"
    );
    assert_ne!(with_id(&"x".repeat(65)).len(), 65);
}

#[test]
fn the_other_paths_answer_what_they_promise() {
    let server = Server::ready(&["--model-version", "v7"]);
    for (address, path, status) in [
        (server.http, "/livez", 200),
        (server.http, "/readyz", 200),
        (server.http, "/health", 200),
        (server.http, "/predict", 405),
        (server.http, "/metrics", 404),
        (server.http, "/model", 404),
        (server.http, "/v2", 200),
        (server.http, "/openapi.json", 200),
        (server.http, "/docs", 200),
        (server.http, "/", 404),
        (server.admin, "/livez", 200),
        (server.admin, "/health", 200),
        (server.admin, "/metrics", 200),
        (server.admin, "/model", 200),
        (server.admin, "/predict", 404),
    ] {
        assert_eq!(get(address, path).status, status, "{path}");
    }
    assert_eq!(get(server.http, "/predict").header("allow"), Some("POST"));
    let card = get(server.admin, "/model").json();
    assert_eq!(
        (&card["name"], &card["version"], &card["block"]),
        (&json!("tiny"), &json!("v7"), &json!(0.5))
    );
    assert_eq!(card["metadata"]["features"][0]["name"], "TX_AMOUNT");
    let sha256 = card["sha256"].as_str().unwrap();
    let info = format!(
        "fraud_model_info{{sha256=\"{}\",algorithm=\"hand-made trees\"}}",
        &sha256[..12]
    );
    assert_eq!(server.metric(&info), 1.0);
    assert!(server.metric("process_start_time_seconds") > 1.5e9);
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let server = Server::ready(&[]);
    for (accept, kind, ends) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", false),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            true,
        ),
    ] {
        let mut connection = Connection::open(server.admin).unwrap();
        connection
            .send(format!(
                "GET /metrics HTTP/1.1\r\nhost: admin\r\naccept: {accept}\r\n\r\n"
            ))
            .unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
        assert_eq!(answer.header("vary"), Some("accept"));
        assert_eq!(answer.body.ends_with("# EOF\n"), ends);
    }
}
