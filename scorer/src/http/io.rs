//! A connection with deadlines: for the head of a request, for idling between requests, and for a client that does not read.
//!
//! In the steady state no timer is touched: a deadline that moved back is noticed when the old one fires.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::metrics::Shard;

/// Where a connection is between two requests. The service sets `Busy` and `Idle`, the connection `Head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Answered; the next request has not begun.
    Idle,
    /// A request has begun, or must begin because the connection is new.
    Head,
    /// A request is being answered; its body has a deadline of its own.
    Busy,
}

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
pub struct Guarded<S> {
    stream: S,
    phase: Rc<Cell<Phase>>,
    seen: Phase,
    deadline: Instant,
    patience: Patience,
    alarm: Pin<Box<Sleep>>,
    stalled: Option<Pin<Box<Sleep>>>,
    shard: Arc<Shard>,
}

impl<S> Guarded<S> {
    /// Guards a fresh connection.
    pub fn new(stream: S, phase: Rc<Cell<Phase>>, patience: Patience, shard: Arc<Shard>) -> Self {
        phase.set(Phase::Head);
        let deadline = Instant::now() + patience.head;
        let alarm = Box::pin(sleep_until(deadline));
        Self {
            stream,
            phase,
            seen: Phase::Head,
            deadline,
            patience,
            alarm,
            stalled: None,
            shard,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.seen = phase;
        match phase {
            Phase::Idle => self.deadline = Instant::now() + self.patience.idle,
            Phase::Head => self.deadline = Instant::now() + self.patience.head,
            Phase::Busy => {}
        }
    }

    fn late(&self) -> io::Error {
        self.shard.timed_out();
        io::ErrorKind::TimedOut.into()
    }

    /// Called when nothing can be read: fails once the deadline is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase.get() != self.seen {
            self.enter(self.phase.get());
        }
        if self.seen == Phase::Busy {
            // hyper reads ahead while it answers, and then does not read again before it is woken: without this look
            // from time to time nobody would notice that the connection idles.
            loop {
                ready!(self.alarm.as_mut().poll(cx));
                let again = Instant::now() + self.patience.idle;
                self.alarm.as_mut().reset(again);
            }
        }
        if self.alarm.deadline() > self.deadline {
            self.alarm.as_mut().reset(self.deadline);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                return Poll::Ready(Err(self.late()));
            }
            self.alarm.as_mut().reset(self.deadline);
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
                if self.phase.get() == Phase::Idle && buf.filled().len() > before {
                    self.phase.set(Phase::Head);
                    self.enter(Phase::Head);
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => self.poll_deadline(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
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
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_progress(cx, outcome)
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

    fn connection() -> (DuplexStream, Guarded<DuplexStream>, Rc<Cell<Phase>>) {
        let (client, server) = duplex(64);
        let phase = Rc::new(Cell::new(Phase::Idle));
        let guarded = Guarded::new(server, Rc::clone(&phase), PATIENCE, Arc::default());
        (client, guarded, phase)
    }

    async fn seconds_until_timeout(guarded: &mut Guarded<DuplexStream>) -> u64 {
        let start = Instant::now();
        let error = guarded.read_u8().await.expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed().as_secs()
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
        let (mut client, mut guarded, phase) = connection();
        phase.set(Phase::Idle);
        assert_eq!(seconds_until_timeout(&mut guarded).await, 120);
        let (mut client2, mut guarded2, phase2) = connection();
        phase2.set(Phase::Idle);
        client2.write_all(b"G").await.unwrap();
        guarded2.read_u8().await.unwrap();
        assert_eq!(seconds_until_timeout(&mut guarded2).await, 5);
        client.shutdown().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_has_no_deadline_here() {
        let (_client, mut guarded, phase) = connection();
        phase.set(Phase::Busy);
        let read = tokio::time::timeout(Duration::from_secs(3600), guarded.read_u8()).await;
        assert!(read.is_err(), "the read must still wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_idles_after_a_read_ahead_is_closed_although_nobody_reads_again() {
        let (_client, mut guarded, phase) = connection();
        phase.set(Phase::Busy);
        let answered = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            phase.set(Phase::Idle);
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
