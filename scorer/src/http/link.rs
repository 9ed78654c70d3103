//! What the service of a connection and its stream tell each other.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

/// Where a connection is between two requests. The service sets `Busy` and `Idle`, the stream `Head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Answered; the next request has not begun.
    Idle,
    /// A request has begun, or must begin because the connection is new.
    Head,
    /// At least one request is being answered; its body has a deadline of its own.
    Busy,
}

/// Shared by both sides of one connection; everything stays on one thread.
pub struct Link {
    phase: Cell<Phase>,
    turns: Cell<u32>,
    in_flight: Cell<u32>,
    multiplexed: Cell<bool>,
    leaving: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Link {
    /// A new connection: its first request must begin.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Head),
            turns: Cell::new(0),
            in_flight: Cell::new(0),
            multiplexed: Cell::new(false),
            leaving: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    /// The phase of this moment.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A number that changes whenever a request begins or ends.
    pub fn turns(&self) -> u32 {
        self.turns.get()
    }

    /// The head of the next request begins.
    pub fn head_begins(&self) {
        self.phase.set(Phase::Head);
    }

    /// Whether the connection carries several requests at a time (HTTP/2).
    pub fn is_multiplexed(&self) -> bool {
        self.multiplexed.get()
    }

    /// The connection turned out to be HTTP/2: it may idle from now on.
    pub fn multiplex(&self) {
        self.multiplexed.set(true);
        self.phase.set(Phase::Idle);
    }

    /// A request is being answered until the value is dropped, also when its client resets it.
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.turn(Phase::Busy);
        InFlight(Rc::clone(self))
    }

    /// Asks the connection to end in order.
    pub fn ask_to_leave(&self) {
        self.leaving.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ready once the connection was asked to end.
    pub fn poll_leaving(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn turn(&self, phase: Phase) {
        self.phase.set(phase);
        self.turns.set(self.turns.get().wrapping_add(1));
    }
}

/// A request that is being answered.
pub struct InFlight(Rc<Link>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get() - 1;
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.turn(Phase::Idle);
        }
    }
}

/// The connections of one listener, which leave together. Asking each of them is cheaper than letting each of them look,
/// at every turn, whether it is time.
#[derive(Default)]
pub struct Links {
    open: RefCell<Vec<Weak<Link>>>,
    leaving: Cell<bool>,
}

impl Links {
    /// One more connection; when the others were asked to leave already, it is too.
    pub fn add(&self, link: &Rc<Link>) {
        if self.leaving.get() {
            link.ask_to_leave();
        }
        let mut open = self.open.borrow_mut();
        if open.len() == open.capacity() {
            open.retain(|link| link.strong_count() > 0);
        }
        open.push(Rc::downgrade(link));
    }

    /// Asks all connections to end in order, and those that come after.
    pub fn ask_all_to_leave(&self) {
        self.leaving.set(true);
        for link in self.open.take() {
            if let Some(link) = link.upgrade() {
                link.ask_to_leave();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_busy_until_its_last_request_is_answered() {
        let link = Link::new();
        let first = link.begin();
        let second = link.begin();
        drop(first);
        assert_eq!(link.phase(), Phase::Busy);
        drop(second);
        assert_eq!((link.phase(), link.turns()), (Phase::Idle, 3));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_end_is_woken() {
        let link = Link::new();
        let waiting = std::future::poll_fn(|cx| link.poll_leaving(cx));
        let asking = async {
            tokio::task::yield_now().await;
            link.ask_to_leave();
        };
        tokio::join!(waiting, asking);
    }

    #[test]
    fn those_who_come_after_the_others_were_asked_to_leave_are_asked_too() {
        let (links, early, late) = (Links::default(), Link::new(), Link::new());
        links.add(&early);
        assert!(!early.leaving.get());
        links.ask_all_to_leave();
        links.add(&late);
        assert!(early.leaving.get() && late.leaving.get());
    }

    #[test]
    fn connections_that_are_gone_take_no_room() {
        let links = Links::default();
        for _ in 0..10_000 {
            links.add(&Link::new());
        }
        assert!(links.open.borrow().capacity() < 100);
    }
}
