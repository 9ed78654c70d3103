//! Request to tensor row: one pass over the body, checked against the request schema, without a map in between.

pub(crate) mod card_number;
mod datetime;
mod parse;
mod problem;
mod schema;
mod transaction;
mod value;

pub use parse::{Rejection, parse_row};
pub use problem::Problem;
pub use schema::{ENVELOPE, Field, Input, Kind, Missing, Schema, SchemaError};
pub use transaction::Transaction;
