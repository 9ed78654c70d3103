//! Feedback: what became of a transaction, days later. A label comes with the receipt of its answer; nothing is stored but
//! counters and a bounded memory of which receipts were labelled.
//!
//! - [`parse`] turns a body into items, each of them good or refused; [`Report`] turns what became of them into an answer;
//!   [`Request`] does both.
//! - [`Ledger::judge`] opens the receipt of an item, [`Ledger::apply`] counts its label for every loaded version: with the
//!   score that the receipt holds for the version that gave it, with a new score of the same features for any other.
//! - A label may be corrected. Counters only grow, so what is taken back is counted in a family of its own,
//!   `…_corrected`: the truth is the difference of the two.
//!
//! All of it is in memory: after a restart the counters begin at zero, as all Prometheus counters do, and the memory is
//! empty, so a label that was counted before the restart and is sent again is counted again.

mod element;
mod item;
mod ledger;
mod parse;
mod render;
mod report;
mod request;
mod seen;
mod tally;

pub use item::{Item, Label, Refusal, Source};
pub use ledger::{Arm, Judged, Ledger, Outcome, Version};
pub use parse::{BodyError, Content, MAX_BODY_BYTES, MAX_ITEMS, parse};
pub use report::Report;
pub use request::Request;
