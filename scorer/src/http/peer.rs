//! The other end of a connection, as the answer to a request may need it.

use std::{net::IpAddr, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use tokio::{task::spawn_local, time::timeout};

use super::{body, connection::Body, link::Link};

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    link: Rc<Link>,
}

impl Peer {
    /// The other end of this connection.
    pub fn new(address: IpAddr, link: Rc<Link>) -> Self {
        Self { address, link }
    }

    /// Gives an answer that did not need the request's body. A client may send that to its end, for a while, and use the
    /// connection again; one that waits to be asked for it (`Expect`) or has a large one is told that the connection ends.
    pub fn answer_unread(
        &self,
        head: &Parts,
        body: Incoming,
        mut answer: http::Response<Body>,
        within: Duration,
    ) -> http::Response<Body> {
        if body.is_end_stream() {
            return answer;
        }
        let is_http2 = head.version == Version::HTTP_2;
        if waits(&head.headers) || body.size_hint().lower() > body::MAX_UNREAD {
            // On HTTP/2 the stream ends with the answer, and nothing else does.
            if !is_http2 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            return answer;
        }
        let (link, in_flight) = (Rc::clone(&self.link), self.link.begin());
        spawn_local(async move {
            let ended = timeout(within, body::discard(body)).await.unwrap_or(false);
            if !ended && !is_http2 {
                link.ask_to_leave();
            }
            drop(in_flight);
        });
        answer
    }
}

fn waits(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}
