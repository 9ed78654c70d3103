//! Answers: JSON in the shape of the reference API.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    decision::Decision,
    features::{Problem, Rejection},
};

/// A complete answer.
pub type Answer = Response<Full<Bytes>>;

/// Problems that one answer lists at most.
const MAX_LISTED: usize = 64;

/// A JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// `{"detail": …}` with one sentence.
pub fn detail(status: StatusCode, sentence: &str) -> Answer {
    json(status, json!({"detail": sentence}).to_string())
}

/// 422 with every finding.
pub fn unprocessable(rejection: &Rejection) -> Answer {
    let findings: Vec<Value> = rejection
        .problems
        .iter()
        .take(MAX_LISTED)
        .map(Problem::to_json)
        .collect();
    json(
        StatusCode::UNPROCESSABLE_ENTITY,
        json!({"detail": findings}).to_string(),
    )
}

/// 503 that says why nothing is served.
pub fn unavailable(reason: &str, message: &str) -> Answer {
    let body = json!({"detail": message, "reason": reason}).to_string();
    let mut answer = json(StatusCode::SERVICE_UNAVAILABLE, body);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// The answer to a transaction; `block_status` is that of one that blocks.
pub fn decided(decision: Decision, body: Bytes, block_status: StatusCode) -> Answer {
    let status = if decision == Decision::Block {
        block_status
    } else {
        StatusCode::OK
    };
    json(status, body)
}
