//! Connects to Redis in the background, and again whenever the connection was given up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};

use super::{Shared, settings::told};

/// Time for a connection to be made, its login included.
const CONNECT: Duration = Duration::from_secs(1);
/// Pause before the first new attempt: no more than one attempt in each second.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the thread connected, for ever.
pub async fn keep(shared: Arc<Shared>) {
    let (mut pause, mut last) = (PAUSE, None);
    loop {
        match attempt(&shared).await {
            Ok(connection) => {
                tracing::info!("connected to Redis: answers are shared among pods");
                let since = Instant::now();
                last = None;
                shared.connect(connection);
                shared.broken.notified().await;
                // One that breaks again and again is left alone for longer and longer.
                pause = if since.elapsed() < LONGEST_PAUSE {
                    (pause * 2).min(LONGEST_PAUSE)
                } else {
                    PAUSE
                };
                sleep(pause).await;
            }
            Err(why) => {
                if last.as_ref() != Some(&why) {
                    tracing::warn!(why, "cannot connect to Redis: answers are not shared among pods");
                    last = Some(why);
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A connection that has just answered within the time that a command may take.
async fn attempt(shared: &Shared) -> Result<MultiplexedConnection, String> {
    let limit = shared.settings.timeout();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None); // every command has a limit of its own
    let client = shared.settings.client();
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let connected = timeout(CONNECT, connecting).await;
    let mut connection = connected
        .map_err(|_| format!("no connection within {CONNECT:?}"))?
        .map_err(|error| told(&error))?;
    let ping = async { ::redis::cmd("PING").query_async::<String>(&mut connection).await };
    let answered: Result<String, RedisError> = timeout(limit, ping)
        .await
        .map_err(|_| format!("no answer within {limit:?}"))?;
    answered.map(|_| connection).map_err(|error| told(&error))
}
