//! `POST /predict`: transport around the pipeline.

use std::time::Instant;

use http::{HeaderValue, Method, StatusCode, header, request::Parts};

use super::{
    answer::{self, Answer},
    body::Unread,
    deadline,
    server::Limits,
};
use crate::{
    decision::Decision,
    metrics::{RequestError, Shard},
    pipeline::{Context, Outcome, Pipeline},
    state::{Readiness, State},
};

/// Marks a request as mirrored: it is scored and counted, and nobody reads its answer.
const SHADOW: &str = "x-shadow";

/// What the transport knows of one thread.
pub struct Site<'a> {
    /// The model in service, if there is one.
    pub pipeline: Option<&'a Pipeline>,
    /// The counters of the thread.
    pub shard: &'a Shard,
    /// Limits of requests.
    pub limits: &'a Limits,
    /// What all threads share.
    pub state: &'a State,
}

/// An answer, and its decision if there is one.
pub type Answered = (Answer, Option<Decision>);

/// Answers a prediction and counts what the pipeline does not see.
pub async fn predict(
    site: &Site<'_>,
    head: &Parts,
    body: &mut Unread,
    id: &HeaderValue,
    trace: Option<[u8; 16]>,
) -> Answered {
    let start = Instant::now();
    let Some(pipeline) = site.pipeline else {
        return refuse(site, RequestError::NotReady);
    };
    if head.method != Method::POST {
        return refuse(site, RequestError::Method);
    }
    let limits = site.limits;
    let body = match body.read(&head.headers, limits.body, limits.body_timeout).await {
        Ok(body) => body,
        Err(error) => return refuse(site, error),
    };
    let context = Context {
        start,
        trace,
        request: id.to_str().unwrap_or_default(),
        deadline: deadline::of(&head.headers, start, pipeline.policy.deadline),
        shadow: head.headers.get(SHADOW).is_some_and(|value| value == "true"),
    };
    match pipeline.answer(&body, context).await {
        Outcome::Decided(decision, body) => {
            let (status, body) = pipeline.worded(decision, body);
            (answer::json(status, body), Some(decision))
        }
        Outcome::Rejected(rejection) => {
            let kind = rejection
                .problems
                .first()
                .map_or(RequestError::InvalidRequest, |p| p.kind());
            site.shard.refused_request(kind);
            (answer::unprocessable(&rejection), None)
        }
        Outcome::Conflict => refuse(site, RequestError::Conflict),
        Outcome::Overloaded => refuse(site, RequestError::Overloaded),
    }
}

/// Counts and words a request that gets no prediction.
pub fn refuse(site: &Site<'_>, error: RequestError) -> Answered {
    site.shard.refused_request(error);
    let mut answer = match error {
        RequestError::NotReady => not_ready(site.state),
        RequestError::Method => answer::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        RequestError::TooLarge => {
            let sentence = format!("the body has more than {} bytes", site.limits.body);
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
        RequestError::Conflict => answer::detail(
            StatusCode::CONFLICT,
            "this TRANSACTION_ID was answered with another content: a new transaction needs a new id",
        ),
        RequestError::Overloaded => answer::unavailable("Overloaded", "too many transactions wait"),
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

fn not_ready(state: &State) -> Answer {
    match state.readiness() {
        Readiness::NotReady(error) => answer::unavailable(error.reason.as_str(), &error.message),
        Readiness::Ready(_) => answer::unavailable("Loading", "this thread has no model yet"),
    }
}
