//! One connection: TLS if the port has it, then HTTP/1.1 or HTTP/2, with a deadline for everything.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body as _, Incoming},
    rt::Executor,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::spawn_local,
};

use super::{
    answer,
    io::{Guarded, Patience},
    link::{Link, Links},
    peer::Peer,
    server::{Gate, Site},
    transport::{Transport, Versions},
};
use crate::metrics::Shard;

/// A body of ours, or of a router.
pub type Body = Either<Full<Bytes>, axum::body::Body>;

const MAX_HEADERS: usize = 100;
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Requests that one HTTP/2 connection may have in flight.
const MAX_STREAMS: u32 = 128;
/// Streams that the client reset before we looked at them (rapid reset); one more ends the connection.
const MAX_RESET_STREAMS: usize = 20;
/// Streams that we reset because of errors of the client; one more ends the connection.
const MAX_ERROR_STREAMS: usize = 64;
/// Bytes of bodies that one HTTP/2 connection may have under way.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of one body under way.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of answers that wait in each stream for the client to read.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one connection to its end.
pub async fn serve<H, F>(
    stream: TcpStream,
    address: IpAddr,
    site: Site,
    transport: Transport,
    links: Rc<Links>,
    handler: H,
) where
    H: Fn(Peer, Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let _ = stream.set_nodelay(true);
    let Some(tls) = &transport.tls else {
        return converse(stream, address, site, transport.versions, &links, handler).await;
    };
    if let Some(stream) = tls.handshake(stream).await {
        converse(stream, address, site, transport.versions, &links, handler).await;
    }
}

/// What the answers of one connection need.
struct Desk {
    link: Rc<Link>,
    shard: Arc<Shard>,
    gate: watch::Receiver<Gate>,
}

impl Desk {
    /// Whether the process is about to end. Looks at a number first, because the gate is behind a lock.
    fn is_closing(&self) -> bool {
        self.gate.has_changed().unwrap_or(true) && *self.gate.borrow() != Gate::Open
    }
}

async fn converse<I, H, F>(
    stream: I,
    address: IpAddr,
    site: Site,
    versions: Versions,
    links: &Links,
    handler: H,
) where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Peer, Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let limits = site.limits;
    let patience = Patience {
        head: limits.head_timeout,
        idle: limits.idle_timeout,
        write: limits.write_timeout,
    };
    let link = Link::new();
    links.add(&link);
    let guarded = Guarded::new(stream, Rc::clone(&link), patience, Arc::clone(&site.shard));
    let peer = Peer::new(address, Rc::clone(&link));
    let desk = Rc::new(Desk {
        link: Rc::clone(&link),
        shard: site.shard,
        gate: site.gate,
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let in_flight = desk.link.begin();
        let desk = Rc::clone(&desk);
        let (version, wants_head) = (request.version(), request.method() == Method::HEAD);
        let answering = AssertUnwindSafe(handler(peer.clone(), request)).catch_unwind();
        // Not in an async block: it would have room for the handler's future twice, and is moved about.
        answering.map(move |outcome| {
            let mut answer = outcome.unwrap_or_else(|_| {
                desk.shard.panicked();
                answer::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").map(Either::Left)
            });
            if desk.is_closing() {
                say_goodbye(version, &mut answer, &desk.link);
            }
            if wants_head && version == Version::HTTP_2 {
                answer = without_body(answer);
            }
            drop(in_flight);
            Ok::<_, Infallible>(answer)
        })
    });
    let builder = builder(versions);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(guarded), service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = poll_fn(|cx| link.poll_leaving(cx)) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// HTTP/1.1 says it in a header, HTTP/2 in a frame of its own.
fn say_goodbye(version: Version, answer: &mut Response<Body>, link: &Link) {
    if version == Version::HTTP_2 {
        link.ask_to_leave();
    } else {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
}

/// The head of an answer to HEAD. hyper leaves a body out by itself on HTTP/1.1 only.
fn without_body(answer: Response<Body>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    Response::from_parts(head, Either::Left(Full::default()))
}

fn builder(versions: Versions) -> auto::Builder<OnThisThread> {
    let mut builder = auto::Builder::new(OnThisThread);
    // Deadlines are the guarded stream's business: hyper's own would close idle connections too.
    builder
        .http1()
        // Answers are short: copied behind their head they cost less than a list of two parts.
        .writev(false)
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_ERROR_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    match versions {
        Versions::Both => builder,
        Versions::Http2 => builder.http2_only(),
    }
}

/// Runs the streams of an HTTP/2 connection on the thread of the connection.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F> Executor<F> for OnThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

#[cfg(test)]
mod tests;
