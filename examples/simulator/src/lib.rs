//! Card transactions with fraud, generated from a seed.
//!
//! The generator of the *Fraud Detection Handbook*, from its description: customers and terminals are points on
//! a map, customers buy at terminals near them at their own pace, and three kinds of fraud are laid over that.
//!
//! ```text
//! Settings -> Simulation -> Transactions -> Features
//!                 |              |             |
//!              world.rs       draw.rs      features.rs     output.rs writes the rows
//!                             fraud.rs
//! ```
//!
//! The same settings always give the same rows, whatever the number of threads. Not guaranteed: the same rows
//! across versions of this crate, or bit-equality with the handbook's own generator.

pub mod draw;
pub mod features;
pub mod feed;
pub mod fraud;
pub mod grouping;
pub mod labels;
pub mod online;
pub mod output;
pub mod payload;
pub mod random;
pub mod scenario;
pub mod settings;
pub mod stream;
pub mod table;
pub mod transactions;
pub mod world;

pub use features::Features;
pub use scenario::Scenario;
pub use settings::{Settings, Simulation};
pub use transactions::Transactions;

/// Seconds of a day. Simulated days have no time zone and no leap seconds.
pub const DAY: i64 = 86_400;
