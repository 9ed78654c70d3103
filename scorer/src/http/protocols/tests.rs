use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::*;
use crate::http::fixture::{Fake, LIMITS, MAX_BATCH, on_one_thread, start};
use crate::http::transport::Transport;

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

const READABLE: [&str; 7] = [
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/card-fraud",
    "/v2/models/card-fraud/versions/2026.11.1/ready",
    "/openapi.json",
    "/docs",
];
const WRITABLE: [&str; 2] = ["/predict/batch", "/v2/models/card-fraud/infer"];

#[test]
fn every_route_answers_over_both_versions_of_http_and_gives_the_request_id_back() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        for version in BOTH {
            let caller = port.caller(version);
            let id = [("x-request-id", "client-1.2")];
            for path in READABLE {
                let got = caller.send(Method::GET, path, &id, "").await;
                assert_eq!((got.status, got.version), (StatusCode::OK, version), "{path}");
                assert_eq!(got.header("x-request-id"), Some("client-1.2"), "{path}");
                let head = caller.send(Method::HEAD, path, &[], "").await;
                assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
                assert_eq!(head.header("x-request-id").map(str::len), Some(16));
            }
            for path in WRITABLE {
                let got = caller.send(Method::POST, path, &id, "{").await;
                assert!(got.status.is_client_error(), "{path}");
                assert_eq!(got.header("x-request-id"), Some("client-1.2"), "{path}");
            }
        }
    });
}

#[test]
fn other_methods_are_refused_with_the_right_one() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        for (paths, allowed) in [(&READABLE[..], "GET, HEAD"), (&WRITABLE[..], "POST")] {
            for path in paths {
                let got = caller.send(Method::DELETE, path, &[], "").await;
                assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
                assert_eq!(got.header("allow"), Some(allowed), "{path}");
            }
        }
        for path in ["/v2/models/card-fraud/config", "/model"] {
            assert_eq!(caller.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    });
}

#[test]
fn bodies_have_a_limit_of_their_own_on_these_routes() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        for version in BOTH {
            let caller = port.caller(version);
            let padded = |size: usize| format!("[]{}", " ".repeat(size - 2));
            let fits = caller.post("/predict/batch", padded(MAX_BODY_BYTES)).await;
            assert_eq!(
                (fits.status, &fits.body[..]),
                (StatusCode::OK, &b"[]"[..]),
                "{version:?}"
            );
            for path in WRITABLE {
                let got = caller.post(path, padded(MAX_BODY_BYTES + 1)).await;
                assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
            }
            let infer = caller.post(WRITABLE[1], padded(MAX_BODY_BYTES + 1)).await;
            assert!(infer.json()["error"].is_string(), "the protocol's shape");
            let gzip = [("content-encoding", "gzip")];
            let compressed = caller.send(Method::POST, WRITABLE[0], &gzip, "[]").await;
            assert_eq!(compressed.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    });
}

#[test]
fn without_a_model_the_server_lives_and_says_that_it_is_not_ready() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        port.model.replace(None);
        let caller = port.caller(Version::HTTP_11);
        assert_eq!(caller.get("/v2/health/live").await.status, StatusCode::OK);
        for path in ["/v2/models/card-fraud", "/v2/models/card-fraud/ready"] {
            assert_eq!(
                caller.get(path).await.status,
                StatusCode::SERVICE_UNAVAILABLE,
                "{path}"
            );
        }
        for path in WRITABLE {
            let got = caller.post(path, "[]").await;
            assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(got.header("retry-after"), Some("1"), "{path}");
        }
    });
}

#[test]
fn a_batch_is_answered_in_order_and_a_wrong_transaction_by_its_index() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let body = json!([Fake::transaction(0.05), {"CUSTOMER_ID": 1}, Fake::transaction(0.75), 7]);
        let got = caller.post("/predict/batch", body.to_string()).await;
        assert_eq!(got.header("content-type"), Some("application/json"));
        let results = got.json();
        assert_eq!(results.as_array().map(Vec::len), Some(4));
        assert_eq!(
            (&results[0]["decision"], &results[2]["decision"]),
            (&json!("approve"), &json!("block"))
        );
        for (index, missing) in [(1, "missing"), (3, "model_attributes_type")] {
            let wrong = &results[index];
            assert_eq!((&wrong["index"], &wrong["status"]), (&json!(index), &json!(422)));
            assert_eq!(wrong["detail"][0]["type"], missing, "{wrong}");
        }
        let model = port.model.borrow().clone().expect("a model");
        assert_eq!(model.most_together(), 4, "they wait for each other's inference");
    });
}

#[test]
fn ndjson_is_answered_with_ndjson() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_2);
        let body = format!(
            "{}\n\nnot json\n{}\n",
            Fake::transaction(0.05),
            Fake::transaction(0.2)
        );
        let kind = [("content-type", "application/x-ndjson; charset=utf-8")];
        let got = caller.send(Method::POST, "/predict/batch", &kind, body).await;
        assert_eq!(got.header("content-type"), Some("application/x-ndjson"));
        let text = String::from_utf8(got.body.to_vec()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[1]["index"], &lines[1]["status"]),
            (&json!(1), &json!(422))
        );
        assert_eq!(lines[2]["decision"], "review");
    });
}

#[test]
fn a_batch_that_cannot_be_split_is_refused_as_a_whole() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let many = Value::from(vec![1; MAX_BATCH + 1]).to_string();
        for (body, code) in [
            ("", "json_invalid"),
            ("[1,", "json_invalid"),
            ("{}", "list_type"),
            (many.as_str(), "too_long"),
        ] {
            let got = caller.post("/predict/batch", body.to_owned()).await;
            assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(got.json()["detail"][0]["type"], code, "{body}");
        }
        let text = [("content-type", "text/plain")];
        let got = caller.send(Method::POST, "/predict/batch", &text, "[]").await;
        assert_eq!(got.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    });
}

#[test]
fn as_many_large_requests_as_there_are_places_are_taken() {
    let taken = Cell::new(0);
    let places: Vec<_> = (0..MAX_LARGE).filter_map(|_| Place::take(&taken)).collect();
    assert_eq!(places.len(), MAX_LARGE);
    assert!(Place::take(&taken).is_none());
    drop(places);
    assert!(Place::take(&taken).is_some());
    let answer = busy(&Route::Batch);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
}
