//! From the gRPC thread to the scoring threads and back: bounded, and without waiting for room.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::spawn_local,
};

use crate::{decision::Decision, engine::Failure, http::scoring::Scoring};

/// The model in service, as far as its clients must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What people call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Columns of a row.
    pub width: usize,
}

impl Facts {
    /// The facts of a model in service.
    pub fn of<S: Scoring>(scoring: &S) -> Self {
        Self {
            name: scoring.model_name().to_owned(),
            version: scoring.model_version().to_owned(),
            width: scoring.width(),
        }
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The model that scored: another one may have come into service since the request began.
    pub by: Facts,
    /// Score and decision of each row, in order.
    pub rows: Vec<Result<(f32, Decision), Failure>>,
}

/// Why a job was not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many jobs as there is room for are under way.
    Busy,
    /// No scoring thread has a model.
    NoModel,
}

struct Job {
    rows: Vec<f32>,
    reply: oneshot::Sender<Scored>,
    room: OwnedSemaphorePermit,
}

/// The end of the gRPC thread.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Vec<mpsc::Sender<Job>>,
    next: AtomicUsize,
    room: Arc<Semaphore>,
    facts: watch::Sender<Option<Arc<Facts>>>,
}

/// The end of one scoring thread.
pub struct Jobs(mpsc::Receiver<Job>);

/// A bridge to so many scoring threads, with room for so many jobs in all.
pub fn bridge(threads: usize, room: usize) -> (Bridge, Vec<Jobs>) {
    let (queues, jobs) = (0..threads)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(room.max(1));
            (sender, Jobs(receiver))
        })
        .unzip();
    let shared = Shared {
        queues,
        next: AtomicUsize::new(0),
        room: Arc::new(Semaphore::new(room)),
        facts: watch::Sender::new(None),
    };
    let bridge = Bridge {
        shared: Arc::new(shared),
    };
    (bridge, jobs)
}

impl Bridge {
    /// Says which model is in service on the scoring threads; the operator of the threads calls it after each change.
    pub fn announce(&self, facts: Option<Facts>) {
        self.shared.facts.send_replace(facts.map(Arc::new));
    }

    /// The model in service, if there is one.
    pub fn facts(&self) -> Option<Arc<Facts>> {
        self.shared.facts.borrow().clone()
    }

    /// Has rows scored by the next thread in turn. The future may be dropped: a job that has not begun is left out then.
    pub async fn score(&self, rows: Vec<f32>) -> Result<Scored, Refused> {
        let shared = &self.shared;
        let room = Arc::clone(&shared.room)
            .try_acquire_owned()
            .map_err(|_| Refused::Busy)?;
        let (reply, scored) = oneshot::channel();
        let turn = shared.next.fetch_add(1, Relaxed) % shared.queues.len().max(1);
        let queue = shared.queues.get(turn).ok_or(Refused::NoModel)?;
        let job = Job { rows, reply, room };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Busy,
            mpsc::error::TrySendError::Closed(_) => Refused::NoModel,
        })?;
        scored.await.map_err(|_| Refused::NoModel)
    }
}

impl Jobs {
    /// Scores jobs on the calling thread, inside a `LocalSet`, until the bridge is gone. `current` gives the model in service
    /// at the moment of a job; without one the job is refused.
    pub async fn run<S: Scoring + 'static>(mut self, current: impl Fn() -> Option<Rc<S>>) {
        while let Some(job) = self.0.recv().await {
            let Some(scoring) = current().filter(|_| !job.reply.is_closed()) else {
                continue;
            };
            spawn_local(score(scoring, job));
        }
    }
}

async fn score<S: Scoring>(scoring: Rc<S>, job: Job) {
    let deadline = Instant::now() + scoring.limit();
    let scores = scoring.score_rows(job.rows, deadline).await;
    let rows = scores
        .into_iter()
        .map(|score| score.map(|score| (score, scoring.decide(score))))
        .collect();
    let by = Facts::of(&*scoring);
    let _ = job.reply.send(Scored { by, rows });
    drop(job.room);
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::http::fixture::Fake;

    async fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
        LocalSet::new().run_until(work).await
    }

    #[tokio::test]
    async fn rows_are_scored_and_decided_in_order() {
        on_one_thread(async {
            let (bridge, mut jobs) = bridge(1, 4);
            spawn_local(jobs.remove(0).run(|| Some(Rc::new(Fake::new()))));
            let rows = [Fake::row(0.05), Fake::row(0.7)].concat();
            let expected = vec![Ok((0.05, Decision::Approve)), Ok((0.7, Decision::Block))];
            let scored = bridge.score(rows).await.unwrap();
            assert_eq!(scored.rows, expected);
            assert_eq!(scored.by, Facts::of(&Fake::new()));
        })
        .await;
    }

    #[tokio::test]
    async fn more_jobs_than_room_are_refused_at_once_and_room_comes_back() {
        on_one_thread(async {
            let (bridge, mut jobs) = bridge(1, 2);
            let waiting: Vec<_> = (0..2)
                .map(|_| {
                    let bridge = bridge.clone();
                    spawn_local(async move { bridge.score(Fake::row(0.2)).await })
                })
                .collect();
            tokio::task::yield_now().await;
            assert_eq!(bridge.score(Fake::row(0.2)).await, Err(Refused::Busy));
            spawn_local(jobs.remove(0).run(|| Some(Rc::new(Fake::new()))));
            for one in waiting {
                assert!(one.await.unwrap().is_ok());
            }
            assert!(bridge.score(Fake::row(0.2)).await.is_ok());
        })
        .await;
    }

    #[tokio::test]
    async fn a_thread_without_a_model_refuses() {
        on_one_thread(async {
            let (bridge, mut jobs) = bridge(1, 2);
            spawn_local(jobs.remove(0).run(|| None::<Rc<Fake>>));
            assert_eq!(bridge.score(Fake::row(0.2)).await, Err(Refused::NoModel));
            let (bridge, jobs) = super::bridge(1, 2);
            drop(jobs);
            assert_eq!(bridge.score(Fake::row(0.2)).await, Err(Refused::NoModel));
        })
        .await;
    }

    #[tokio::test]
    async fn a_job_whose_client_went_away_gives_its_room_back() {
        on_one_thread(async {
            let (bridge, mut jobs) = bridge(1, 1);
            let impatient = tokio::time::timeout(std::time::Duration::ZERO, bridge.score(Fake::row(0.2)));
            assert!(impatient.await.is_err());
            let fake = Rc::new(Fake::new());
            let model = Rc::clone(&fake);
            spawn_local(jobs.remove(0).run(move || Some(Rc::clone(&model))));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert_eq!(fake.calls(), 0, "nobody waits for that score");
            assert!(bridge.score(Fake::row(0.2)).await.is_ok());
        })
        .await;
    }
}
