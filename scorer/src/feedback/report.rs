//! What a feedback request is answered with.

use http::StatusCode;
use serde_json::{Value, json};

use super::{item::Refusal, ledger::Outcome, parse::BodyError};

/// What became of the items of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    outcomes: [usize; 3],
    refusals: Vec<(usize, Refusal)>,
}

impl Report {
    /// An item was taken.
    pub fn taken(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    /// The item at `index` was refused.
    pub fn refused(&mut self, index: usize, refusal: Refusal) {
        self.refusals.push((index, refusal));
    }

    /// 200 when at least one item was taken, else 422; the refused ones are listed by their index.
    pub fn answer(&self) -> (StatusCode, String) {
        let [counted, duplicate, corrected] = self.outcomes;
        let errors: Vec<Value> = self
            .refusals
            .iter()
            .map(|(index, refusal)| {
                json!({"index": index, "reason": refusal.as_str(), "message": refusal.to_string()})
            })
            .collect();
        let status = if counted + duplicate + corrected > 0 {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        let body = json!({
            "counted": counted, "duplicate": duplicate, "corrected": corrected,
            "refused": errors.len(), "errors": errors,
        });
        (status, body.to_string())
    }
}

impl BodyError {
    /// Status and body for a request that is refused as a whole.
    pub fn answer(&self) -> (StatusCode, String) {
        let status = match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge | Self::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Empty | Self::NotJson { .. } | Self::NotItems => StatusCode::UNPROCESSABLE_ENTITY,
        };
        (status, json!({"detail": self.to_string()}).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::ReceiptError;

    #[test]
    fn refused_items_are_named_beside_those_that_were_taken() {
        let mut report = Report::default();
        report.taken(Outcome::Counted);
        report.taken(Outcome::Corrected);
        report.refused(2, Refusal::Receipt(ReceiptError::Forged));
        report.refused(4, Refusal::Missing("label"));
        let (status, body) = report.answer();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&body["counted"], &body["corrected"], &body["refused"]),
            (&json!(1), &json!(1), &json!(2))
        );
        assert_eq!(
            (&body["errors"][0]["index"], &body["errors"][0]["reason"]),
            (&json!(2), &json!("receipt_forged"))
        );
        assert_eq!(body["errors"][1]["message"], "label is missing");
    }

    #[test]
    fn a_request_of_which_nothing_was_taken_is_4xx_with_the_reason() {
        let mut report = Report::default();
        report.refused(0, Refusal::Receipt(ReceiptError::Expired));
        let (status, body) = report.answer();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(body.contains("receipt_expired"), "{body}");
        assert_eq!(BodyError::TooMany.answer().0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            BodyError::ContentType.answer().0,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
    }
}
