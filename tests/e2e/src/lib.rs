//! What the tests in `tests/` need to be short: the prepared stage, a namespace per test, a caller, a load.
//!
//! Nothing here starts a cluster: `make e2e` does that, and a missing preparation is an error that says so.
#![forbid(unsafe_code)]

mod caller;
mod load;
mod namespace;
mod pods;
mod poll;
mod raw;
mod redis;
mod stage;

pub use caller::{Answer, Caller};
pub use load::{Load, Report};
pub use namespace::{Namespace, spec_of};
pub use pods::{Metrics, Pod};
pub use poll::{holds, until};
pub use redis::Redis;
pub use stage::{ModelFile, Stage};
