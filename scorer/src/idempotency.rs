//! Idempotency: a transaction that is sent again gets the answer that it got the first time.
//!
//! The key is `TRANSACTION_ID`. The same id with the same content ([`Digest`]) within `ttl` is answered with the stored
//! bytes; with another content it is a conflict (409). A second request that comes while the first is still being scored
//! waits for the first one's answer; if the first is given up, the second is scored.
//!
//! Answers are kept in the bounded memory of the pod, shared by its threads. With Redis they are shared among pods and
//! versions: a request is scored, and then one command (`SET … NX GET PX`) stores the answer or fetches the one that
//! another pod stored first. So there is no lock to be lost and no state in between: whoever stores first is right, and all
//! others answer the same. When Redis is down or slow the pod's own memory goes on alone, and a metric says so.

mod digest;
mod memory;
mod redis;
mod render;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use self::redis::{Redis, RedisError, RedisSettings};
pub use digest::{Digest, DigestKey};
pub use memory::{Limits, Memory};
pub use render::Counters;

use self::memory::Found;
use self::redis::Agreed;

/// How long an answer is kept unless somebody says otherwise.
pub const TTL: Duration = Duration::from_secs(24 * 3600);

/// What became of a request: label `outcome` of `fraud_idempotency_total`. Each request has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered for the first time.
    New,
    /// Answered with the stored answer.
    Replayed,
    /// The id was used with another content.
    Conflict,
    /// New as far as this pod knows: Redis could not be asked.
    Unavailable,
}

impl Outcome {
    /// All of them, in the order of their slots.
    pub const ALL: [Self; 4] = [Self::New, Self::Replayed, Self::Conflict, Self::Unavailable];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replayed => "replayed",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What to do with a request.
#[derive(Debug)]
pub enum Begin<'a> {
    /// Score it, and hand the answer to [`Idempotency::complete`].
    New(Token<'a>),
    /// Answer this.
    Replay(Bytes),
    /// Refuse it: the id was used with another content.
    Conflict,
}

/// What to answer a request that was scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completed {
    /// Its own answer.
    Own(Bytes),
    /// The answer that another pod gave first.
    Replay(Bytes),
    /// Refuse it: another pod answered this id with another content.
    Conflict,
}

/// The right to answer a transaction. Dropped without an answer, it lets the next request with this id be scored.
pub struct Token<'a> {
    memory: &'a Memory,
    id: i64,
    digest: Digest,
    answered: bool,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.memory.abandon(self.id);
        }
    }
}

/// One thread's way to the answers: the memory is the pod's, the connection to Redis its own.
#[derive(Debug)]
pub struct Idempotency {
    memory: Arc<Memory>,
    redis: Option<Redis>,
}

impl Idempotency {
    /// With the pod's memory alone.
    pub fn in_memory(memory: Arc<Memory>) -> Self {
        Self { memory, redis: None }
    }

    /// Shared among pods.
    pub fn shared(memory: Arc<Memory>, redis: Redis) -> Self {
        Self {
            memory,
            redis: Some(redis),
        }
    }

    /// Asks for the right to answer transaction `id`. Waits only while another request with the same id and content is
    /// being scored in this pod.
    pub async fn begin(&self, id: i64, digest: Digest, now: Instant) -> Begin<'_> {
        let mut now = now;
        loop {
            match self.memory.begin(id, digest, now) {
                Found::Nothing => {
                    return Begin::New(Token {
                        memory: &self.memory,
                        id,
                        digest,
                        answered: false,
                    });
                }
                Found::Answer(answer) => return Begin::Replay(answer),
                Found::Conflict => return Begin::Conflict,
                Found::Pending(first) => match first.await {
                    Ok(answer) => {
                        self.memory.count(id, Outcome::Replayed);
                        return Begin::Replay(answer);
                    }
                    Err(_) => now = Instant::now(), // the first was given up
                },
            }
        }
    }

    /// Stores the answer, and says what to answer. Without Redis it does not wait.
    pub async fn complete(&self, mut token: Token<'_>, answer: Bytes) -> Completed {
        let agreed = match &self.redis {
            None => Agreed::Own,
            // Elsewhere: every request's future would have room for it.
            Some(redis) => Box::pin(redis.agree(token.id, token.digest, &answer)).await,
        };
        let (answer, outcome) = match agreed {
            Agreed::Own => (answer, Outcome::New),
            Agreed::Unavailable => (answer, Outcome::Unavailable),
            Agreed::Theirs(theirs) => (theirs, Outcome::Replayed),
            Agreed::Conflict => {
                self.memory.count(token.id, Outcome::Conflict);
                return Completed::Conflict;
            }
        };
        self.memory.complete(token.id, &answer, outcome);
        token.answered = true;
        match outcome {
            Outcome::Replayed => Completed::Replay(answer),
            Outcome::New | Outcome::Conflict | Outcome::Unavailable => Completed::Own(answer),
        }
    }
}
