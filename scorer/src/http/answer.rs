//! Answers: JSON in the shape of the reference API.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    decision::Decision,
    features::{Problem, Rejection},
};

/// A complete answer.
pub type Answer = Response<Full<Bytes>>;

/// Problems that one answer lists at most.
const MAX_LISTED: usize = 64;

/// A JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// `{"detail": …}` with one sentence.
pub fn detail(status: StatusCode, sentence: &str) -> Answer {
    json(status, json!({"detail": sentence}).to_string())
}

/// 422 with every finding.
pub fn unprocessable(rejection: &Rejection) -> Answer {
    json(StatusCode::UNPROCESSABLE_ENTITY, findings(rejection))
}

/// `{"detail": […]}` with every finding.
pub fn findings(rejection: &Rejection) -> String {
    let findings: Vec<Value> = rejection
        .problems
        .iter()
        .take(MAX_LISTED)
        .map(Problem::to_json)
        .collect();
    json!({"detail": findings}).to_string()
}

/// 503 that says why nothing is served.
pub fn unavailable(reason: &str, message: &str) -> Answer {
    let body = json!({"detail": message, "reason": reason}).to_string();
    let mut answer = json(StatusCode::SERVICE_UNAVAILABLE, body);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// How a block answers on /predict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockStatus {
    /// 200 with the decision, as any other answer.
    #[default]
    Ok,
    /// 403 with `detail` before the decision, as the reference system answers what its rules stop.
    Forbidden,
}

impl TryFrom<u16> for BlockStatus {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        match status {
            200 => Ok(Self::Ok),
            403 => Ok(Self::Forbidden),
            other => Err(format!("blockStatus is {other}, it must be 200 or 403")),
        }
    }
}

impl BlockStatus {
    /// Whether such a decision is answered as it is.
    pub fn is_ok_for(self, decision: Decision) -> bool {
        self == Self::Ok || decision != Decision::Block
    }

    /// Status and body of a decision. `body` is the JSON object of a 200; `why` goes into `detail` of a 403.
    pub fn apply(self, decision: Decision, why: &str, body: String) -> (StatusCode, String) {
        if self.is_ok_for(decision) {
            return (StatusCode::OK, body);
        }
        let inner = body.strip_prefix('{').unwrap_or("}");
        let comma = if inner.starts_with('}') { "" } else { "," };
        let why = Value::from(why);
        (StatusCode::FORBIDDEN, format!("{{\"detail\":{why}{comma}{inner}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_403_only_where_the_policy_says_so() {
        let body = r#"{"is_fraud":true,"decision":"block"}"#;
        for decision in Decision::ALL {
            let answered = BlockStatus::Ok.apply(decision, "no", body.to_owned());
            assert_eq!(answered, (StatusCode::OK, body.to_owned()));
        }
        let passed = BlockStatus::Forbidden.apply(Decision::Review, "no", body.to_owned());
        assert_eq!(passed.0, StatusCode::OK);
        let (status, text) = BlockStatus::Forbidden.apply(Decision::Block, "rule \"r\"", body.to_owned());
        assert_eq!(status, StatusCode::FORBIDDEN);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json,
            json!({"detail": "rule \"r\"", "is_fraud": true, "decision": "block"})
        );
        let (_, empty) = BlockStatus::Forbidden.apply(Decision::Block, "no", "{}".to_owned());
        assert_eq!(empty, r#"{"detail":"no"}"#);
    }

    #[test]
    fn only_200_and_403_are_statuses_of_a_block() {
        assert_eq!(BlockStatus::try_from(403), Ok(BlockStatus::Forbidden));
        assert!(BlockStatus::try_from(418).is_err());
    }
}
