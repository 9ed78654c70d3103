//! What the protocols need of a model in service: scores for rows, and the whole way of a transaction.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use http::StatusCode;

use crate::{decision::Decision, engine::Failure};

/// A model in service on one thread. Nothing here has to be `Send`.
pub trait Scoring {
    /// Columns of a row.
    fn width(&self) -> usize;

    /// Names of the columns.
    fn feature_names(&self) -> &[String];

    /// What people call the model.
    fn model_name(&self) -> &str;

    /// Its version, as answers carry it.
    fn model_version(&self) -> &str;

    /// How long a score may take. A caller can only shorten it.
    fn limit(&self) -> Duration;

    /// Scores `rows` (n × width, row-major) by `deadline`: one result for each, in order. Only the model: neither rules nor
    /// receipts.
    fn score_rows(
        &self,
        rows: Vec<f32>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<f32, Failure>>>;

    /// Takes one /predict body the whole way, its score due by `deadline`; answers the status and a JSON object.
    fn predict_json(&self, body: &[u8], deadline: Instant) -> impl Future<Output = (StatusCode, String)>;

    /// The band of a score.
    fn decide(&self, score: f32) -> Decision;
}
