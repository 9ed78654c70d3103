use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{task::LocalSet, time::timeout};

use super::*;
use crate::engine::EngineError;

/// Answers with the row's only value; a value of -2 makes it fail, -3 panic, -4 lose an answer.
struct Echo {
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Engine for Echo {
    fn width(&self) -> usize {
        1
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        self.batches.lock().unwrap().push(rows.len());
        assert!(!rows.contains(&-3.0), "told to panic");
        if rows.contains(&-2.0) {
            return Err(EngineError("told to fail".into()));
        }
        scores.extend_from_slice(rows);
        if rows.contains(&-4.0) {
            scores.pop();
        }
        Ok(())
    }
}

fn put(value: f32) -> impl FnOnce(&mut [f32]) -> Result<(), Infallible> {
    move |row| {
        row[0] = value;
        Ok(())
    }
}

fn on_one_thread<F: Future<Output = ()>>(test: impl FnOnce(Rc<Batcher>, Arc<Mutex<Vec<usize>>>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let batches = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(LocalSet::new().run_until(async {
        let engine = Box::new(Echo {
            batches: Arc::clone(&batches),
        });
        let batcher = Rc::new(Batcher::start(engine, Arc::default()));
        timeout(Duration::from_secs(10), test(batcher, batches.clone()))
            .await
            .expect("the queue is stuck");
    }));
}

async fn score(batcher: &Batcher, value: f32) -> Score {
    batcher.score(put(value)).await.expect("filling cannot fail")
}

#[test]
fn requests_that_wait_together_share_one_call_of_at_most_64_rows() {
    on_one_thread(|batcher, batches| async move {
        let tasks: Vec<_> = (0..150)
            .map(|i| {
                let batcher = Rc::clone(&batcher);
                spawn_local(async move { score(&batcher, i as f32 / 150.0).await })
            })
            .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Ok(i as f32 / 150.0));
        }
        assert_eq!(*batches.lock().unwrap(), [64, 64, 22]);
    });
}

#[test]
fn a_client_that_leaves_before_its_row_is_taken_wedges_nobody_and_is_not_scored() {
    on_one_thread(|batcher, batches| async move {
        for _ in 0..3 {
            let mut gone = Box::pin(score(&batcher, 0.1));
            assert!(futures::poll!(&mut gone).is_pending());
            drop(gone);
            assert_eq!(score(&batcher, 0.2).await, Ok(0.2));
        }
        assert_eq!(*batches.lock().unwrap(), [1, 1, 1]);
    });
}

#[test]
fn a_client_that_leaves_at_any_later_turn_wedges_nobody() {
    on_one_thread(|batcher, _| async move {
        for turns in 0..6 {
            let mut gone = Box::pin(score(&batcher, 0.1));
            for _ in 0..turns {
                let _ = futures::poll!(&mut gone);
                yield_now().await;
                if batcher.queue.waiting.borrow().is_empty() {
                    break;
                }
            }
            drop(gone);
            assert_eq!(score(&batcher, 0.2).await, Ok(0.2));
        }
    });
}

#[test]
fn a_row_that_could_not_be_filled_leaves_no_trace() {
    on_one_thread(|batcher, _| async move {
        let refused: Result<Score, &str> = batcher.score(|_| Err("bad request")).await;
        assert_eq!(refused, Err("bad request"));
        let panicking = Rc::clone(&batcher);
        let fill = |_: &mut [f32]| -> Result<(), Infallible> { panic!("told to panic") };
        assert!(
            spawn_local(async move { panicking.score(fill).await })
                .await
                .unwrap_err()
                .is_panic()
        );
        assert_eq!(score(&batcher, 0.3).await, Ok(0.3));
    });
}

#[test]
fn a_failing_or_panicking_engine_fails_its_batch_and_lives_on() {
    on_one_thread(|batcher, _| async move {
        for poison in [-2.0, -3.0, -4.0] {
            assert_eq!(score(&batcher, poison).await, Err(Failure::Engine), "{poison}");
            assert_eq!(score(&batcher, 0.4).await, Ok(0.4));
        }
    });
}

#[test]
fn what_is_no_probability_is_a_failure_of_its_row_only() {
    on_one_thread(|batcher, _| async move {
        let (nan, high, good) = tokio::join!(
            score(&batcher, f32::NAN),
            score(&batcher, 1.5),
            score(&batcher, 0.5)
        );
        assert_eq!(
            (nan, high, good),
            (
                Err(Failure::NotAProbability),
                Err(Failure::NotAProbability),
                Ok(0.5)
            )
        );
        assert_eq!(score(&batcher, -0.1).await, Err(Failure::NotAProbability));
        assert_eq!(
            score(&batcher, f32::INFINITY).await,
            Err(Failure::NotAProbability)
        );
    });
}

#[test]
fn a_probability_that_was_rounded_over_its_edge_is_one_and_not_a_failure() {
    on_one_thread(|batcher, _| async move {
        assert_eq!(score(&batcher, 1.000_000_1).await, Ok(1.0));
        assert_eq!(score(&batcher, -1e-7).await, Ok(0.0));
        assert_eq!(score(&batcher, 1.001).await, Err(Failure::NotAProbability));
    });
}

#[test]
fn dropping_the_batcher_ends_its_task() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    struct Tell;
    impl Engine for Tell {
        fn width(&self) -> usize {
            1
        }
        fn score(&mut self, _: &[f32], _: &mut Vec<f32>) -> Result<(), EngineError> {
            Ok(())
        }
    }
    impl Drop for Tell {
        fn drop(&mut self) {
            ENDED.fetch_add(1, Ordering::SeqCst);
        }
    }
    on_one_thread(|_, _| async move {
        drop(Batcher::start(Box::new(Tell), Arc::default()));
        while ENDED.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
    });
}
