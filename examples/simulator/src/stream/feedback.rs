//! Labels on their way back, a few hundred in one request.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    connection::{Connection, Failure},
    stats::{Feedback, Shared, lock},
};

/// As many as the scorer takes in one request.
const BATCH: usize = 512;
/// How long a label waits for others.
const WAIT: Duration = Duration::from_millis(200);
/// Labels that wait to be sent; more are counted as failed.
pub const CAPACITY: usize = 65_536;

/// A label for a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The receipt of the answer.
    pub receipt: Box<str>,
    /// What it was.
    pub is_fraud: bool,
}

#[derive(Serialize)]
struct Item<'a> {
    receipt: &'a str,
    label: &'static str,
    time: Timestamp,
    source: &'static str,
}

#[derive(Deserialize)]
struct Report {
    counted: u64,
    duplicate: u64,
    corrected: u64,
    refused: u64,
}

/// Sends labels until nobody sends more into the channel.
pub async fn send(mut labels: mpsc::Receiver<Label>, mut connection: Connection, stats: Shared) {
    let mut batch = Vec::with_capacity(BATCH);
    while labels.recv_many(&mut batch, BATCH).await > 0 {
        let fill = async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if labels.recv_many(&mut batch, room).await == 0 {
                    break;
                }
            }
        };
        // It is no failure when the others do not come in time.
        let _ = tokio::time::timeout(WAIT, fill).await;
        let body = Bytes::from(body(&batch, Timestamp::now()));
        let answer = connection.post("/feedback", "application/x-ndjson", body).await;
        let outcome = outcome(batch.len() as u64, &answer);
        lock(&stats).fed_back(outcome);
        batch.clear();
    }
}

/// One line for each label. They become known now: a scorer's receipts have its own time, not that of the simulation.
fn body(labels: &[Label], now: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(labels.len() * 300);
    for Label { receipt, is_fraud } in labels {
        let (label, source) = if *is_fraud {
            ("fraud", "chargeback")
        } else {
            ("genuine", "other")
        };
        let item = Item {
            receipt,
            label,
            time: now,
            source,
        };
        serde_json::to_writer(&mut bytes, &item).expect("texts are JSON, and memory takes them");
        bytes.push(b'\n');
    }
    bytes
}

fn outcome(sent: u64, answer: &Result<(StatusCode, Bytes), Failure>) -> Feedback {
    let report = answer
        .as_ref()
        .ok()
        .and_then(|(_, body)| serde_json::from_slice(body).ok());
    match report {
        Some(Report {
            counted,
            duplicate,
            corrected,
            refused,
        }) => Feedback {
            counted,
            repeated: duplicate + corrected,
            refused,
            failed: 0,
        },
        None => Feedback {
            failed: sent,
            ..Feedback::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_line_with_its_receipt() {
        let labels = [("AT0V", true), ("AT0W", false)].map(|(receipt, is_fraud)| Label {
            receipt: receipt.into(),
            is_fraud,
        });
        let body = body(&labels, Timestamp::UNIX_EPOCH);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "{\"receipt\":\"AT0V\",\"label\":\"fraud\",\"time\":\"1970-01-01T00:00:00Z\",\"source\":\"chargeback\"}\n\
             {\"receipt\":\"AT0W\",\"label\":\"genuine\",\"time\":\"1970-01-01T00:00:00Z\",\"source\":\"other\"}\n"
        );
    }

    #[test]
    fn the_scorer_says_what_became_of_them_and_silence_is_a_failure() {
        let said =
            Bytes::from_static(br#"{"counted":3,"duplicate":1,"corrected":1,"refused":2,"errors":[]}"#);
        let outcome_of = |answer| outcome(7, &answer);
        assert_eq!(
            outcome_of(Ok((StatusCode::OK, said))),
            Feedback {
                counted: 3,
                repeated: 2,
                refused: 2,
                failed: 0
            }
        );
        assert_eq!(outcome_of(Err(Failure::Timeout)).failed, 7);
        let unready = Bytes::from_static(br#"{"detail":"not ready"}"#);
        assert_eq!(
            outcome_of(Ok((StatusCode::SERVICE_UNAVAILABLE, unready))).failed,
            7
        );
    }
}
