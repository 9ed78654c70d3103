//! From the first transaction to the summary.

mod lines;
mod worker;

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Pace, Scorer, Sink, Stream, StreamError, Summary,
    connection::Connection,
    feedback, metrics,
    report::Report,
    stats::{Shared, Stats, lock},
    turnstile::Turnstile,
};
use worker::Worker;

/// How often the stream looks whether it should give up, and draws its bar.
const TICK: Duration = Duration::from_millis(100);
/// How long the last labels may take.
const LAST_LABELS: Duration = Duration::from_secs(10);

/// Sends the stream on this thread, until it ends, is interrupted (SIGINT, SIGTERM) or gives up. Reports go to the
/// standard error.
pub fn run(stream: Stream) -> Result<Summary, StreamError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(StreamError::System)?.block_on(run_here(stream))
}

async fn run_here(stream: Stream) -> Result<Summary, StreamError> {
    let stop = CancellationToken::new();
    stop_at_signals(&stop).map_err(StreamError::System)?;
    let stats = Arc::new(Mutex::new(Stats::new(Instant::now())));
    if let Some(address) = stream.metrics {
        let listener = metrics::listen(address).await;
        let listener = listener.map_err(|source| StreamError::Metrics { address, source })?;
        tokio::spawn(metrics::serve(listener, Arc::clone(&stats)));
    }
    let mut report = Report::new(length(&stream), stream.interval, Instant::now());
    let turnstile = Turnstile::new(
        stream.feed,
        stream.pace,
        stream.limit,
        stream.duration,
        stop.clone(),
    )
    .map_err(StreamError::System)?;
    let watch = Watch {
        stats: Arc::clone(&stats),
        stop,
        give_up: None,
    };
    let ended = match stream.sink {
        Sink::Stdout => {
            let writing = lines::write(&turnstile, &stream.payload, &stats);
            watch.over(writing, &mut report).await.0
        }
        Sink::Scorer(scorer) => ask(*scorer, turnstile, stream.payload, watch, &mut report).await,
    };
    let summary = Summary::of(&lock(&stats), Instant::now());
    report.finish(&summary);
    ended.map(|()| summary)
}

async fn ask(
    scorer: Scorer,
    turnstile: Turnstile,
    payload: crate::payload::Payload,
    mut watch: Watch,
    report: &mut Report,
) -> Result<(), StreamError> {
    let to = scorer.endpoint.url().to_owned();
    let endpoint = Arc::new(scorer.endpoint.clone());
    let connection = || Connection::new(Arc::clone(&endpoint), scorer.timeout);
    let mut connections: Vec<Connection> = (0..scorer.connections).map(|_| connection()).collect();
    for connection in &mut connections {
        let connected = connection.connect().await;
        connected.map_err(|failure| StreamError::Unreachable {
            to: to.clone(),
            failure,
        })?;
    }
    let (labels, receiver) = mpsc::channel(feedback::CAPACITY);
    let feedback = tokio::spawn(feedback::send(receiver, connection(), Arc::clone(&watch.stats)));
    watch.give_up = Some(scorer.give_up);
    let stats = Arc::clone(&watch.stats);
    let worker = Arc::new(Worker::new(&scorer, turnstile, payload, &watch, labels));
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(Arc::clone(&worker).work(connection));
    }
    drop(worker);
    let (ended, gave_up) = watch.over(join(workers), report).await;
    lock(&stats).ended = Some(Instant::now());
    // The workers have gone, and with them what labels are sent into: what is left is sent, or lost with the runtime.
    let _ = tokio::time::timeout(LAST_LABELS, feedback).await;
    ended?;
    if let Some(failure) = gave_up {
        let after = scorer.give_up;
        return Err(StreamError::GaveUp { to, after, failure });
    }
    let stats = lock(&stats);
    match &stats.last_failure {
        Some(failure) if stats.answers() == 0 => Err(StreamError::NothingAnswered {
            to,
            failure: failure.clone(),
        }),
        _ => Ok(()),
    }
}

async fn join(mut workers: JoinSet<io::Result<()>>) -> Result<(), StreamError> {
    while let Some(ended) = workers.join_next().await {
        ended
            .map_err(io::Error::other)
            .flatten()
            .map_err(StreamError::System)?;
    }
    Ok(())
}

/// Looks after a stream while it runs.
struct Watch {
    stats: Shared,
    stop: CancellationToken,
    give_up: Option<Duration>,
}

impl Watch {
    /// Reports until the work has ended, and stops it when nothing but failures came for too long. The failure that
    /// made it give up is answered.
    async fn over<T>(self, work: impl Future<Output = T>, report: &mut Report) -> (T, Option<Failure>) {
        let mut gave_up = None;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                ended = &mut work => return (ended, gave_up),
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            let stats = lock(&self.stats);
            report.progress(&stats, now);
            if gave_up.is_none()
                && let Some(failure) = self.give_up.and_then(|after| stats.given_up(after))
            {
                gave_up = Some(failure.clone());
                self.stop.cancel();
            }
        }
    }
}

/// Transactions that will be sent, as far as that is known.
fn length(stream: &Stream) -> u64 {
    let by_time = match (stream.pace, stream.duration) {
        (Pace::Rate(rate), Some(duration)) => (rate * duration.as_secs_f64()) as u64,
        _ => u64::MAX,
    };
    let left = stream.feed.remaining() as u64;
    left.min(stream.limit.unwrap_or(u64::MAX)).min(by_time)
}

fn stop_at_signals(stop: &CancellationToken) -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signal = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signal.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}
