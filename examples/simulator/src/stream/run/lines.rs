//! Transactions as lines of JSON.

use std::{
    io::{self, BufWriter, Write},
    time::Instant,
};

use crate::{
    payload::Payload,
    stream::{
        StreamError,
        stats::{Shared, lock},
        turnstile::Turnstile,
    },
};

/// Lines between two looks at signals and reports, when nothing has to be waited for.
const YIELD_EVERY: u64 = 256;

/// Writes every transaction when it is due.
pub(super) async fn write(
    turnstile: &Turnstile,
    payload: &Payload,
    stats: &Shared,
) -> Result<(), StreamError> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut since_yield = 0;
    while let Some(due) = turnstile.next().await.map_err(StreamError::System)? {
        let transaction = &due.step.transaction;
        let mut line = payload.predict(transaction);
        line.push(b'\n');
        out.write_all(&line).map_err(output)?;
        lock(stats).sent(transaction, due.at, Instant::now());
        since_yield += 1;
        if turnstile.is_paced() || since_yield >= YIELD_EVERY {
            if turnstile.is_paced() {
                out.flush().map_err(output)?;
            }
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
    out.flush().map_err(output)
}

fn output(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::ReaderGone,
        _ => StreamError::Output(error),
    }
}
