//! How one version takes over from another: pure, without a client, a clock or a Kubernetes type.
//!
//! A version that is wanted is started beside the stable one and takes the traffic when it is ready. What lost the
//! traffic is kept until nothing reaches it any more.

mod decide;
mod retire;

pub use decide::{Evidence, Progress, Stage, Step, next};
pub use retire::{Retiring, Waits};
