//! Rules: conditions over one transaction that decide beside the model.
//!
//! - `config` is how a rule is written, `parse` and `lower` turn its condition (CEL) into a `program`, checked against the
//!   types of the fields. Whatever is wrong with a rule is a [`RuleError`] before any traffic.
//! - `program` is evaluated for each transaction: no allocation, no lookup by name, no panic.
//! - `verdict` says what the rules of one transaction decide together, and how that goes with the model's band.
//! - `lists` are the sets that a condition may look into; they may change while the process runs.
//! - `counters` count hits and failed evaluations.
//!
//! The language is a part of CEL: what `lower` takes means the same as in the interpreter of the crate `cel`, which a
//! property test compares it with. That interpreter boxes every value: the three rules of the replaced system take it
//! 17,400 instructions a transaction, and take 990 compiled.

mod config;
mod counters;
mod error;
mod fields;
mod lists;
mod lower;
mod parse;
mod program;
mod set;
mod verdict;

pub use config::{Action, MAX_RULES, Mode, RuleConfig};
pub use counters::{RuleCounters, RuleShard};
pub use error::RuleError;
pub use fields::{Facts, FieldTypes};
pub use lists::{ListConfig, ListError, Lists, MAX_ENTRIES, POLL, Watch};
pub use parse::MAX_OPERATIONS;
pub use set::Rules;
pub use verdict::Verdict;

#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
