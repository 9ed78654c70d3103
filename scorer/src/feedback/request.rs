//! One feedback request from its body to its answer, in two steps, so that all rows can be scored in one call in between.

use http::StatusCode;

use super::{
    ledger::{Judged, Ledger, Version},
    parse::{BodyError, Content, parse},
    report::Report,
};
use crate::receipt::Sealer;

/// A request whose receipts are open and whose labels are not counted yet.
#[derive(Debug)]
pub struct Request {
    judged: Vec<Judged>,
    report: Report,
}

impl Request {
    /// Reads a body and opens its receipts at `now` (milliseconds of Unix time). Items that are refused are counted as such.
    ///
    /// # Errors
    /// [`BodyError`] when the body as a whole cannot be used.
    pub fn open(
        ledger: &Ledger,
        sealer: &Sealer,
        content: Content,
        body: &[u8],
        now: u64,
    ) -> Result<Self, BodyError> {
        let mut request = Self {
            judged: Vec::new(),
            report: Report::default(),
        };
        for (index, item) in parse(content, body)?.into_iter().enumerate() {
            match item.and_then(|item| ledger.judge(sealer, &item, now)) {
                Ok(judged) => request.judged.push(judged),
                Err(refusal) => {
                    ledger.refused(refusal);
                    request.report.refused(index, refusal);
                }
            }
        }
        Ok(request)
    }

    /// The good items, in their order.
    pub fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// Counts the labels. `score` gives a version's score of the good item at this position, as in [`Ledger::apply`].
    pub fn close(
        mut self,
        ledger: &Ledger,
        score: impl Fn(usize, &Version, &[f32]) -> Option<f32>,
    ) -> (StatusCode, String) {
        for (position, judged) in self.judged.iter().enumerate() {
            let outcome = ledger.apply(judged, &|version, row| score(position, version, row));
            self.report.taken(outcome);
        }
        self.report.answer()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        decision::{Decision, Thresholds},
        feedback::Arm,
        receipt::{Receipt, Scope},
    };

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn a_request_is_read_scored_counted_and_answered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("k"), STANDARD.encode([1; 32])).unwrap();
        let scope = Scope {
            namespace: "a".to_owned(),
            model: "b".to_owned(),
        };
        let sealer = Sealer::from_dir(dir.path(), scope).unwrap();
        let ledger = Ledger::default();
        let thresholds = Thresholds::new(0.1, 0.5).unwrap();
        let version = Version::new("2".to_owned(), "00000002".parse().unwrap(), thresholds);
        ledger.set(Arm::Answering, Some(version));
        let sealed = |amount: f32| {
            sealer.seal(&Receipt {
                row: Cow::Owned(vec![amount]),
                score: Some(0.2),
                version: "00000001".parse().unwrap(),
                decision: Decision::Review,
                time: NOW - 86_400_000,
                transaction: None,
                customer: 1,
            })
        };
        let item = |receipt: &str, label: &str| json!({"receipt": receipt, "label": label, "time": "2026-11-18T00:00:00Z", "source": "customer"});
        let (first, second) = (sealed(1.0), sealed(2.0));
        let forged = format!("{}A", &first[..first.len() - 1]);
        let forged = if forged == first {
            format!("{}Q", &first[..first.len() - 1])
        } else {
            forged
        };
        let body = json!([
            item(&first, "fraud"),
            item(&forged, "fraud"),
            7,
            item(&second, "genuine"),
            item(&first, "fraud"),
            item(&second, "fraud"),
        ]);
        let request =
            Request::open(&ledger, &sealer, Content::Json, body.to_string().as_bytes(), NOW).unwrap();
        let rows: Vec<f32> = request.judged().iter().map(|j| j.receipt.row[0]).collect();
        assert_eq!(rows, [1.0, 2.0, 1.0, 2.0]);
        let scores: Vec<f32> = rows.iter().map(|amount| amount / 4.0).collect();
        let (status, answer) = request.close(&ledger, |position, _, _| Some(scores[position]));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, StatusCode::OK);
        let count = |name: &str| answer[name].as_u64().unwrap();
        assert_eq!(
            (
                count("counted"),
                count("duplicate"),
                count("corrected"),
                count("refused")
            ),
            (2, 1, 1, 2)
        );
        assert_eq!(
            (&answer["errors"][0]["index"], &answer["errors"][1]["index"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(answer["errors"][1]["reason"], "not_an_object");
        assert!(!answer.to_string().contains(&first), "a receipt is not repeated");
    }
}
