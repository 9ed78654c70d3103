//! The scorer: fetches an ONNX fraud model, verifies it, and answers predictions.
//!
//! - `features` turns a request into a tensor row, `engine` scores rows, `decision` turns a score into a decision: none of
//!   them knows HTTP.
//! - `model` turns a file into engines: it is looked into before ONNX Runtime sees it, compared with the request schema,
//!   replayed and warmed up. Until that is done the process answers 503 and says why.
//! - `rules` are the conditions of the manifest, compiled; `policy` is what the manifest says about answers.
//! - `http` is the transport: one thread, one runtime, one listener and one engine for each core.
//! - `serve`, `check` and `model::artifact` are the three commands.

pub mod check;
pub mod config;
pub mod decision;
pub mod engine;
pub mod features;
pub mod http;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod rules;
pub mod serve;
pub mod state;
pub mod telemetry;
