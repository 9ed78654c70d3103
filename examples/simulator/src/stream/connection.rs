//! One kept connection with one request at a time.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::endpoint::Endpoint;

/// More of an answer than this is not read, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why a request got no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or not to whom it should be.
    Connect(String),
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Broken(String),
    /// Another status than that of a decision.
    Status(u16),
    /// An answer that says no decision.
    Unreadable,
}

impl Failure {
    /// A word for reports and metrics: never anything that a server said.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Connect(_) => "connect".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Broken(_) => "broken".to_owned(),
            Self::Status(status) => format!("http_{status}"),
            Self::Unreadable => "unreadable".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Timeout => write!(f, "no answer within --timeout"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Unreadable => write!(f, "the answer has no decision"),
        }
    }
}

/// A connection that is made when it is needed, and made again when the server has closed it.
#[derive(Debug)]
pub struct Connection {
    endpoint: Arc<Endpoint>,
    timeout: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Not connected yet.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, timeout: Duration) -> Self {
        Self {
            endpoint,
            timeout,
            sender: None,
        }
    }

    /// Connects unless that is done.
    pub async fn connect(&mut self) -> Result<(), Failure> {
        let connected = timeout(self.timeout, self.sender());
        connected.await.map_err(|_| Failure::Timeout)?.map(drop)
    }

    /// Sends a body; the status and body of the answer.
    pub async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let limit = self.timeout;
        let answer = timeout(limit, self.exchange(path, content_type, body)).await;
        let answer = answer.unwrap_or(Err(Failure::Timeout));
        if answer.is_err() {
            // What comes late would be taken for the answer to the next request.
            self.sender = None;
        }
        answer
    }

    async fn exchange(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let request = self.endpoint.request(Method::POST, path);
        let request = request
            .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
            .body(Full::new(body))
            .map_err(|error| Failure::Broken(error.to_string()))?;
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
        let broken = |error: hyper::Error| Failure::Broken(innermost(&error));
        let answer = self.sender().await?.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Failure::Broken(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let kept = match self.sender.take() {
            // A server may close an idle connection: that is noticed here, not by a failed request.
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match kept {
            Some(sender) => sender,
            None => self.open().await?,
        };
        Ok(self.sender.insert(sender))
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = self.endpoint.connect().await;
        let stream = stream.map_err(|error| Failure::Connect(connect_problem(&error)))?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Connect(innermost(&error)))?;
        tokio::spawn(driver);
        Ok(sender)
    }
}

fn connect_problem(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("invalid peer certificate") {
        return format!("{text}: is --cacert the authority that signed it, and the name right?");
    }
    text
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
