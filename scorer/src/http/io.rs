//! A connection with deadlines: for the head of a request, for idling between requests, and for a client that does not read.
//!
//! How requests are framed is looked at here as well, see `framing`.
//! In the steady state no timer is touched: a deadline that moved back is noticed when the old one fires.

use std::{
    io, mem,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    framing::Framing,
    linger::Linger,
    link::{Link, Phase},
};
use crate::metrics::Shard;

/// How every HTTP/2 connection begins, as far as one needs to read.
const HTTP2_BEGINS: &[u8] = b"PRI * HTTP/2";

/// How long each phase may last.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte (or the accept) to the end of the head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a client that takes nothing of its answer.
    pub write: Duration,
}

/// A stream that fails with `TimedOut` when the client lets a deadline pass.
///
/// On HTTP/2 bytes between requests (pings, window updates) do not count as the beginning of one: such a connection may
/// idle, whatever it sends. It is asked to leave when that time is over, and closed when it does not.
pub struct Guarded<S> {
    stream: S,
    link: Rc<Link>,
    /// None on HTTP/2, which has frames.
    framing: Option<Framing>,
    fresh: bool,
    seen: Phase,
    turns: u32,
    farewell: bool,
    /// A head has begun, and its deadline is not set: most heads come whole, and need none.
    undated: bool,
    deadline: Instant,
    patience: Patience,
    alarm: Pin<Box<Sleep>>,
    /// Whom the alarm wakes. It need not be told again and again.
    sleeper: Option<Waker>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Our side has ended.
    linger: Option<Linger>,
    shard: Arc<Shard>,
}

impl<S> Guarded<S> {
    /// Guards a fresh connection.
    pub fn new(stream: S, link: Rc<Link>, patience: Patience, shard: Arc<Shard>) -> Self {
        let deadline = Instant::now() + patience.head;
        Self {
            stream,
            fresh: true,
            seen: link.phase(),
            turns: link.turns(),
            link,
            framing: Some(Framing::new()),
            farewell: false,
            undated: false,
            deadline,
            patience,
            alarm: Box::pin(sleep_until(deadline)),
            sleeper: None,
            stalled: None,
            linger: None,
            shard,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.seen = phase;
        self.turns = self.link.turns();
        self.undated = phase == Phase::Head;
        match phase {
            Phase::Idle if self.farewell => self.deadline = Instant::now() + self.patience.head,
            Phase::Idle => self.deadline = Instant::now() + self.patience.idle,
            Phase::Head | Phase::Busy => {}
        }
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.fresh {
            self.fresh = false;
            if bytes.starts_with(HTTP2_BEGINS) {
                self.framing = None;
                self.link.multiplex();
                self.enter(Phase::Idle);
            }
        } else if self.link.phase() == Phase::Idle && !self.link.is_multiplexed() {
            self.link.head_begins();
            self.enter(Phase::Head);
        }
        match &mut self.framing {
            Some(framing) => framing
                .follow(bytes)
                .map_err(|ambiguous| io::Error::new(io::ErrorKind::InvalidData, ambiguous)),
            None => Ok(()),
        }
    }

    fn late(&self) -> io::Error {
        self.shard.timed_out();
        io::ErrorKind::TimedOut.into()
    }

    fn set_alarm(&mut self, at: Instant) {
        self.alarm.as_mut().reset(at);
        self.sleeper = None;
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleeper = self.sleeper.as_ref();
        if !self.alarm.is_elapsed() && sleeper.is_some_and(|sleeper| sleeper.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.sleeper = Some(cx.waker().clone());
        // Whatever the task has done before: a timer that has no budget does not look at the waker.
        pin!(unconstrained(self.alarm.as_mut())).poll(cx)
    }

    /// Called when nothing can be read: fails once the deadline is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.link.turns() != self.turns {
            self.enter(self.link.phase());
        }
        if mem::take(&mut self.undated) {
            self.deadline = Instant::now() + self.patience.head;
        }
        if self.seen == Phase::Busy {
            // hyper reads ahead while it answers, and then does not read again before it is woken: without this look
            // from time to time nobody would notice that the connection idles.
            loop {
                ready!(self.poll_alarm(cx));
                let again = Instant::now() + self.patience.idle;
                self.set_alarm(again);
            }
        }
        if self.alarm.deadline() > self.deadline {
            self.set_alarm(self.deadline);
        }
        loop {
            ready!(self.poll_alarm(cx));
            if Instant::now() >= self.deadline {
                if self.farewell || !self.link.is_multiplexed() {
                    return Poll::Ready(Err(self.late()));
                }
                self.farewell = true;
                self.link.ask_to_leave();
                self.deadline = Instant::now() + self.patience.head;
            }
            self.set_alarm(self.deadline);
        }
    }

    /// Passes a write's outcome on, and fails when nothing could be written for too long.
    fn poll_progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let until = Instant::now() + self.patience.write;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(self.late()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                let received = &buf.filled()[before..];
                if !received.is_empty()
                    && let Err(error) = self.received(received)
                {
                    buf.set_filled(before);
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => self.poll_deadline(cx),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_progress(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_progress(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_progress(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.poll_progress(cx, outcome))?;
        }
        // On HTTP/2 an answer does not end the connection, and what does is said in a frame.
        if self.framing.is_some() {
            let Self { linger, stream, .. } = &mut *self;
            ready!(linger.get_or_insert_with(Linger::new).poll(stream, cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(120),
        write: Duration::from_secs(10),
    };

    fn connection() -> (DuplexStream, Guarded<DuplexStream>, Rc<Link>) {
        let (client, server) = duplex(64);
        let link = Link::new();
        let guarded = Guarded::new(server, Rc::clone(&link), PATIENCE, Arc::default());
        (client, guarded, link)
    }

    async fn seconds_until_timeout(guarded: &mut Guarded<DuplexStream>) -> u64 {
        let start = Instant::now();
        let error = guarded.read_u8().await.expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_ambiguous_request_ends_the_connection() {
        let (mut client, mut guarded, _) = connection();
        client.write_all(b"GET / HTTP/1.1\nhost: x\r\n").await.unwrap();
        let error = guarded.read_u8().await.map(|_| ());
        let error = match error {
            Ok(()) => guarded.read_to_end(&mut Vec::new()).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_must_send_its_head_in_time() {
        let (_client, mut guarded, _) = connection();
        assert_eq!(seconds_until_timeout(&mut guarded).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_bytes_do_not_extend_the_head() {
        let (mut client, mut guarded, _) = connection();
        let start = Instant::now();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                client.write_all(b"x").await.unwrap();
            }
        };
        let read = async { while guarded.read_u8().await.is_ok() {} };
        tokio::select! { () = read => {}, () = drip => {} }
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_connection_may_idle_and_then_has_the_head_time_again() {
        let (mut client, mut guarded, link) = connection();
        client.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        drop(link.begin());
        assert_eq!(seconds_until_timeout(&mut guarded).await, 120);
        let (mut client, mut guarded, link) = connection();
        client.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        drop(link.begin());
        client.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        assert_eq!(seconds_until_timeout(&mut guarded).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_has_no_deadline_here() {
        let (_client, mut guarded, link) = connection();
        let _request = link.begin();
        let read = tokio::time::timeout(Duration::from_secs(3600), guarded.read_u8()).await;
        assert!(read.is_err(), "the read must still wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_idles_after_a_read_ahead_is_closed_although_nobody_reads_again() {
        let (_client, mut guarded, link) = connection();
        let request = link.begin();
        let answered = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(request);
            std::future::pending::<()>().await;
        };
        let closed = tokio::time::timeout(Duration::from_secs(360), guarded.read_u8());
        let outcome = tokio::select! { outcome = closed => outcome, () = answered => unreachable!() };
        assert_eq!(
            outcome.expect("the wait ends").unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[tokio::test(start_paused = true)]
    async fn http2_may_idle_from_the_start_is_asked_to_leave_and_then_closed() {
        let (mut client, mut guarded, link) = connection();
        client.write_all(HTTP2_BEGINS).await.unwrap();
        guarded.read_exact(&mut [0; HTTP2_BEGINS.len()]).await.unwrap();
        let start = Instant::now();
        let asked = async {
            std::future::poll_fn(|cx| link.poll_leaving(cx)).await;
            start.elapsed().as_secs()
        };
        let (closed, asked) = tokio::join!(seconds_until_timeout(&mut guarded), asked);
        assert_eq!((asked, closed), (120, 125));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_between_requests_neither_begin_a_head_nor_extend_the_idling() {
        let (mut client, mut guarded, link) = connection();
        client.write_all(HTTP2_BEGINS).await.unwrap();
        guarded.read_exact(&mut [0; HTTP2_BEGINS.len()]).await.unwrap();
        drop(link.begin());
        let start = Instant::now();
        let pings = async {
            loop {
                tokio::time::sleep(Duration::from_secs(30)).await;
                if client.write_all(b"ping").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let read = async { while guarded.read_u8().await.is_ok() {} };
        tokio::select! { () = read => {}, () = pings => {} }
        assert_eq!(start.elapsed().as_secs(), 125);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, mut guarded, _) = connection();
        let start = Instant::now();
        let error = guarded.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(
            (error.kind(), start.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, 10)
        );
    }
}
