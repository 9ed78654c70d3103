//! Waiting for a fact, never for a time.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Asks `observe` until it gives `Ok(Ok(value))`; what it saw last (`Ok(Err(seen))`) is in the error after `limit`. A wait of
/// over a second is printed: the waits are what a test on a cluster takes its time for.
pub async fn until<T, F>(what: &str, limit: Duration, mut observe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Result<T, String>>>,
{
    let begun = Instant::now();
    let end = begun + limit;
    loop {
        match observe().await? {
            Ok(value) => {
                let waited = begun.elapsed();
                if waited > Duration::from_secs(1) {
                    println!("{:5.1} s until {what}", waited.as_secs_f64());
                }
                return Ok(value);
            }
            Err(seen) if Instant::now() >= end => bail!("not within {limit:?}: {what}. Last seen: {seen}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}

/// For [`until`]: whether a fact holds, and what is seen while it does not.
pub fn holds(fact: bool, seen: impl Debug) -> Result<Result<(), String>> {
    Ok(if fact { Ok(()) } else { Err(format!("{seen:?}")) })
}
