//! The end of a connection whose client may still be sending. Closing a socket with bytes that nobody read resets it, and a
//! reset takes the last answer back from a client that has not read it yet: a proxy makes a 502 of a 503. So what still comes
//! is read and thrown away until the client has closed its side, for a while (RFC 9112, section 9.6).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Sleep, sleep},
};

use super::body;

/// As long as a client that has the answer takes to see it.
const LONGEST: Duration = Duration::from_secs(1);

/// What is left of the patience with a connection that has ended on our side.
pub struct Linger {
    over: Pin<Box<Sleep>>,
    left: u64,
}

impl Linger {
    /// Begins now.
    pub fn new() -> Self {
        Self {
            over: Box::pin(sleep(LONGEST)),
            left: body::MAX_UNREAD,
        }
    }

    /// Ready when the client has closed its side, or has had its time.
    pub fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 4096];
        while self.over.as_mut().poll(cx).is_pending() {
            let mut part = ReadBuf::new(&mut bytes);
            let outcome = ready!(Pin::new(&mut *stream).poll_read(cx, &mut part));
            let came = part.filled().len() as u64;
            match self.left.checked_sub(came) {
                Some(left) if came > 0 && outcome.is_ok() => self.left = left,
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    async fn lingers(server: &mut DuplexStream) -> Duration {
        let (start, mut linger) = (Instant::now(), Linger::new());
        poll_fn(|cx| linger.poll(server, cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_clients_side() {
        let (mut client, mut server) = duplex(64 * 1024);
        client.write_all(&[0; 30_000]).await.unwrap();
        drop(client);
        assert_eq!(lingers(&mut server).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_close_has_a_second() {
        let (_client, mut server) = duplex(64);
        assert!(lingers(&mut server).await >= LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_end_is_not_listened_to_for_ever() {
        let (mut client, mut server) = duplex(64 * 1024);
        let sender = tokio::spawn(async move { while client.write_all(&[0; 64 * 1024]).await.is_ok() {} });
        assert!(lingers(&mut server).await < LONGEST);
        drop(server);
        sender.await.unwrap();
    }
}
