//! What turns a score into an answer: the same for all threads.

use std::{sync::Arc, time::Duration};

use crate::{
    decision::{Fallback, Thresholds},
    decision_log::Served,
    features::Schema,
    http::BlockStatus,
    metrics::Imputation,
    reasons::Reasons,
    receipt::VersionHash,
    rules::Rules,
};

/// What turns a score into an answer.
#[derive(Debug)]
pub struct Policy {
    /// The bands.
    pub thresholds: Thresholds,
    /// What decides when the model gives no score.
    pub on_model_error: Fallback,
    /// From the request's head to the model's score, at most.
    pub deadline: Duration,
    /// How a block answers.
    pub block_status: BlockStatus,
    /// What people call the model.
    pub name: String,
    /// Names of the columns.
    pub features: Vec<String>,
    /// Version of the model, as people say it.
    pub version: String,
    /// The same as a JSON text, quotes included: it is in every answer.
    pub version_json: String,
    /// How receipts name the version.
    pub hash: VersionHash,
    /// What requests look like.
    pub schema: Arc<Schema>,
    /// The rules.
    pub rules: Rules,
    /// What explains a score.
    pub reasons: Reasons,
    /// The model as the decision log names it.
    pub served: Served,
}

impl Policy {
    /// What stands in for a missing value of this column.
    pub fn imputation(&self, column: usize) -> Imputation {
        match self.schema.default_of(column) {
            Some(value) if value.is_nan() => Imputation::Native,
            _ => Imputation::Median,
        }
    }
}
