//! `POST /predict`.

use std::{rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::{Request, body::Incoming};

use super::{
    answer::{self, Answer},
    body,
    worker::Worker,
};
use crate::{
    decision::{Decision, Thresholds},
    engine::Batcher,
    features::{Rejection, Schema, parse_row},
    metrics::RequestError,
    state::Readiness,
};

/// What turns a score into an answer.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The bands.
    pub thresholds: Thresholds,
    /// The decision when the model fails.
    pub on_model_error: Decision,
    /// Version of the model, as people say it.
    pub version: String,
    /// What requests look like.
    pub schema: Arc<Schema>,
}

/// A model in service on one thread.
pub struct Serving {
    batcher: Batcher,
    policy: Policy,
    /// The version as a JSON text.
    version: String,
}

impl Serving {
    /// Puts a model into service.
    pub fn new(batcher: Batcher, policy: Policy) -> Self {
        let version = serde_json::Value::from(policy.version.as_str()).to_string();
        Self {
            batcher,
            policy,
            version,
        }
    }
}

/// An answer, and its decision if there is one.
pub type Outcome = (Answer, Option<Decision>);

/// Answers a prediction and counts it.
pub async fn predict(worker: &Worker, request: Request<Incoming>) -> Outcome {
    let start = Instant::now();
    let Some(serving) = worker.serving() else {
        return refuse(worker, RequestError::NotReady);
    };
    if request.method() != Method::POST {
        return refuse(worker, RequestError::Method);
    }
    let (head, incoming) = request.into_parts();
    let body = match read(worker, &head.headers, incoming).await {
        Ok(body) => body,
        Err(error) => return refuse(worker, error),
    };
    match score(&serving, &body).await {
        Ok((decision, score)) => {
            worker.shard().answered(decision, score, start.elapsed());
            (
                answer::prediction(decision, score, &serving.version),
                Some(decision),
            )
        }
        Err(rejection) => {
            let kind = rejection
                .problems
                .first()
                .map_or(RequestError::InvalidRequest, |p| p.kind());
            worker.shard().refused_request(kind);
            (answer::unprocessable(&rejection), None)
        }
    }
}

async fn read(worker: &Worker, headers: &HeaderMap, incoming: Incoming) -> Result<Bytes, RequestError> {
    let limits = worker.limits();
    body::read(headers, incoming, limits.body, limits.body_timeout).await
}

async fn score(serving: &Rc<Serving>, body: &[u8]) -> Result<(Decision, Option<f32>), Rejection> {
    let scored = serving
        .batcher
        .score(|row| parse_row(&serving.policy.schema, body, row).map(|_| ()))
        .await?;
    Ok(match scored {
        Ok(score) => (serving.policy.thresholds.decide(score), Some(score)),
        Err(_) => (serving.policy.on_model_error, None),
    })
}

fn refuse(worker: &Worker, error: RequestError) -> Outcome {
    worker.shard().refused_request(error);
    let mut answer = match error {
        RequestError::NotReady => not_ready(worker),
        RequestError::Method => answer::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        RequestError::TooLarge => {
            let sentence = format!("the body has more than {} bytes", worker.limits().body);
            answer::detail(StatusCode::PAYLOAD_TOO_LARGE, &sentence)
        }
        RequestError::BodyTimeout => {
            answer::detail(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
        }
        RequestError::BodyAborted => answer::detail(StatusCode::BAD_REQUEST, "the body ended early"),
        RequestError::Encoding => answer::detail(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body without Content-Encoding",
        ),
        RequestError::InvalidJson | RequestError::InvalidRequest | RequestError::CardNumber => {
            answer::detail(StatusCode::UNPROCESSABLE_ENTITY, "the request cannot be read")
        }
    };
    match error {
        RequestError::Method => {
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        // The rest of the body may still be on its way.
        RequestError::TooLarge | RequestError::BodyTimeout | RequestError::BodyAborted => {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    (answer, None)
}

fn not_ready(worker: &Worker) -> Answer {
    match worker.state().readiness() {
        Readiness::NotReady(error) => answer::unavailable(error.reason.as_str(), &error.message),
        Readiness::Ready(_) => answer::unavailable("Loading", "this thread has no model yet"),
    }
}
