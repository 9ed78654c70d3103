//! The JSON of an answer: the fields of the reference API, then ours.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Assessed, Policy, columns};
use crate::{
    decision::Decision,
    features::Transaction,
    rules::{Action, Mode},
};

/// What an answer has beside its receipt and the model's version, if nothing is to be listed.
const USUAL: usize = 160;

/// More room than this is given back: answers are kept for a day.
const SLACK: usize = 64;

/// Writes the answer, behind the byte of its decision: so it is kept, because the HTTP status follows from the decision.
/// Names of rules, features and groups are JSON-safe: they were checked when they were read.
pub(super) fn write(
    policy: &Policy,
    transaction: &Transaction,
    assessed: &Assessed<'_>,
    receipt: Option<&str>,
) -> Bytes {
    let decision = assessed.decision;
    let room = USUAL + policy.version_json.len() + receipt.map_or(0, str::len);
    let mut body = String::with_capacity(room);
    body.push(char::from(decision as u8));
    body.push_str(if decision == Decision::Block {
        "{\"is_fraud\":true"
    } else {
        "{\"is_fraud\":false"
    });
    body.push_str(",\"fraud_probability\":");
    match assessed.scored {
        Ok(score) => body.push_str(zmij::Buffer::new().format(score)),
        Err(_) => body.push_str("null,\"model_error\":true"),
    }
    for part in [
        ",\"decision\":\"",
        decision.as_str(),
        "\",\"source\":\"",
        assessed.source.as_str(),
        "\",\"model_version\":",
        &policy.version_json,
    ] {
        body.push_str(part);
    }
    let enforced = assessed.verdict.hit_rules().filter(|rule| {
        policy
            .rules
            .kind(*rule)
            .is_some_and(|(_, mode)| mode == Mode::Enforce)
    });
    list(
        &mut body,
        "rules",
        enforced.filter_map(|rule| policy.rules.name(rule)),
    );
    if let Some((action, rule)) = assessed.verdict.action
        && action != Action::Allow
        && let Some(reason) = policy.rules.reason(usize::from(rule))
    {
        let _ = write!(body, ",\"rule_reason\":{}", serde_json::Value::from(reason));
    }
    list(
        &mut body,
        "reasons",
        assessed.reasons.iter().map(|reason| reason.name),
    );
    list(
        &mut body,
        "imputed",
        columns(transaction.imputed).filter_map(|column| policy.schema.input(column)),
    );
    if let Some(receipt) = receipt {
        for part in [",\"receipt\":\"", receipt, "\""] {
            body.push_str(part);
        }
    }
    body.push('}');
    if body.capacity() - body.len() > SLACK {
        body.shrink_to_fit();
    }
    body.into()
}

/// A list of names, where there are any.
fn list<'a>(body: &mut String, key: &str, names: impl Iterator<Item = &'a str>) {
    let mut empty = true;
    for name in names {
        if empty {
            let _ = write!(body, ",\"{key}\":[");
        } else {
            body.push(',');
        }
        empty = false;
        let _ = serde_json::to_writer(Appender(body), name);
    }
    if !empty {
        body.push(']');
    }
}

/// Lets JSON be written to the end of a text.
struct Appender<'a>(&'a mut String);

impl std::io::Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.0.push_str(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
