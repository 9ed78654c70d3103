//! A constant open-loop load: a request is due at its time, whether or not earlier ones were answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::Caller;

/// More requests than this under way at once are not started, but counted as failed.
const IN_FLIGHT: usize = 2048;
/// The longest that a load runs, whatever the test does.
const LONGEST: Duration = Duration::from_secs(360);

/// What became of one request.
struct Sample {
    latency: Duration,
    outcome: Result<String, String>,
    /// The model failed on it, and `onModelError` decided.
    fallback: bool,
}

/// A running load; ends with [`Load::stop`], or by itself after six minutes.
pub struct Load {
    stop: watch::Sender<bool>,
    task: JoinHandle<Report>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

/// What a load saw from its first to its last request.
#[derive(Debug)]
pub struct Report {
    /// Requests sent.
    pub requests: usize,
    /// One line for each request without a 200 and a `model_version`.
    pub failures: Vec<String>,
    /// The versions that answered, in the order in which each was first and last seen.
    pub versions: Vec<String>,
    /// Answers that `onModelError` gave because the model failed, by version.
    pub fallbacks: BTreeMap<String, usize>,
    /// Answers by version.
    pub answers: BTreeMap<String, usize>,
    /// 99th percentile of the latency.
    pub p99: Duration,
    /// The slowest request.
    pub slowest: Duration,
}

impl Report {
    /// Fails the test when a request failed.
    #[track_caller]
    pub fn no_request_failed(&self) {
        let (failed, first) = (self.failures.len(), self.failures.first());
        assert!(
            first.is_none(),
            "{failed} of {} failed, first: {first:?}",
            self.requests
        );
    }
}

impl Load {
    /// Sends `transaction` `rate` times a second.
    pub fn start(caller: Caller, transaction: Vec<u8>, rate: u32) -> Self {
        Self::of_many(caller, vec![transaction], rate)
    }

    /// Sends `transactions` in turn, `rate` a second.
    pub fn of_many(caller: Caller, transactions: Vec<Vec<u8>>, rate: u32) -> Self {
        let (stop, stopped) = watch::channel(false);
        let samples = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(drive(caller, transactions, rate, stopped, samples.clone()));
        Self { stop, task, samples }
    }

    /// The number of requests that were answered (or failed) so far.
    pub fn answered(&self) -> usize {
        lock(&self.samples).len()
    }

    /// Ends the load, waits for the requests under way, and reports.
    pub async fn stop(self) -> Result<Report> {
        let ran_to_its_limit = self.stop.send(true).is_err();
        let report = self.task.await?;
        ensure!(
            !ran_to_its_limit,
            "the load ended by itself after {LONGEST:?}, before the test was done"
        );
        Ok(report)
    }
}

async fn drive(
    caller: Caller,
    transactions: Vec<Vec<u8>>,
    rate: u32,
    mut stopped: watch::Receiver<bool>,
    samples: Arc<Mutex<Vec<Sample>>>,
) -> Report {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let end = Instant::now() + LONGEST;
    let mut due = interval(Duration::from_secs(1) / rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    let mut transactions = (1..).zip(transactions.iter().cycle());
    while !*stopped.borrow() && Instant::now() < end {
        tokio::select! {
            _ = due.tick() => {}
            _ = stopped.changed() => break,
        }
        while requests.try_join_next().is_some() {}
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            let outcome = Err(format!("not sent: {IN_FLIGHT} requests were under way"));
            lock(&samples).push(Sample {
                latency: Duration::ZERO,
                outcome,
                fallback: false,
            });
            continue;
        };
        let transaction = transactions
            .next()
            .map(|(id, body)| numbered(body, id))
            .unwrap_or_default();
        let (caller, samples) = (caller.clone(), samples.clone());
        requests.spawn(async move {
            let sample = ask(&caller, &transaction).await;
            lock(&samples).push(sample);
            drop(slot);
        });
    }
    while requests.join_next().await.is_some() {}
    report(&lock(&samples))
}

/// The transaction under an id of its own: one that is sent again would get its first answer again.
fn numbered(transaction: &[u8], id: u64) -> Vec<u8> {
    match serde_json::from_slice::<Value>(transaction) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("TRANSACTION_ID".into(), id.into());
            Value::Object(fields).to_string().into_bytes()
        }
        _ => transaction.to_vec(),
    }
}

async fn ask(caller: &Caller, transaction: &[u8]) -> Sample {
    let start = Instant::now();
    let mut fallback = false;
    let outcome = match caller.predict(transaction).await {
        Err(error) => Err(format!("{error:#}")),
        Ok(answer) => match answer.body["model_version"].as_str() {
            Some(version) if answer.status == 200 => {
                fallback = answer.body["model_error"] == true;
                Ok(version.to_owned())
            }
            _ => Err(format!("HTTP {} {}", answer.status, answer.body)),
        },
    };
    Sample {
        latency: start.elapsed(),
        outcome,
        fallback,
    }
}

fn report(samples: &[Sample]) -> Report {
    let mut latencies: Vec<_> = samples.iter().map(|s| s.latency).collect();
    latencies.sort_unstable();
    let mut versions: Vec<String> = samples
        .iter()
        .filter_map(|s| s.outcome.as_ref().ok().cloned())
        .collect();
    let count = |keep: fn(&Sample) -> bool| {
        let mut counts = BTreeMap::new();
        for version in samples
            .iter()
            .filter(|s| keep(s))
            .filter_map(|s| s.outcome.as_ref().ok())
        {
            *counts.entry(version.clone()).or_default() += 1;
        }
        counts
    };
    let (answers, fallbacks) = (count(|_| true), count(|sample| sample.fallback));
    versions.dedup();
    Report {
        requests: samples.len(),
        failures: samples
            .iter()
            .filter_map(|s| s.outcome.as_ref().err().cloned())
            .collect(),
        versions,
        fallbacks,
        answers,
        p99: latencies
            .get(latencies.len() * 99 / 100)
            .copied()
            .unwrap_or_default(),
        slowest: latencies.last().copied().unwrap_or_default(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, outcome: Result<&str, &str>) -> Sample {
        Sample {
            latency: Duration::from_millis(millis),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
            fallback: millis == 3,
        }
    }

    #[test]
    fn a_report_keeps_every_failure_and_the_order_of_versions() {
        let samples = [
            sample(1, Ok("v1")),
            sample(9, Err("HTTP 404")),
            sample(2, Ok("v1")),
            sample(3, Ok("v2")),
        ];
        let report = report(&samples);
        assert_eq!(
            (report.requests, report.failures),
            (4, vec!["HTTP 404".to_owned()])
        );
        assert_eq!(report.versions, ["v1", "v2"]);
        assert_eq!(report.fallbacks, [("v2".to_owned(), 1)].into());
        assert_eq!(
            report.answers,
            [("v1".to_owned(), 2), ("v2".to_owned(), 1)].into()
        );
        assert_eq!(
            (report.p99, report.slowest),
            (Duration::from_millis(9), Duration::from_millis(9))
        );
    }
}
