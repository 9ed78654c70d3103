//! The pipeline as the other protocols see it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use super::{Context, Outcome, Pipeline};
use crate::{
    decision::Decision,
    engine::Failure,
    http::{Scoring, findings},
    metrics::RequestError,
};

impl Pipeline {
    /// Status and body of a decision.
    pub fn worded(&self, decision: Decision, body: Bytes) -> (StatusCode, Bytes) {
        let status = self.policy.block_status;
        if status.is_ok_for(decision) {
            return (StatusCode::OK, body);
        }
        let (status, body) = status.apply(decision, BLOCKED, String::from_utf8_lossy(&body).into_owned());
        (status, body.into())
    }
}

/// What a 403 says.
const BLOCKED: &str = "the transaction is blocked";

impl Scoring for Pipeline {
    fn width(&self) -> usize {
        self.policy.schema.width()
    }

    fn feature_names(&self) -> &[String] {
        &self.policy.features
    }

    fn model_name(&self) -> &str {
        &self.policy.name
    }

    fn model_version(&self) -> &str {
        &self.policy.version
    }

    fn limit(&self) -> Duration {
        self.policy.deadline
    }

    async fn score_rows(&self, rows: Vec<f32>, deadline: Instant) -> Vec<Result<f32, Failure>> {
        self.batcher.score_rows(&rows, Some(deadline)).await
    }

    async fn predict_json(&self, body: &[u8], deadline: Instant) -> (StatusCode, String) {
        let context = Context {
            start: Instant::now(),
            trace: None,
            request: "",
            deadline,
            shadow: false,
        };
        let refused = |error: RequestError, status: StatusCode, detail: &str| {
            self.shard.refused_request(error);
            (status, serde_json::json!({ "detail": detail }).to_string())
        };
        match self.answer(body, context).await {
            Outcome::Decided(decision, body) => {
                let (status, body) = self.worded(decision, body);
                (status, String::from_utf8_lossy(&body).into_owned())
            }
            Outcome::Rejected(rejection) => {
                let kind = rejection
                    .problems
                    .first()
                    .map_or(RequestError::InvalidRequest, |p| p.kind());
                self.shard.refused_request(kind);
                (StatusCode::UNPROCESSABLE_ENTITY, findings(&rejection))
            }
            Outcome::Conflict => refused(
                RequestError::Conflict,
                StatusCode::CONFLICT,
                "this TRANSACTION_ID was answered with another content: a new transaction needs a new id",
            ),
            Outcome::Overloaded => refused(
                RequestError::Overloaded,
                StatusCode::SERVICE_UNAVAILABLE,
                "too many transactions wait",
            ),
        }
    }

    fn decide(&self, score: f32) -> Decision {
        self.policy.thresholds.decide(score)
    }
}
