//! `POST /feedback`: labels come back with the receipts of their answers.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, header, request::Parts};
use tokio::task::yield_now;

use super::{
    answer::{self, Answer},
    body::Unread,
    predict::{Site, refuse},
};
use crate::{
    feedback::{Content, Item, Judged, Ledger, MAX_BODY_BYTES, Outcome, Refusal, Report, parse},
    metrics::RequestError,
    pipeline::Pipeline,
    receipt::ReceiptError,
};

/// Labels that are taken before payments have their turn on the thread.
const TURN: usize = 8;

/// Takes labels. `ledger`: the counters of all threads.
pub async fn feedback(site: &Site<'_>, ledger: &Ledger, head: &Parts, body: &mut Unread) -> Answer {
    let Some(pipeline) = site.pipeline else {
        return refuse(site, RequestError::NotReady).0;
    };
    if head.method != Method::POST {
        return refuse(site, RequestError::Method).0;
    }
    let content =
        match Content::from_header(head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes)) {
            Ok(content) => content,
            Err(error) => return said(error.answer()),
        };
    let within = site.limits.body_timeout;
    let bytes = match body.read(&head.headers, MAX_BODY_BYTES, within).await {
        Ok(bytes) => bytes,
        Err(error) => return refuse(site, error).0,
    };
    match parse(content, &bytes) {
        Ok(items) => said(take(pipeline, ledger, items).await.answer()),
        Err(error) => said(error.answer()),
    }
}

async fn take(pipeline: &Pipeline, ledger: &Ledger, items: Vec<Result<Item<'_>, Refusal>>) -> Report {
    let mut report = Report::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    for (index, item) in items.into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            yield_now().await;
        }
        match item.and_then(|item| judge(pipeline, ledger, &item, now)) {
            Ok(judged) => report.taken(count(pipeline, ledger, &judged).await),
            Err(refusal) => {
                ledger.refused(refusal);
                report.refused(index, refusal);
            }
        }
    }
    report
}

fn judge(pipeline: &Pipeline, ledger: &Ledger, item: &Item<'_>, now: u64) -> Result<Judged, Refusal> {
    match &pipeline.sealer {
        Some(sealer) => ledger.judge(sealer, item, now),
        // Without keys this process cannot have given a receipt.
        None => Err(Refusal::Receipt(ReceiptError::UnknownKey)),
    }
}

/// Counts a label for the version that answers, which scores the features anew where another one had answered.
async fn count(pipeline: &Pipeline, ledger: &Ledger, judged: &Judged) -> Outcome {
    let row = &judged.receipt.row;
    let given = judged.receipt.version == pipeline.policy.hash && judged.receipt.score.is_some();
    let score = if !given && row.len() == pipeline.policy.schema.width() {
        let scored = pipeline.batcher.score_extra(row, None).await;
        scored.first().and_then(|score| score.ok())
    } else {
        None
    };
    ledger.apply(judged, &|version, _| {
        score.filter(|_| version.hash == pipeline.policy.hash)
    })
}

fn said((status, body): (http::StatusCode, String)) -> Answer {
    answer::json(status, body)
}
