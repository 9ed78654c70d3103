//! The scorer as a process: started, spoken to over loopback, and stopped.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod bad_input;
mod checking;
mod client;
mod fetching;
mod lifecycle;
mod limits;
mod loading;
mod origin;
mod overload;
mod scoring;
mod server;
mod tracing;
