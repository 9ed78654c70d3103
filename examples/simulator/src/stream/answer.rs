//! What a scorer answered.

use http::StatusCode;
use serde::Deserialize;

use super::{Protocol, connection::Failure};

/// What is to be done with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let it pass.
    Approve,
    /// Have somebody look at it.
    Review,
    /// Refuse it.
    Block,
}

impl Decision {
    /// All of them, from mild to strict.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Review, Self::Block];

    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

/// A decision, and what is needed to send a label for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// The receipt, where the scorer gives one.
    pub receipt: Option<Box<str>>,
    /// Whether the model failed and something else decided.
    pub is_model_error: bool,
}

#[derive(Deserialize)]
struct Prediction {
    decision: Decision,
    receipt: Option<Box<str>>,
    #[serde(default)]
    model_error: bool,
}

#[derive(Deserialize)]
struct Inference {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    data: serde_json::Value,
}

/// Reads an answer. A payment that is blocked may come with status 403 (`spec.decision.blockStatus`).
pub fn read(protocol: &Protocol, status: StatusCode, body: &[u8]) -> Result<Answer, Failure> {
    let answer = match (protocol, status) {
        (Protocol::Predict, StatusCode::OK | StatusCode::FORBIDDEN) => prediction(body),
        (Protocol::Infer { .. }, StatusCode::OK) => inference(body),
        _ => None,
    };
    answer.ok_or(match status {
        StatusCode::OK => Failure::Unreadable,
        other => Failure::Status(other.as_u16()),
    })
}

fn prediction(body: &[u8]) -> Option<Answer> {
    let Prediction {
        decision,
        receipt,
        model_error,
    } = serde_json::from_slice(body).ok()?;
    Some(Answer {
        decision,
        receipt,
        is_model_error: model_error,
    })
}

fn inference(body: &[u8]) -> Option<Answer> {
    let Inference { outputs } = serde_json::from_slice(body).ok()?;
    let decisions = outputs.into_iter().find(|output| output.name == "decision")?;
    let [decision] = serde_json::from_value(decisions.data).ok()?;
    Some(Answer {
        decision,
        receipt: None,
        is_model_error: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predict(status: u16, body: &str) -> Result<Answer, Failure> {
        read(
            &Protocol::Predict,
            StatusCode::from_u16(status).unwrap(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_prediction_is_a_decision_with_its_receipt() {
        let answer = predict(
            200,
            r#"{"is_fraud":false,"decision":"review","receipt":"AT0V","reasons":[]}"#,
        );
        assert_eq!(
            answer,
            Ok(Answer {
                decision: Decision::Review,
                receipt: Some("AT0V".into()),
                is_model_error: false
            })
        );
        let failed = predict(
            200,
            r#"{"fraud_probability":null,"model_error":true,"decision":"approve"}"#,
        );
        assert!(failed.unwrap().is_model_error);
    }

    #[test]
    fn a_block_may_be_forbidden_and_other_statuses_are_failures() {
        let blocked = predict(403, r#"{"decision":"block","detail":"blocked"}"#).unwrap();
        assert_eq!(blocked.decision, Decision::Block);
        assert_eq!(
            predict(403, r#"{"detail":"missing scope"}"#),
            Err(Failure::Status(403))
        );
        assert_eq!(predict(503, r#"{"decision":"block"}"#), Err(Failure::Status(503)));
        assert_eq!(predict(200, "<html>"), Err(Failure::Unreadable));
        assert_eq!(predict(200, r#"{"decision":"maybe"}"#), Err(Failure::Unreadable));
    }

    #[test]
    fn the_protocol_answers_with_tensors() {
        let protocol = Protocol::Infer { model: "m".into() };
        let body = br#"{"outputs":[{"name":"fraud_probability","data":[0.9]},{"name":"decision","data":["block"]}]}"#;
        let answer = read(&protocol, StatusCode::OK, body).unwrap();
        assert_eq!((answer.decision, answer.receipt), (Decision::Block, None));
        let none = br#"{"outputs":[{"name":"decision","data":[]}]}"#;
        assert_eq!(read(&protocol, StatusCode::OK, none), Err(Failure::Unreadable));
    }
}
