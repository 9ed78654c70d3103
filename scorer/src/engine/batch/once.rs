//! One value from one task to another on the same thread. As `tokio::sync::oneshot`, without its atomics: every request
//! waits for one.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

struct Slot<T> {
    value: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

/// The end that has the value.
pub struct Sender<T>(Rc<Slot<T>>);

/// The end that waits for it: a future of the value, or of none when the sender is gone.
pub struct Receiver<T>(Rc<Slot<T>>);

/// Both ends.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(Slot {
        value: Cell::new(None),
        waker: Cell::new(None),
    });
    (Sender(Rc::clone(&slot)), Receiver(slot))
}

impl<T> Sender<T> {
    /// Hands the value over.
    pub fn send(self, value: T) {
        self.0.value.set(Some(value));
    }

    /// Whether nobody waits any more.
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let slot = &self.0;
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Some(value));
        }
        if Rc::strong_count(slot) == 1 {
            return Poll::Ready(None);
        }
        let known = slot.waker.take().filter(|waker| waker.will_wake(cx.waker()));
        slot.waker.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::{future::join, poll};

    use super::*;

    #[tokio::test]
    async fn the_value_arrives_whoever_comes_first() {
        let (sender, receiver) = channel();
        let later = async {
            tokio::task::yield_now().await;
            sender.send(1);
        };
        assert_eq!(join(receiver, later).await.0, Some(1));
        let (sender, receiver) = channel();
        sender.send(2);
        assert_eq!(receiver.await, Some(2));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_that_there_will_be_none() {
        let (sender, mut receiver) = channel::<u8>();
        assert!(poll!(&mut receiver).is_pending());
        assert!(!sender.is_closed());
        let later = async {
            tokio::task::yield_now().await;
            drop(sender);
        };
        assert_eq!(join(receiver, later).await.0, None);
    }

    #[test]
    fn the_sender_sees_that_nobody_waits() {
        let (sender, receiver) = channel::<u8>();
        drop(receiver);
        assert!(sender.is_closed());
        sender.send(1);
    }
}
