//! A permission to write that runs out by itself.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Says whether this process may write right now.
///
/// The leader moves the end of the permission with every renewal of the Lease. The Kubernetes client asks before each
/// write, so a process that was frozen and wakes up without its Lease writes nothing more. A request that left earlier
/// can't be called back.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Mutex<Permission>>);

#[derive(Clone, Copy, Debug)]
enum Permission {
    Always,
    Never,
    Until(Instant),
}

/// A write was held back because another process may be the leader.
#[derive(Debug, thiserror::Error)]
#[error("not the leader: the write was not sent")]
pub struct NotLeader;

impl Fence {
    /// A fence that lets everything pass, for a process that is alone.
    pub fn open() -> Self {
        Self(Arc::new(Mutex::new(Permission::Always)))
    }

    /// A fence that lets nothing pass until the Lease is held.
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(Permission::Never)))
    }

    /// Lets writes pass until `end`.
    pub(super) fn extend(&self, end: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Permission::Until(end);
    }

    /// Lets nothing pass any more.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Permission::Never;
    }

    /// Whether a write may leave now.
    pub fn check(&self) -> Result<(), NotLeader> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Permission::Always => Ok(()),
            Permission::Until(end) if Instant::now() < end => Ok(()),
            Permission::Never | Permission::Until(_) => Err(NotLeader),
        }
    }
}
