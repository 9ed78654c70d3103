use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    task::LocalSet,
    time::{pause, timeout},
};

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
    with_settings(Settings::default(), test);
}

fn with_settings<F: Future<Output = ()>>(
    settings: Settings,
    test: impl FnOnce(Rc<Batcher>, Arc<Mutex<Vec<usize>>>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let batches = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(LocalSet::new().run_until(async {
        let engine = Box::new(Echo {
            batches: Arc::clone(&batches),
        });
        let batcher = Rc::new(Batcher::start_with(engine, Arc::default(), settings));
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
fn a_row_that_makes_the_engine_fail_fails_alone() {
    on_one_thread(|batcher, batches| async move {
        for poison in [-2.0, -3.0, -4.0] {
            batches.lock().unwrap().clear();
            let poisoned = [poison];
            let (before, bad, after) = tokio::join!(
                score(&batcher, 0.1),
                batcher.score_row(&poisoned, None),
                batcher.score_rows(&[0.2, 0.3], None),
            );
            assert_eq!((before, bad), (Ok(0.1), Err(Failure::Engine)), "{poison}");
            assert_eq!(after, [Ok(0.2), Ok(0.3)]);
            assert_eq!(*batches.lock().unwrap(), [4, 1, 1, 2]);
        }
    });
}

#[test]
fn a_row_whose_deadline_has_passed_is_not_scored() {
    on_one_thread(|batcher, batches| async move {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let (late, good) = tokio::join!(
            batcher.score_row(&[0.1], Some(now)),
            batcher.score_row(&[0.2], Some(later))
        );
        assert_eq!((late, good), (Err(Failure::Deadline), Ok(0.2)));
        assert_eq!(
            batcher.score_rows(&[0.1; 3], Some(now)).await,
            [Err(Failure::Deadline); 3]
        );
        assert_eq!(*batches.lock().unwrap(), [1]);
        assert_eq!(batcher.waiting(), 0);
    });
}

#[test]
fn past_the_limit_of_the_queue_nothing_is_taken() {
    let settings = Settings {
        queue: 3,
        ..Settings::default()
    };
    with_settings(settings, |batcher, batches| async move {
        let rows = |count: usize| vec![0.5; count];
        let (three, rows) = (rows(3), rows(2));
        let (first, second, third) = tokio::join!(
            batcher.score_rows(&rows, None),
            batcher.score_rows(&rows, None),
            batcher.score_row(&[0.25], None)
        );
        assert_eq!(first, [Ok(0.5); 2]);
        assert_eq!(second, [Err(Failure::Overloaded); 2], "only as a whole");
        assert_eq!(third, Ok(0.25), "there was room for one");
        assert_eq!(*batches.lock().unwrap(), [3]);
        assert_eq!(batcher.score_rows(&three, None).await, [Ok(0.5); 3]);
        let mut called = false;
        let mut filled = Box::pin(batcher.score_rows(&three, None));
        assert!(futures::poll!(&mut filled).is_pending());
        let refused = batcher.score(|_| {
            called = true;
            Ok::<_, Infallible>(())
        });
        assert_eq!(refused.await, Ok(Err(Failure::Overloaded)));
        assert!(!called);
    });
}

#[test]
fn rows_of_another_width_fail_and_leave_no_trace() {
    on_one_thread(|batcher, batches| async move {
        assert_eq!(batcher.score_row(&[0.1, 0.2], None).await, Err(Failure::Engine));
        assert_eq!(batcher.score_row(&[], None).await, Err(Failure::Engine));
        assert!(batcher.score_rows(&[], None).await.is_empty());
        assert_eq!(score(&batcher, 0.3).await, Ok(0.3));
        assert_eq!(*batches.lock().unwrap(), [1]);
    });
}

#[test]
fn the_rows_of_a_large_request_take_turns_with_others() {
    on_one_thread(|batcher, batches| async move {
        let rows: Vec<f32> = (0..150).map(|i| i as f32 / 150.0).collect();
        let large = {
            let (batcher, rows) = (Rc::clone(&batcher), rows.clone());
            spawn_local(async move { batcher.score_rows(&rows, None).await })
        };
        let small = spawn_local(async move { score(&batcher, 0.5).await });
        assert_eq!(small.await.unwrap(), Ok(0.5));
        let expected: Vec<Score> = rows.into_iter().map(Ok).collect();
        assert_eq!(large.await.unwrap(), expected);
        assert_eq!(*batches.lock().unwrap(), [64, 1, 64, 22]);
    });
}

#[test]
fn a_model_that_fails_leaves_service_and_comes_back_by_itself() {
    struct Sick(Arc<AtomicUsize>);
    impl Engine for Sick {
        fn width(&self) -> usize {
            1
        }
        fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
            if self.0.fetch_add(1, Ordering::SeqCst) < 8 {
                return Err(EngineError("sick".into()));
            }
            scores.resize(rows.len(), 0.5);
            Ok(())
        }
    }
    let calls = Arc::new(AtomicUsize::new(0));
    on_one_thread(|_, _| async move {
        pause();
        let settings = Settings::default();
        let pulse = Arc::clone(&settings.pulse);
        let batcher = Batcher::start_with(Box::new(Sick(Arc::clone(&calls))), Arc::default(), settings);
        for failures in 0..5 {
            assert!(!pulse.is_failing(), "{failures}");
            assert_eq!(batcher.score_row(&[0.0], None).await, Err(Failure::Engine));
        }
        assert!(pulse.is_failing());
        // No request comes any more: the queue tries by itself.
        tokio::time::sleep(RETRY * 5).await;
        assert!(!pulse.is_failing());
        assert_eq!(calls.load(Ordering::SeqCst), 9);
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
