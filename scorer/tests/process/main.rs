//! The scorer as a process: started, spoken to over loopback, and stopped.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod access;
mod bad_input;
mod caching;
mod checking;
mod client;
mod clock;
mod clouds;
mod collector;
mod configuration;
mod deadlines;
mod determinism;
mod fetching;
mod guarding;
mod lifecycle;
mod limits;
mod loading;
mod origin;
mod overload;
mod proxy;
mod registry;
mod reloading;
mod resuming;
mod scoring;
mod secrecy;
mod server;
mod signing;
mod stores;
mod tracing;
mod volume;
