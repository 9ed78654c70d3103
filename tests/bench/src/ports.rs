//! Every port of a run, in one place. They lie below those that the kernel gives to clients.

use std::net::SocketAddr;

const BASE: u16 = 28_600;
/// Predictions of the scorer.
pub const SCORER: u16 = BASE;
/// Metrics and probes of the scorer.
pub const ADMIN: u16 = BASE + 1;
/// gRPC of the scorer.
pub const GRPC: u16 = BASE + 2;
/// Nobody listens here: a collector that is down is the worst case that a server must not notice.
pub const COLLECTOR: u16 = BASE + 9;
/// axum with a constant.
pub const CEILING: u16 = BASE + 10;
/// The reference system's stack, with its metrics on the next port.
pub const REFERENCE: u16 = BASE + 11;
/// FastAPI with ONNX Runtime.
pub const FASTAPI: u16 = BASE + 13;
/// fastify with ONNX Runtime.
pub const FASTIFY: u16 = BASE + 14;

/// The port on loopback.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Where traces are sent to, and nobody is.
pub fn collector() -> String {
    format!("http://{}", local(COLLECTOR))
}
