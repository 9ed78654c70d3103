//! What a port speaks: in the clear or TLS, HTTP/1.1 and HTTP/2 or only the latter.

use super::tls::Tls;

/// The HTTP versions of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1.1 and HTTP/2 side by side: the first bytes of a connection tell.
    #[default]
    Both,
    /// HTTP/2 only, for gRPC.
    Http2,
}

/// What a port speaks. By default HTTP/1.1 and HTTP/2 in the clear.
#[derive(Clone, Default)]
pub struct Transport {
    /// TLS for every connection of the port.
    pub tls: Option<Tls>,
    /// The HTTP versions.
    pub versions: Versions,
}
