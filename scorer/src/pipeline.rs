//! One transaction from its body to its answer: parse, look whether it was answered before, rules, model, rules,
//! decision, reasons, receipt, log.
//!
//! Everything here stays on the thread that read the request.

mod answer;
mod policy;
mod scoring;

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use smallvec::SmallVec;

pub use policy::Policy;

use crate::{
    decision::{Decision, Fallback},
    decision_log::{Entry, Recorder, Role},
    engine::{Batcher, Failure},
    features::{Rejection, Transaction, parse_row},
    idempotency::{Begin, Completed, DigestKey, Idempotency},
    metrics::{Answered, ModelFailure, Shard, Source},
    reasons::{MAX_REASONS, Reason},
    receipt::{Receipt, Sealer},
    rules::{Facts, RuleShard, Verdict},
};

type Row = SmallVec<[f32; 32]>;

/// What one thread needs to answer transactions.
pub struct Pipeline {
    /// The model's queue.
    pub batcher: Batcher,
    /// What turns a score into an answer.
    pub policy: Arc<Policy>,
    /// Counters of the rules.
    pub rules: Arc<RuleShard>,
    /// Answers that were given before, also by the model before this one.
    pub idempotency: Option<Rc<Idempotency>>,
    /// Key of the digests of requests.
    pub digests: DigestKey,
    /// Seals receipts, where there are keys.
    pub sealer: Option<Arc<Sealer>>,
    /// The decision log.
    pub log: Rc<Recorder>,
    /// The counters of the thread.
    pub shard: Arc<Shard>,
}

/// What is known of a request beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When its head had arrived.
    pub start: Instant,
    /// Id of its trace, when it is traced.
    pub trace: Option<[u8; 16]>,
    /// `X-Request-ID` of the answer.
    pub request: &'a str,
    /// When the model must have scored.
    pub deadline: Instant,
    /// Scored and counted only: the answer is discarded by whoever mirrored the request.
    pub shadow: bool,
}

/// The answer to one transaction.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// JSON of the reference API, and the decision in it.
    Decided(Decision, Bytes),
    /// The request cannot be read: what is wrong with it.
    Rejected(Rejection),
    /// The same TRANSACTION_ID was answered with another content.
    Conflict,
    /// Too many transactions wait.
    Overloaded,
}

/// What was found out about one transaction.
struct Assessed<'a> {
    decision: Decision,
    source: Source,
    scored: Result<f32, ModelFailure>,
    verdict: Verdict,
    reasons: SmallVec<[Reason<'a>; MAX_REASONS]>,
}

impl Pipeline {
    /// Answers the transaction in `body`.
    pub async fn answer(&self, body: &[u8], context: Context<'_>) -> Outcome {
        let mut row = Row::from_elem(0.0, self.policy.schema.width());
        let transaction = match parse_row(&self.policy.schema, body, &mut row) {
            Ok(transaction) => transaction,
            Err(rejection) => return Outcome::Rejected(rejection),
        };
        let Some(idempotency) = self.idempotency.as_ref().filter(|_| !context.shadow) else {
            return match self.decide(&transaction, &row, context).await {
                Some(kept) => outcome(&kept),
                None => Outcome::Overloaded,
            };
        };
        let digest = self
            .digests
            .digest(&numbers(&transaction), &as_sent(&transaction, &row));
        match idempotency.begin(transaction.id, digest, context.start).await {
            Begin::Conflict => Outcome::Conflict,
            Begin::Replay(kept) => outcome(&kept),
            Begin::New(token) => match self.decide(&transaction, &row, context).await {
                None => Outcome::Overloaded,
                Some(kept) => match idempotency.complete(token, kept).await {
                    Completed::Own(kept) | Completed::Replay(kept) => outcome(&kept),
                    Completed::Conflict => Outcome::Conflict,
                },
            },
        }
    }

    /// The answer as it is kept, behind the byte of its decision; none when the queue is full.
    async fn decide(&self, transaction: &Transaction, row: &[f32], context: Context<'_>) -> Option<Bytes> {
        let assessed = self.assess(transaction, row, context).await?;
        let receipt = self.receipt(transaction, row, &assessed);
        let answer = answer::write(&self.policy, transaction, &assessed, receipt.as_deref());
        let took = context.start.elapsed();
        self.count(transaction, &assessed, context, took);
        self.log(transaction, &assessed, context, took);
        Some(answer)
    }

    async fn assess(
        &self,
        transaction: &Transaction,
        row: &[f32],
        context: Context<'_>,
    ) -> Option<Assessed<'_>> {
        let policy = &*self.policy;
        let facts = facts(transaction, row);
        let before = policy.rules.before(&facts);
        let scored = match self.batcher.score_row(row, Some(context.deadline)).await {
            Ok(score) => Ok(score),
            Err(Failure::Overloaded) => return None,
            Err(failure) => Err(model_failure(failure)),
        };
        let verdict = match scored {
            Ok(score) => before.and(policy.rules.after(&facts, score)),
            Err(_) => before,
        };
        let band = match (scored, policy.on_model_error) {
            (Ok(score), _) => policy.thresholds.decide(score),
            (Err(_), Fallback::Always(decision)) => decision,
            (Err(_), Fallback::RulesOnly) => Decision::Approve,
        };
        let decision = verdict.decide(band);
        let source = match (decision == band, scored) {
            (false, _) => Source::Rule,
            (true, _) if verdict.action.is_some() => Source::Rule,
            (true, Ok(_)) => Source::Model,
            (true, Err(_)) => Source::Fallback,
        };
        let reasons = match scored {
            Ok(score) if decision != Decision::Approve => self.explain(row, score, context.deadline).await,
            _ => SmallVec::new(),
        };
        Some(Assessed {
            decision,
            source,
            scored,
            verdict,
            reasons,
        })
    }

    /// Why the score is what it is. An answer that is late for it goes out without.
    async fn explain(
        &self,
        row: &[f32],
        score: f32,
        deadline: Instant,
    ) -> SmallVec<[Reason<'_>; MAX_REASONS]> {
        let reasons = &self.policy.reasons;
        let mut rows = Vec::new();
        reasons.rows(row, &mut rows);
        if rows.is_empty() {
            return SmallVec::new();
        }
        let scores = self.batcher.score_extra(&rows, Some(deadline)).await;
        let scores: SmallVec<[f32; 16]> = scores
            .into_iter()
            .map(|score| score.unwrap_or(f32::NAN))
            .collect();
        reasons.explain(score, &scores)
    }

    fn receipt(&self, transaction: &Transaction, row: &[f32], assessed: &Assessed<'_>) -> Option<String> {
        let sealer = self.sealer.as_ref()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(sealer.seal(&Receipt {
            row: row.into(),
            score: assessed.scored.ok(),
            version: self.policy.hash,
            decision: assessed.decision,
            time: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            transaction: Some(transaction.id),
            customer: transaction.customer,
        }))
    }

    fn count(
        &self,
        transaction: &Transaction,
        assessed: &Assessed<'_>,
        context: Context<'_>,
        took: Duration,
    ) {
        self.shard.decided(&Answered {
            decision: assessed.decision,
            source: assessed.source,
            scored: Some(assessed.scored),
            took,
            trace: context.trace,
        });
        self.rules.count(&assessed.verdict);
        if context.shadow {
            self.shard.shadowed();
        }
        for column in columns(transaction.imputed) {
            self.shard.imputed(column, self.policy.imputation(column));
        }
    }

    fn log(&self, transaction: &Transaction, assessed: &Assessed<'_>, context: Context<'_>, took: Duration) {
        let mut entry = Entry {
            served: &self.policy.served,
            role: if context.shadow {
                Role::Shadow
            } else {
                Role::Answer
            },
            decision: assessed.decision,
            source: assessed.source,
            scored: Some(assessed.scored),
            rules: &[],
            reasons: &[],
            imputed: &[],
            took,
            transaction: Some(transaction.id),
            customer: transaction.customer,
            terminal: transaction.terminal,
            trace: context.trace,
            request: context.request,
        };
        if !self.log.wants(&entry) {
            return;
        }
        let policy = &*self.policy;
        let rules: Vec<&str> = assessed
            .verdict
            .hit_rules()
            .filter_map(|rule| policy.rules.name(rule))
            .collect();
        let reasons: Vec<&str> = assessed.reasons.iter().map(|reason| reason.name).collect();
        let imputed: Vec<&str> = columns(transaction.imputed)
            .filter_map(|column| policy.schema.input(column))
            .collect();
        (entry.rules, entry.reasons, entry.imputed) = (&rules, &reasons, &imputed);
        self.log.record(&entry);
    }
}

fn facts<'a>(transaction: &Transaction, row: &'a [f32]) -> Facts<'a> {
    Facts {
        id: Some(transaction.id),
        datetime: jiff::Timestamp::from_millisecond(transaction.time).ok(),
        customer: transaction.customer,
        terminal: transaction.terminal,
        time_seconds: transaction.time_seconds,
        time_days: transaction.time_days,
        row,
    }
}

fn model_failure(failure: Failure) -> ModelFailure {
    match failure {
        Failure::Engine => ModelFailure::Engine,
        Failure::NotAProbability => ModelFailure::NotAProbability,
        Failure::Deadline => ModelFailure::Deadline,
        Failure::Overloaded => ModelFailure::Overloaded,
    }
}

fn numbers(transaction: &Transaction) -> [i64; 6] {
    [
        transaction.id,
        transaction.time,
        transaction.customer,
        transaction.terminal,
        transaction.time_seconds,
        transaction.time_days,
    ]
}

/// The row without what was filled in: another version may fill in something else.
fn as_sent(transaction: &Transaction, row: &[f32]) -> Row {
    let mut sent = Row::from_slice(row);
    for column in columns(transaction.imputed) {
        sent[column] = f32::NAN;
    }
    sent
}

/// Positions of the bits that are set.
fn columns(mut bits: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let column = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (column < u128::BITS).then_some(column as usize)
    })
}

/// The answer to a transaction from what is kept of it.
fn outcome(kept: &Bytes) -> Outcome {
    let decision = kept
        .first()
        .and_then(|first| Decision::ALL.get(usize::from(*first)));
    match decision {
        Some(decision) => Outcome::Decided(*decision, kept.slice(1..)),
        // Kept by nothing that we know: to answer it would be a guess.
        None => Outcome::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_tells_its_decision_or_is_not_answered() {
        for decision in Decision::ALL {
            let stored = [&[decision as u8], "{}".as_bytes()].concat();
            let Outcome::Decided(again, body) = outcome(&stored.into()) else {
                panic!("it was stored")
            };
            assert_eq!((again, &body[..]), (decision, "{}".as_bytes()));
        }
        assert!(matches!(outcome(&Bytes::new()), Outcome::Conflict));
        assert!(matches!(outcome(&Bytes::from_static(&[9, 1])), Outcome::Conflict));
    }

    #[test]
    fn what_was_filled_in_is_not_part_of_what_was_sent() {
        let transaction = Transaction {
            imputed: 0b101,
            ..Transaction::default()
        };
        let sent = as_sent(&transaction, &[1.0, 2.0, 3.0]);
        assert!(sent[0].is_nan() && sent[2].is_nan());
        assert_eq!(sent[1], 2.0);
    }
}
