//! What a condition may name, and what one transaction gives for it.

use jiff::Timestamp;

/// What the rules see of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `TRANSACTION_ID`.
    pub id: Option<i64>,
    /// `TX_DATETIME`; without an offset it is UTC.
    pub datetime: Option<Timestamp>,
    /// `CUSTOMER_ID`.
    pub customer: i64,
    /// `TERMINAL_ID`.
    pub terminal: i64,
    /// `TX_TIME_SECONDS`.
    pub time_seconds: i64,
    /// `TX_TIME_DAYS`.
    pub time_days: i64,
    /// The model's inputs in the order of its columns; NaN is a missing value.
    pub row: &'a [f32],
}

/// The model's score, as conditions call it.
pub(super) const SCORE: &str = "score";
/// The lists, as conditions call them: `lists.<name>`.
pub(super) const LISTS: &str = "lists";

/// A whole number of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntField {
    Id,
    Customer,
    Terminal,
    Seconds,
    Days,
}

/// Where the value of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Int(IntField),
    Datetime,
    Column(usize),
    Score,
}

const FIXED: [(&str, Slot); 7] = [
    ("TRANSACTION_ID", Slot::Int(IntField::Id)),
    ("TX_DATETIME", Slot::Datetime),
    ("CUSTOMER_ID", Slot::Int(IntField::Customer)),
    ("TERMINAL_ID", Slot::Int(IntField::Terminal)),
    ("TX_TIME_SECONDS", Slot::Int(IntField::Seconds)),
    ("TX_TIME_DAYS", Slot::Int(IntField::Days)),
    (SCORE, Slot::Score),
];

/// The names that a condition may use: six fields of every request, `score`, and the model's inputs (double).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTypes {
    columns: Vec<String>,
}

impl FieldTypes {
    /// The fields of a request whose model inputs are `columns`, in their order.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let fixed = FIXED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, slot)| *slot);
        let column = || self.columns.iter().position(|column| column == name);
        fixed.or_else(|| column().map(Slot::Column))
    }

    /// All names, for messages.
    pub(super) fn names(&self) -> String {
        let fixed = FIXED.iter().map(|(name, _)| *name);
        let all: Vec<_> = fixed.chain(self.columns.iter().map(String::as_str)).collect();
        all.join(", ")
    }
}
