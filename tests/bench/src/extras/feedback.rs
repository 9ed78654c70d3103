//! What labels cost the payments that are scored at the same time.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Extras, Row, row};
use crate::{bench::median, client::Client, steady::Latency, subjects::ours};

/// Labels of one request, and how often one is sent: 1,000 labels a second, one for every second payment.
const LABELS: usize = 100;
const GAP: Duration = Duration::from_millis(100);
impl Extras<'_> {
    /// Latency at the constant rate with labels beside it, against the same without.
    pub(super) fn feedback(&self) -> Result<Row> {
        let rounds = (0..self.bench.plan.rounds)
            .map(|_| Ok((self.beside_labels(true)?, self.beside_labels(false)?)))
            .collect::<Result<Vec<_>>>()?;
        let ratio = |of: fn(&Latency) -> Duration| {
            median(
                rounds
                    .iter()
                    .map(|(with, without)| of(with).as_secs_f64() / of(without).as_secs_f64()),
            )
        };
        let figure = format!(
            "{:.2}× / {:.2}×",
            ratio(|found| found.p50),
            ratio(|found| found.p99)
        );
        Ok(row(
            "p50 / p99 at 2,000 req/s beside 1,000 labels/s, against none",
            figure,
            "≤ 1.05×",
        ))
    }

    fn beside_labels(&self, labels: bool) -> Result<Latency> {
        let subject = ours(self.scorer, &self.plain());
        let bench = self.bench;
        let process = bench.start(&subject.command, &bench.cores.one, &subject)?;
        let address = process.address;
        // The load warms up first, and a second goes by before it counts.
        let requests = (bench.plan.steady + Duration::from_secs(3)).as_millis() / GAP.as_millis();
        let bodies = self.labels(address, usize::try_from(requests)?)?;
        let over = AtomicBool::new(false);
        let found = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                if labels {
                    send(address, &bodies, &over)
                } else {
                    Ok(())
                }
            });
            let found = bench.steady(address);
            over.store(true, Relaxed);
            sender
                .join()
                .map_err(|_| anyhow!("the labels' thread panicked"))??;
            found
        })?;
        process.stop()?;
        Ok(found)
    }

    /// Bodies of `POST /feedback`, each with other labels for answers that were given before.
    fn labels(&self, address: SocketAddr, count: usize) -> Result<Vec<String>> {
        let mut client = Client::connect(address)?;
        let time = Timestamp::now().to_string();
        let batches = self.bench.payloads.batches(LABELS, count).into_iter();
        let bodies = batches.map(|batch| {
            ensure!(client.post("/predict/batch", &batch)? == 200, "no receipts");
            let answers: Vec<Value> = serde_json::from_slice(client.body())?;
            let labels = answers.iter().map(|answer| {
                let receipt = answer["receipt"].as_str().context("no receipt")?;
                let label = if answer["decision"] == "block" {
                    "fraud"
                } else {
                    "genuine"
                };
                Ok(json!({ "receipt": receipt, "label": label, "time": time, "source": "chargeback" }))
            });
            Ok(Value::from(labels.collect::<Result<Vec<_>>>()?).to_string())
        });
        bodies.collect()
    }
}

/// One body after the other at its time, until the measurement is over.
fn send(address: SocketAddr, bodies: &[String], over: &AtomicBool) -> Result<()> {
    let mut client = Client::connect(address)?;
    let begin = Instant::now();
    for (turn, body) in (0_u32..).zip(bodies) {
        thread::sleep((begin + GAP * turn).saturating_duration_since(Instant::now()));
        if over.load(Relaxed) {
            return Ok(());
        }
        let status = client.post("/feedback", body)?;
        let answer: Value = serde_json::from_slice(client.body())?;
        ensure!(
            status == 200 && answer["counted"] == LABELS,
            "HTTP {status} {answer}"
        );
    }
    ensure!(
        over.load(Relaxed),
        "the labels were at an end before the measurement"
    );
    Ok(())
}
