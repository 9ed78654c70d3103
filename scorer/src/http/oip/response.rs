//! An inference answer: JSON, with binary data behind it where that was asked for.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{HEADER_LENGTH, tensor::Output};
use crate::{
    decision::Decision,
    http::{
        answer::{self, Answer},
        scoring::Scoring,
    },
};

/// What stands before the outputs.
pub struct Head {
    name: String,
    version: String,
    id: Option<String>,
}

impl Head {
    /// The head of an answer of this model.
    pub fn of<S: Scoring>(scoring: &S, id: Option<String>) -> Self {
        Self {
            name: scoring.model_name().to_owned(),
            version: scoring.model_version().to_owned(),
            id,
        }
    }
}

/// Writes the outputs in the order asked for.
pub fn write(head: &Head, selection: &[(Output, bool)], scored: &[(f32, Decision)]) -> Answer {
    let mut json = String::with_capacity(256 + scored.len() * 24);
    let mut binary = Vec::new();
    let (name, version) = (
        Value::from(head.name.as_str()),
        Value::from(head.version.as_str()),
    );
    let _ = write!(json, "{{\"model_name\":{name},\"model_version\":{version}");
    if let Some(id) = &head.id {
        let _ = write!(json, ",\"id\":{}", Value::from(id.as_str()));
    }
    json.push_str(",\"outputs\":[");
    for (index, (output, is_binary)) in selection.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        let (name, datatype, rows) = (output.name(), output.datatype(), scored.len());
        let _ = write!(
            json,
            "{{\"name\":\"{name}\",\"datatype\":\"{datatype}\",\"shape\":[{rows}]"
        );
        if *is_binary {
            let before = binary.len();
            encode(*output, scored, &mut binary);
            let size = binary.len() - before;
            let _ = write!(json, ",\"parameters\":{{\"binary_data_size\":{size}}}}}");
        } else {
            json.push_str(",\"data\":[");
            list(*output, scored, &mut json);
            json.push_str("]}");
        }
    }
    json.push_str("]}");
    if !selection.iter().any(|(_, is_binary)| *is_binary) {
        return answer::json(StatusCode::OK, json);
    }
    let length = HeaderValue::from(json.len());
    let mut body = json.into_bytes();
    body.append(&mut binary);
    let mut answer = answer::json(StatusCode::OK, body);
    let headers = answer.headers_mut();
    headers.insert(HEADER_LENGTH, length);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    answer
}

fn list(output: Output, scored: &[(f32, Decision)], json: &mut String) {
    for (row, (score, decision)) in scored.iter().enumerate() {
        if row > 0 {
            json.push(',');
        }
        let _ = match output {
            Output::Score => write!(json, "{score}"),
            Output::Decision => write!(json, "\"{decision}\""),
        };
    }
}

/// Little-endian values; texts with their length in four bytes before them.
pub fn encode(output: Output, scored: &[(f32, Decision)], bytes: &mut Vec<u8>) {
    for (score, decision) in scored {
        match output {
            Output::Score => bytes.extend_from_slice(&score.to_le_bytes()),
            Output::Decision => {
                let text = decision.as_str();
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
}
