//! Listeners and the accept loop.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::spawn_local,
    time::sleep,
};

pub use super::connection::Body;
use super::{connection::serve, link::Links, peer::Peer, transport::Transport};
use crate::metrics::{Metrics, Shard};

const BACKLOG: i32 = 1024;
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a connection and a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of all threads together.
    pub connections: usize,
    /// Bytes of a body.
    pub body: usize,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// For the whole body.
    pub body_timeout: Duration,
    /// Between two requests of one connection. Longer than proxies keep theirs (90 s), so that they close first:
    /// a request that meets our close on its way would be lost.
    pub idle_timeout: Duration,
    /// For a client that takes nothing of its answer.
    pub write_timeout: Duration,
}

/// How far the shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Serving.
    Open,
    /// Still accepting, but every answer asks the client to leave.
    Draining,
    /// No new connections; what is in flight may finish.
    Closed,
}

/// Sockets that share one address.
pub struct Listening {
    /// One socket for each thread.
    pub sockets: Vec<std::net::TcpListener>,
    /// The address, with the port that was given for port 0.
    pub address: SocketAddr,
}

impl Listening {
    /// Binds `count` sockets to one address; the kernel spreads connections over them.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        let first = reuse_port(address)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(reuse_port(address)?);
        }
        Ok(Self { sockets, address })
    }
}

fn reuse_port(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What one accept loop needs beside its handler.
#[derive(Clone)]
pub struct Site {
    /// Limits of connections and requests.
    pub limits: Limits,
    /// The process' counters; connections are counted together.
    pub metrics: Arc<Metrics>,
    /// The counters of this thread.
    pub shard: Arc<Shard>,
    /// Progress of the shutdown.
    pub gate: watch::Receiver<Gate>,
}

/// Accepts and serves HTTP/1.1 and HTTP/2 in the clear; see [`accept_over`].
pub async fn accept<H, F>(listener: std::net::TcpListener, site: Site, handler: H) -> io::Result<()>
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    accept_over(Transport::default(), listener, site, handler).await
}

/// Accepts and serves until the gate is closed and every connection is done. Runs inside a `LocalSet`.
pub async fn accept_over<H, F>(
    transport: Transport,
    listener: std::net::TcpListener,
    site: Site,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    let (alive, mut all_done) = mpsc::channel::<Infallible>(1);
    let mut closed = pin!(closed(site.gate.clone()));
    let links = Rc::<Links>::default();
    let admit = |(stream, address): (TcpStream, SocketAddr)| {
        admit(
            (stream, address.ip()),
            &site,
            &transport,
            &handler,
            (&alive, &links),
        );
    };
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = &mut closed => break,
        };
        match accepted {
            Ok(accepted) => admit(accepted),
            // Out of descriptors, most likely: others must finish first.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    links.ask_all_to_leave();
    // What the kernel has queued by now would be reset with the listener.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        admit(accepted);
    }
    drop((listener, alive));
    all_done.recv().await;
    Ok(())
}

fn admit<H, F>(
    (stream, address): (TcpStream, IpAddr),
    site: &Site,
    transport: &Transport,
    handler: &H,
    (alive, links): (&mpsc::Sender<Infallible>, &Rc<Links>),
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    if !site.metrics.try_open(site.limits.connections) {
        site.shard.refused_connection();
        if transport.tls.is_none() {
            let _ = stream.try_write(TURNED_AWAY);
        }
        return;
    }
    site.shard.accepted();
    let open = Open(Arc::clone(&site.metrics));
    let links = Rc::clone(links);
    let serving = serve(
        stream,
        address,
        site.clone(),
        transport.clone(),
        links,
        handler.clone(),
    );
    let alive = alive.clone();
    spawn_local(async move {
        serving.await;
        drop((open, alive));
    });
}

struct Open(Arc<Metrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Waits for the gate to close. A gate that nobody holds any more stays as it is.
async fn closed(mut gate: watch::Receiver<Gate>) {
    if gate.wait_for(|gate| *gate == Gate::Closed).await.is_err() {
        pending::<()>().await;
    }
}
