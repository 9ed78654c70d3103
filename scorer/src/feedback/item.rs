//! One item of a feedback request.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::receipt::ReceiptError;

/// What the transaction was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Legitimate.
    Genuine,
    /// Fraud.
    Fraud,
}

impl Label {
    /// Both, in the order of their slots.
    pub const ALL: [Self; 2] = [Self::Genuine, Self::Fraud];

    /// As it is written in requests and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Genuine => "genuine",
            Self::Fraud => "fraud",
        }
    }
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The card scheme, after a dispute.
    Chargeback,
    /// Somebody who looked at an alert: soon, and biased to high scores.
    Investigator,
    /// The card holder.
    Customer,
    /// Anybody else.
    Other,
}

impl Source {
    /// All of them, in the order of their slots.
    pub const ALL: [Self; 4] = [Self::Chargeback, Self::Investigator, Self::Customer, Self::Other];

    /// As it is written in requests and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chargeback => "chargeback",
            Self::Investigator => "investigator",
            Self::Customer => "customer",
            Self::Other => "other",
        }
    }
}

/// A well-formed item. Its receipt has not been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The receipt as `/predict` answered it.
    pub receipt: Cow<'a, str>,
    /// What the transaction was.
    pub label: Label,
    /// When that became known.
    pub time: Timestamp,
    /// Who says so.
    pub source: Source,
}

/// Why an item is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A line that is not JSON.
    #[error("the line is not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("an item is an object with receipt, label, time and source")]
    NotAnObject,
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("{0} is there twice")]
    Duplicate(&'static str),
    /// A field has a value that it cannot have.
    #[error("{}", expected(.0))]
    Invalid(&'static str),
    /// The label is from a time that has not come yet.
    #[error("time is in the future: compare the clocks")]
    TimeInFuture,
    /// The label is older than its transaction.
    #[error("time is before the transaction")]
    TimeBeforeTransaction,
    /// The receipt is not accepted.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

fn expected(field: &str) -> &'static str {
    match field {
        "receipt" => "receipt must be a string",
        "label" => "label must be \"fraud\" or \"genuine\" (or true or false, 1 or 0)",
        "time" => "time must be RFC 3339 with an offset, such as 2026-11-24T01:02:03Z",
        _ => "source must be chargeback, investigator, customer or other",
    }
}

impl Refusal {
    /// All codes, for counters that exist from the start.
    pub const CODES: [&'static str; 13] = [
        "invalid_json",
        "not_an_object",
        "missing_field",
        "duplicate_field",
        "invalid_field",
        "time_in_future",
        "time_before_transaction",
        "receipt_malformed",
        "receipt_unknown_key",
        "receipt_foreign",
        "receipt_forged",
        "receipt_expired",
        "receipt_from_future",
    ];

    /// The code in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "invalid_json",
            Self::NotAnObject => "not_an_object",
            Self::Missing(_) => "missing_field",
            Self::Duplicate(_) => "duplicate_field",
            Self::Invalid(_) => "invalid_field",
            Self::TimeInFuture => "time_in_future",
            Self::TimeBeforeTransaction => "time_before_transaction",
            Self::Receipt(error) => error.as_str(),
        }
    }

    /// Position of the code in [`Self::CODES`].
    pub fn slot(self) -> usize {
        let code = self.as_str();
        Self::CODES.iter().position(|c| *c == code).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_slot_of_its_own_code() {
        let refusals = [
            Refusal::NotJson,
            Refusal::NotAnObject,
            Refusal::Missing("label"),
            Refusal::Duplicate("label"),
            Refusal::Invalid("label"),
            Refusal::TimeInFuture,
            Refusal::TimeBeforeTransaction,
        ];
        let all = refusals
            .into_iter()
            .chain(ReceiptError::ALL.map(Refusal::Receipt));
        let codes: Vec<_> = all.map(|r| (r.as_str(), Refusal::CODES[r.slot()])).collect();
        assert_eq!(codes.len(), Refusal::CODES.len());
        assert!(codes.iter().all(|(code, slot)| code == slot));
    }

    #[test]
    fn slots_are_the_order_of_the_variants() {
        for (slot, label) in Label::ALL.into_iter().enumerate() {
            assert_eq!(label as usize, slot);
        }
        for (slot, source) in Source::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, slot);
        }
    }
}
