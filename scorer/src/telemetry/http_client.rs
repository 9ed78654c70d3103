//! How OTLP over HTTP is sent.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use tokio::runtime::Handle;

/// Longest answer of a collector.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends on a runtime of its own: the SDK's threads have none.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl Client {
    /// `timeout` holds for a whole exchange.
    pub fn new(runtime: Handle, timeout: Duration) -> Result<Self, String> {
        // A second installation finds the first, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, runtime })
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'a, 'f>(&'a self, request: Request<Bytes>) -> Answer<'f>
    where
        'a: 'f,
        Self: 'f,
    {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        Box::pin(async move { sending.await? })
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Box::new(ResponseBodyTooLarge::new()));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}
