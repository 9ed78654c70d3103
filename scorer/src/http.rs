//! The HTTP side: an accept loop of our own with limits, `/predict` before everything else, the other protocols, a router for
//! the rest.

mod answer;
mod batch;
mod body;
mod connection;
mod contract;
mod deadline;
mod docs;
mod entrance;
mod feedback;
#[cfg(test)]
mod fixture;
mod framing;
mod grpc;
mod health;
mod io;
mod json_problem;
mod linger;
mod link;
mod oip;
mod openapi;
mod peer;
mod predict;
mod protocols;
mod request_id;
mod scoring;
mod server;
mod tls;
mod transport;
mod worker;

pub use answer::{BlockStatus, findings};
pub use contract::{Contract, FieldFacts, Training};
pub use entrance::{refusal, refuses_admin};
pub use grpc::{Bridge, DEFAULT_ROOM, Facts, Grpc, Jobs, bridge};
pub use health::{admin_routes, public_routes};
pub use peer::Peer;
pub use protocols::{Behind, DEFAULT_MAX_BATCH, MAX_BODY_BYTES, Protocols};
pub use scoring::Scoring;
pub use server::{Body, Gate, Limits, Listening, Site, accept, accept_over};
pub use tls::{ClientName, Reloader, Tls, TlsCounters, TlsError, TlsOptions};
pub use transport::{Transport, Versions};
pub use worker::{Install, MakePipeline, Wiring, Worker, run};
