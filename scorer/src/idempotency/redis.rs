//! Answers that pods and versions share: Redis 7 or later, or Valkey.
//!
//! One connection for each serving thread. Its keeper connects, and connects again after a failure, in the background:
//! while there is no connection nothing waits for Redis. A command that fails or takes too long breaks the connection, so
//! a Redis that is down costs at most the commands that are under way at that moment, and one attempt in each second.

mod keeper;
mod record;
mod settings;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use ::redis::aio::MultiplexedConnection;
use bytes::Bytes;
use tokio::{sync::Notify, task::AbortHandle, time::timeout};

pub use settings::{RedisError, RedisSettings};

use self::record::{decode, encode};
use super::Digest;

/// What Redis says to an answer that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// It is stored: nobody was faster.
    Own,
    /// Another pod was faster: this is its answer.
    Theirs(Bytes),
    /// Another pod answered this id with another content.
    Conflict,
    /// Redis could not be asked.
    Unavailable,
}

/// One thread's connection to Redis, or the want of it.
pub struct Redis {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.disconnect(None);
    }
}

/// What the thread and the keeper share.
struct Shared {
    settings: Arc<RedisSettings>,
    /// Connections of all threads.
    connected: Arc<AtomicUsize>,
    connection: Mutex<Slot>,
    broken: Notify,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Which connection this is: a command that fails late must not break the one after it.
    number: u64,
}

impl Redis {
    /// Begins to connect, on the runtime of the calling thread. `connected` counts the connections of all threads.
    pub fn start(settings: Arc<RedisSettings>, connected: Arc<AtomicUsize>) -> Self {
        let shared = Arc::new(Shared {
            settings,
            connected,
            connection: Mutex::default(),
            broken: Notify::new(),
        });
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&shared))).abort_handle();
        Self { shared, keeper }
    }

    /// Whether commands are sent.
    pub fn is_connected(&self) -> bool {
        self.shared.slot().connection.is_some()
    }

    /// Stores the answer of transaction `id`, or says what is stored, in one round trip.
    pub(super) async fn agree(&self, id: i64, digest: Digest, answer: &[u8]) -> Agreed {
        let (connection, number) = {
            let slot = self.shared.slot();
            (slot.connection.clone(), slot.number)
        };
        let Some(mut connection) = connection else {
            return Agreed::Unavailable;
        };
        let settings = &self.shared.settings;
        let mut command = ::redis::cmd("SET");
        command.arg(settings.key().name(id)).arg(encode(digest, answer));
        command.arg("NX").arg("GET").arg("PX").arg(settings.ttl_millis());
        let asked = command.query_async::<Option<Vec<u8>>>(&mut connection);
        let why = match timeout(settings.timeout(), asked).await {
            Ok(Ok(None)) => return Agreed::Own,
            Ok(Ok(Some(stored))) => match decode(stored) {
                Some((known, _)) if known != digest => return Agreed::Conflict,
                Some((_, theirs)) => return Agreed::Theirs(theirs),
                None => "it holds an answer in a form that this version does not know".to_owned(),
            },
            Ok(Err(error)) => settings::told(&error),
            Err(_) => format!("no answer within {:?}", settings.timeout()),
        };
        if self.shared.disconnect(Some(number)) {
            tracing::warn!(
                why,
                "Redis is not used for now: answers are not shared among pods"
            );
        }
        Agreed::Unavailable
    }
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, connection: MultiplexedConnection) {
        let mut slot = self.slot();
        slot.number += 1;
        if slot.connection.replace(connection).is_none() {
            self.connected.fetch_add(1, Relaxed);
        }
    }

    /// Gives up the connection of this number, or whichever there is; whether there was one.
    fn disconnect(&self, number: Option<u64>) -> bool {
        let mut slot = self.slot();
        if number.is_some_and(|number| number != slot.number) || slot.connection.take().is_none() {
            return false;
        }
        self.connected.fetch_sub(1, Relaxed);
        self.broken.notify_one();
        true
    }
}

#[cfg(test)]
mod tests;
