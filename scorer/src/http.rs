//! The HTTP side: an accept loop of our own with limits, `/predict` before everything else, a router for the rest.

mod answer;
mod body;
mod feedback;
mod health;
mod io;
mod predict;
mod request_id;
mod server;
mod worker;

pub use health::{admin_routes, public_routes};
pub use server::{Body, Gate, Limits, Listening, Site, accept};
pub use worker::{Install, Worker, run};
