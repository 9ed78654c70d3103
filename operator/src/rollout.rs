//! How one version takes over from another: pure, without a client, a clock or a Kubernetes type.
//!
//! A version that is wanted is started beside the stable one and takes the traffic when it is ready. What lost the
//! traffic is kept for a while, because requests may still be on their way to it.

mod decide;

pub use decide::{Evidence, Progress, Stage, Step, next};
