//! What is logged of a decision.

use std::time::Duration;

use super::line::push_text;
use crate::{
    decision::Decision,
    metrics::{Scored, Source},
};

/// What a decision was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It was the answer to a caller.
    Answer,
    /// The request was marked as shadow: nobody acted on it.
    Shadow,
}

impl Role {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Shadow => "shadow",
        }
    }
}

/// The model that decides, written once for all lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served(pub(super) Vec<u8>);

impl Served {
    /// Name and version as people say them, and the SHA-256 of the file.
    pub fn new(model: &str, version: &str, sha256: &str) -> Self {
        let mut text = Vec::new();
        for (key, value) in [
            ("model", model),
            ("model_version", version),
            ("model_sha256", sha256),
        ] {
            text.extend_from_slice(b",\"");
            text.extend_from_slice(key.as_bytes());
            text.extend_from_slice(b"\":");
            push_text(&mut text, value);
        }
        Self(text)
    }
}

/// One decision. There is no place for features, on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The model.
    pub served: &'a Served,
    /// What the decision was for.
    pub role: Role,
    /// The decision.
    pub decision: Decision,
    /// Who took it.
    pub source: Source,
    /// What the model said; None when it was not asked.
    pub scored: Scored,
    /// Names of the rules that hit.
    pub rules: &'a [&'a str],
    /// Reasons of the answer.
    pub reasons: &'a [&'a str],
    /// Names of the features that something stood in for.
    pub imputed: &'a [&'a str],
    /// From the request's head to its answer.
    pub took: Duration,
    /// Written as a pseudonym.
    pub transaction: Option<i64>,
    /// Written as a pseudonym.
    pub customer: i64,
    /// Written as a pseudonym.
    pub terminal: i64,
    /// Id of the trace: ours when the request is traced, else the caller's.
    pub trace: Option<[u8; 16]>,
    /// `X-Request-ID` of the answer.
    pub request: &'a str,
}
