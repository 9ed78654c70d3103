//! The scorer: fetches an ONNX fraud model, verifies it, and answers predictions.
//!
//! - `features` turns a request into a tensor row, `engine` scores rows, `decision` turns a score into a decision, `reasons`
//!   explains it: none of them knows HTTP.
//! - `model` turns a file into engines: it is looked into before ONNX Runtime sees it, compared with the request schema,
//!   replayed and warmed up. Until that is done the process answers 503 and says why.
//! - `receipt` seals what was scored into the answer, `feedback` takes it back with a label, `idempotency` answers a
//!   transaction that is sent again as it was answered first.
//! - `rules` are the conditions of the manifest, compiled; `policy` is what the manifest says about answers.
//! - `http` is the transport: one thread, one runtime, one listener and one engine for each core.
//! - `access` says who may call; `metrics`, `telemetry` and `decision_log` what has happened. None of them waits for anybody.
//! - `serve`, `check`, `model::artifact` and `access::issue` are the four commands; `dumps` keeps what they know out of core
//!   dumps.

pub mod access;
pub mod check;
pub mod config;
pub mod decision;
pub mod decision_log;
pub mod dumps;
pub mod engine;
pub mod features;
pub mod feedback;
pub mod http;
pub mod idempotency;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod policy;
pub mod reasons;
pub mod receipt;
pub mod rules;
pub mod serve;
pub mod state;
pub mod telemetry;
