//! `POST /predict/batch`: a JSON array or NDJSON of transactions, answered in order.
//!
//! Every transaction goes the way of a single /predict, all at the same time, so that they share inference calls. One that is
//! wrong has `{"index": …, "status": …, "detail": …}` in its place and does not disturb the others.

mod split;

use std::time::Instant;

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    answer::{self, Answer},
    scoring::Scoring,
};
use crate::metrics::RequestError;
use split::Problem;

/// How transactions are written one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One array.
    Array,
    /// One object on each line.
    Lines,
}

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Why a batch as a whole is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Neither JSON nor NDJSON.
    ContentType,
    /// The array cannot be read, or there are too many transactions.
    Body(Problem),
}

impl Refused {
    /// Label of the counter.
    pub fn kind(&self) -> RequestError {
        match self {
            Self::ContentType => RequestError::Encoding,
            Self::Body(Problem::NotJson { .. }) => RequestError::InvalidJson,
            Self::Body(Problem::NotAnArray | Problem::TooMany { .. }) => RequestError::InvalidRequest,
        }
    }

    /// 415 or 422, in the shape of a single /predict.
    pub fn into_answer(self) -> Answer {
        let entry = match self {
            Self::ContentType => {
                let sentence = "send application/json (an array) or application/x-ndjson (one object a line)";
                return answer::detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence);
            }
            Self::Body(Problem::NotJson { sentence }) => {
                json!({"type": "json_invalid", "loc": ["body"], "msg": sentence, "input": {}})
            }
            Self::Body(Problem::NotAnArray) => {
                json!({"type": "list_type", "loc": ["body"], "msg": "Input should be a valid list", "input": "<value>"})
            }
            Self::Body(Problem::TooMany { limit }) => json!({
                "type": "too_long", "loc": ["body"], "input": "<array>",
                "msg": format!("List should have at most {limit} items"),
            }),
        };
        answer::json(
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({"detail": [entry]}).to_string(),
        )
    }
}

/// Answers a batch of at most `limit` transactions, their scores due by `deadline`; 200 whatever becomes of each.
pub async fn answer<S: Scoring>(
    scoring: &S,
    content_type: Option<&HeaderValue>,
    body: &Bytes,
    limit: usize,
    deadline: Instant,
) -> Result<Answer, Refused> {
    let form = form(content_type).ok_or(Refused::ContentType)?;
    let transactions = match form {
        Form::Array => split::array(body, limit),
        Form::Lines => split::lines(body, limit),
    };
    let transactions = transactions.map_err(Refused::Body)?;
    let results = join_all(transactions.iter().map(|one| scoring.predict_json(one, deadline))).await;
    let mut text = String::with_capacity(2 + results.len() * 160);
    for (index, (status, result)) in results.iter().enumerate() {
        text.push_str(match (form, index) {
            (Form::Array, 0) => "[",
            (Form::Array, _) => ",",
            (Form::Lines, _) => "",
        });
        place(&mut text, index, *status, result);
        if form == Form::Lines {
            text.push('\n');
        }
    }
    Ok(match form {
        Form::Array if results.is_empty() => answer::json(StatusCode::OK, "[]"),
        Form::Array => answer::json(StatusCode::OK, text + "]"),
        Form::Lines => {
            let mut answer = answer::json(StatusCode::OK, text);
            answer.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
            answer
        }
    })
}

/// The form that the content type names; an array when it names none.
fn form(content_type: Option<&HeaderValue>) -> Option<Form> {
    let Some(content_type) = content_type else {
        return Some(Form::Array);
    };
    let essence = content_type.to_str().ok()?.split(';').next()?.trim();
    let is = |known: &[&str]| known.iter().any(|name| essence.eq_ignore_ascii_case(name));
    if is(&["application/json"]) {
        Some(Form::Array)
    } else if is(&["application/x-ndjson", "application/ndjson", "application/jsonl"]) {
        Some(Form::Lines)
    } else {
        None
    }
}

/// Writes one result. What is not a plain answer gets its index and status in front.
fn place(text: &mut String, index: usize, status: StatusCode, result: &str) {
    use std::fmt::Write as _;
    let inner = result.strip_prefix('{').filter(|_| status != StatusCode::OK);
    match inner {
        None => text.push_str(result),
        Some(inner) => {
            let comma = if inner.starts_with('}') { "" } else { "," };
            let _ = write!(
                text,
                "{{\"index\":{index},\"status\":{}{comma}{inner}",
                status.as_u16()
            );
        }
    }
}

#[cfg(test)]
mod tests;
