//! How one version takes over from another: pure, without a client, a clock or a Kubernetes type.
//!
//! A version that is wanted is started beside the stable one. Where the spec names steps, it gets a share of the traffic and
//! is judged at each of them by gates on the evidence of its own counters; otherwise it takes the traffic when it is
//! ready. What lost the traffic is kept until nothing reaches it any more.

mod canary;
mod decide;
mod evidence;
mod gate;
mod retire;
mod sequential;
mod strategy;
mod wilson;

pub use canary::{Canary, Hold, Sight, Turn};
pub use decide::{Ended, Evidence, Progress, Stage, Step, next};
pub use evidence::{Arm, Counts, Ledger, Process, Sample, Tests};
pub use gate::{Gate, Judgement, Limits, Verdict};
pub use retire::{Retiring, Waits};
pub use sequential::{Count, Sums};
pub use strategy::{Strategy, WeightStep};
