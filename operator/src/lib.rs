//! The fraudops operator: keeps what a FraudModel asks for.
//!
//! One visit of one model (see [`reconcile`]):
//! observe (all reads) -> validate -> decide ([`rollout`]) -> build ([`build`]) -> apply (all writes) -> status (one patch).
//! A stage either does I/O or decides, and its signature shows which: what decides takes no client and no clock.
//!
//! [`controller`] wires watches to visits; [`leader`] lets one replica work; [`server`], [`metrics`] and [`telemetry`] show
//! what goes on; [`cli`] and [`client`] are how the process is set up.

pub mod build;
pub mod cli;
pub mod client;
pub mod controller;
pub mod error;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod leader;
pub mod metrics;
pub mod metrics_source;
pub mod neighbours;
pub mod process;
pub mod reconcile;
pub mod rollout;
pub mod server;
pub mod shutdown;
pub mod telemetry;

/// The name under which we own fields, hold the Lease and report events.
pub const FIELD_MANAGER: &str = "fraudops-operator";
