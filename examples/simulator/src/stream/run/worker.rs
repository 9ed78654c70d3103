//! What every connection does.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Watch;
use crate::{
    payload::Payload,
    stream::{
        Failure, Protocol, Scorer,
        answer::{self, Answer},
        connection::Connection,
        feedback::Label,
        ledger::{Labelled, Ledger},
        stats::{Feedback, Shared, lock},
        turnstile::{Due, Turnstile},
    },
};

/// Before the first retry; doubled before each further one.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// What connections share.
pub(super) struct Worker {
    turnstile: Turnstile,
    payload: Payload,
    protocol: Protocol,
    path: String,
    retries: u32,
    ledger: Mutex<Ledger>,
    labels: Option<mpsc::Sender<Label>>,
    stats: Shared,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        scorer: &Scorer,
        turnstile: Turnstile,
        payload: Payload,
        watch: &Watch,
        labels: mpsc::Sender<Label>,
    ) -> Self {
        Self {
            turnstile,
            payload,
            protocol: scorer.protocol.clone(),
            path: match &scorer.protocol {
                Protocol::Predict => "/predict".to_owned(),
                Protocol::Infer { model } => format!("/v2/models/{model}/infer"),
            },
            retries: scorer.retries,
            ledger: Mutex::default(),
            labels: scorer.labels.then_some(labels),
            stats: Arc::clone(&watch.stats),
            stop: watch.stop.clone(),
        }
    }

    /// Sends whatever is due, until nothing is.
    pub(super) async fn work(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        while let Some(Due { step, at }) = self.turnstile.next().await? {
            for known in step.known {
                let labelled = lock(&self.ledger).known(known);
                self.judge(labelled);
            }
            let transaction = step.transaction;
            if transaction.label_comes {
                lock(&self.ledger).asked(transaction.row);
            }
            let body = Bytes::from(match self.protocol {
                Protocol::Predict => self.payload.predict(&transaction),
                Protocol::Infer { .. } => self.payload.infer(&transaction),
            });
            lock(&self.stats).sent(&transaction, at, Instant::now());
            match self.ask(&mut connection, body).await {
                Ok(answer) => {
                    lock(&self.stats).answered(&answer, at, Instant::now());
                    let labelled = lock(&self.ledger).answered(transaction.row, answer);
                    self.judge(labelled);
                }
                Err(failure) => {
                    lock(&self.stats).failed(failure, Instant::now());
                    lock(&self.ledger).failed(transaction.row);
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, connection: &mut Connection, body: Bytes) -> Result<Answer, Failure> {
        let mut left = self.retries;
        let mut pause = FIRST_RETRY;
        loop {
            let answer = connection
                .post(&self.path, "application/json", body.clone())
                .await;
            let answer = answer.and_then(|(status, body)| answer::read(&self.protocol, status, &body));
            match answer {
                Err(failure) if left > 0 && is_worth_a_retry(&failure) && !self.stop.is_cancelled() => {
                    left -= 1;
                    lock(&self.stats).retries += 1;
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    /// Counts a label, and sends it back with its receipt.
    fn judge(&self, labelled: Option<Labelled>) {
        let Some(labelled) = labelled else { return };
        let mut stats = lock(&self.stats);
        stats.labelled(&labelled);
        let Labelled {
            receipt, is_fraud, ..
        } = labelled;
        if let (Some(labels), Some(receipt)) = (&self.labels, receipt)
            && labels.try_send(Label { receipt, is_fraud }).is_err()
        {
            stats.fed_back(Feedback {
                failed: 1,
                ..Feedback::default()
            });
        }
    }
}

/// Whether the same request may do better a little later: what the client did wrong stays wrong.
fn is_worth_a_retry(failure: &Failure) -> bool {
    match failure {
        Failure::Connect(_) | Failure::Timeout | Failure::Broken(_) => true,
        Failure::Status(status) => *status == 429 || *status >= 500,
        Failure::Unreadable => false,
    }
}
