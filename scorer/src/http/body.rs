//! Reading of a request's body: bounded in size and time.

use std::{pin::pin, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::poll;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::metrics::RequestError;

/// A body that is too large is read on up to here and thrown away, so that its sender gets to see the 413.
const MAX_DISCARDED: u64 = 16 * 1024 * 1024;

/// A body that nobody wants to see is thrown away up to here, so that the connection can be used again.
pub const MAX_UNREAD: u64 = 1024 * 1024;

/// The body of a request that may come to be answered without it.
pub struct Unread(Option<Incoming>);

impl Unread {
    /// Nobody has looked at it yet.
    pub fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    /// The whole body, or why there is none.
    pub async fn read(
        &mut self,
        headers: &HeaderMap,
        limit: usize,
        within: Duration,
    ) -> Result<Bytes, RequestError> {
        let encoding = headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(RequestError::Encoding);
        }
        match self.0.take() {
            Some(body) => read(body, limit, within).await,
            None => Ok(Bytes::new()),
        }
    }

    /// The body, if it was not asked for.
    pub fn rest(self) -> Option<Incoming> {
        self.0
    }
}

async fn read(body: Incoming, limit: usize, within: Duration) -> Result<Bytes, RequestError> {
    let mut whole = pin!(collect(body, limit));
    // It mostly came with the head, and then needs no timer.
    if let Poll::Ready(read) = poll!(whole.as_mut()) {
        return read;
    }
    timeout(within, whole)
        .await
        .unwrap_or(Err(RequestError::BodyTimeout))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, RequestError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        if announced <= MAX_DISCARDED {
            throw_away(body, MAX_DISCARDED).await;
        }
        return Err(RequestError::TooLarge);
    }
    let first = match next(&mut body).await? {
        None => return Ok(Bytes::new()),
        Some(first) if body.is_end_stream() && first.len() <= limit => return Ok(first),
        Some(first) => first,
    };
    let mut whole = BytesMut::from(first);
    loop {
        if whole.len() > limit {
            throw_away(body, MAX_DISCARDED).await;
            return Err(RequestError::TooLarge);
        }
        match next(&mut body).await? {
            Some(more) => whole.extend_from_slice(&more),
            None => return Ok(whole.freeze()),
        }
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, RequestError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(RequestError::BodyAborted),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Throws a body away, up to [`MAX_UNREAD`]; false when it is larger or breaks off.
pub async fn discard(body: Incoming) -> bool {
    throw_away(body, MAX_UNREAD).await
}

async fn throw_away(mut body: Incoming, most: u64) -> bool {
    let mut left = most;
    loop {
        match next(&mut body).await {
            Ok(None) => return true,
            Ok(Some(data)) => match left.checked_sub(data.len() as u64) {
                Some(rest) => left = rest,
                None => return false,
            },
            Err(_) => return false,
        }
    }
}
