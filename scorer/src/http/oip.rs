//! Open Inference Protocol v2 over HTTP, with the binary tensor data extension.
//!
//! One input, `features`, of shape `[n, width]` in the columns' order; two outputs, `fraud_probability` (FP32) and `decision`
//! (BYTES), both of shape `[n]`. Only the model answers here: rules, receipts and reasons belong to /predict.

mod path;
mod request;
mod response;
pub mod tensor;

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

pub use path::{Target, check as check_model};
pub use response::encode;
pub use tensor::Invalid;

use super::{
    answer::{self, Answer},
    scoring::Scoring,
};
use crate::{decision::Decision, engine::Failure};

/// Where the JSON ends and the binary data begins.
pub const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What is said about the server, here and over gRPC.
pub const SERVER: (&str, &str) = ("fraudops-scorer", env!("CARGO_PKG_VERSION"));

/// Extensions of the protocol that are understood.
pub const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];

/// Framework and format of the model file.
pub const PLATFORM: &str = "onnxruntime_onnx";

/// The method of a target.
pub fn method(target: &Target) -> Method {
    match target {
        Target::Infer(_) => Method::POST,
        Target::Server | Target::Live | Target::Ready | Target::Model(_) | Target::ModelReady(_) => {
            Method::GET
        }
    }
}

/// `{"error": …}`, the protocol's shape.
pub fn error(status: StatusCode, sentence: &str) -> Answer {
    answer::json(status, json!({"error": sentence}).to_string())
}

/// Everything but inference. Without a model in service only the server itself answers.
pub fn describe<S: Scoring>(target: &Target, scoring: Option<&S>, ready: bool) -> Answer {
    let asked = match target {
        Target::Server => {
            let body = json!({"name": SERVER.0, "version": SERVER.1, "extensions": EXTENSIONS});
            return answer::json(StatusCode::OK, body.to_string());
        }
        Target::Live => return answer::json(StatusCode::OK, json!({"live": true}).to_string()),
        Target::Ready => return answer::json(status_of(ready), json!({"ready": ready}).to_string()),
        Target::Model(asked) | Target::ModelReady(asked) | Target::Infer(asked) => asked,
    };
    let Some(scoring) = scoring else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "no model is ready; see /readyz");
    };
    if let Err(unknown) = asked.check(scoring.model_name(), scoring.model_version()) {
        return error(StatusCode::NOT_FOUND, &unknown.0);
    }
    if matches!(target, Target::ModelReady(_)) {
        let body = json!({"name": scoring.model_name(), "ready": ready});
        return answer::json(status_of(ready), body.to_string());
    }
    answer::json(StatusCode::OK, metadata(scoring).to_string())
}

fn status_of(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn metadata<S: Scoring>(scoring: &S) -> Value {
    let tensor = |name: &str, datatype: &str, shape: &[i64]| json!({"name": name, "datatype": datatype, "shape": shape});
    json!({
        "name": scoring.model_name(),
        "versions": [scoring.model_version()],
        "platform": PLATFORM,
        "inputs": [tensor(tensor::INPUT, "FP32", &[-1, scoring.width() as i64])],
        "outputs": [tensor(tensor::SCORE, "FP32", &[-1]), tensor(tensor::DECISION, "BYTES", &[-1])],
    })
}

/// Scores the rows of one inference request by `deadline`.
pub async fn infer<S: Scoring>(
    scoring: &S,
    asked: &path::Asked,
    headers: &HeaderMap,
    body: &Bytes,
    max_rows: usize,
    deadline: Instant,
) -> Result<Answer, Invalid> {
    if let Err(unknown) = asked.check(scoring.model_name(), scoring.model_version()) {
        return Ok(error(StatusCode::NOT_FOUND, &unknown.0));
    }
    let request = request::read(headers, body, scoring.width(), max_rows)?;
    let scored = match score(scoring, request.rows, deadline).await {
        Ok(scored) => scored,
        Err((row, failure)) => return Ok(unscored(row, failure)),
    };
    Ok(response::write(
        &response::Head::of(scoring, request.id),
        &request.selection,
        &scored,
    ))
}

/// Scores and decisions of all rows, or the first row without one, and why.
async fn score<S: Scoring>(
    scoring: &S,
    rows: Vec<f32>,
    deadline: Instant,
) -> Result<Vec<(f32, Decision)>, (usize, Failure)> {
    let scores = scoring.score_rows(rows, deadline).await;
    let scored = scores.into_iter().enumerate();
    scored
        .map(|(row, score)| match score {
            Ok(score) => Ok((score, scoring.decide(score))),
            Err(failure) => Err((row, failure)),
        })
        .collect()
}

/// What is said of a row without a score, here and over gRPC.
pub fn sentence(row: usize, failure: Failure) -> String {
    match failure {
        Failure::Engine | Failure::NotAProbability => format!("the model failed on row {row}"),
        Failure::Deadline => format!("row {row} was not scored in time"),
        Failure::Overloaded => String::from("too many rows wait; try again"),
    }
}

fn unscored(row: usize, failure: Failure) -> Answer {
    let status = match failure {
        Failure::Engine | Failure::NotAProbability => StatusCode::INTERNAL_SERVER_ERROR,
        Failure::Deadline => StatusCode::GATEWAY_TIMEOUT,
        Failure::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = error(status, &sentence(row, failure));
    if failure == Failure::Overloaded {
        let soon = HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, soon);
    }
    answer
}

#[cfg(test)]
mod tests;
