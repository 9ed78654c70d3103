//! An accept loop with limits: axum's own has none on headers, connections or time.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, error};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Time for the headers of a request, the wait for them on a kept connection included.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Life of a connection, whatever happens on it.
const CONNECTION_TIME: Duration = Duration::from_secs(120);
/// Bytes of a request's headers.
const HEADER_BYTES: usize = 16 * 1024;

/// Answers with `routes` for ever.
pub(super) async fn serve(listener: TcpListener, routes: Router) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(cause) => return error!(%cause, "the probes can't be answered"),
    };
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    let _ = timeout(CONNECTION_TIME, answer(stream, routes)).await;
                });
            }
            // Most likely no descriptor is free: a pause lets others close.
            Err(cause) => {
                debug!(%cause, "can't accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(cause) = connection.await {
        debug!(%cause, "a connection ended early");
    }
}
