use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    thread::sleep,
};

use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::{
    decision::Thresholds,
    engine::{
        Batcher, Engine, EngineError, MAX_BATCH, Settings,
        pair::{Arm, Companion, Control, Evidence, PairCounters, Totals},
    },
    model::Profile,
};

use super::*;

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Answers with the row's only value, and writes its name into the log.
struct Echo(&'static str, Log);

impl Engine for Echo {
    fn width(&self) -> usize {
        1
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        self.1.lock().unwrap().push(self.0);
        scores.extend_from_slice(rows);
        Ok(())
    }
}

/// A companion that does something else to its rows.
struct Odd<F>(F);

impl<F: FnMut(&[f32], &mut Vec<f32>) -> Result<(), EngineError> + Send> Engine for Odd<F> {
    fn width(&self) -> usize {
        1
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        self.0(rows, scores)
    }
}

fn run<F: Future<Output = ()>>(
    companion: Box<dyn Engine>,
    control: Arc<Control>,
    log: &Log,
    test: impl FnOnce(Rc<Batcher>) -> F,
) -> Totals {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let counters = PairCounters::new(
        &[Profile {
            deciles: Some([0.5; 9]),
            ..Profile::default()
        }],
        Thresholds::new(0.1, 0.5).unwrap(),
        Arm::Candidate,
        1,
    );
    let settings = Settings {
        evidence: Some(Evidence {
            recorder: counters.recorder(0),
            companion: Some(Companion {
                engine: companion,
                control,
            }),
        }),
        ..Settings::default()
    };
    let main = Box::new(Echo("main", Arc::clone(log)));
    runtime.block_on(LocalSet::new().run_until(async {
        let batcher = Rc::new(Batcher::start_with(main, Arc::default(), settings));
        test(Rc::clone(&batcher)).await;
        for _ in 0..2000 {
            yield_now().await;
        }
    }));
    counters.totals()
}

fn pairs(totals: &Totals) -> u64 {
    totals.tables[0].iter().sum()
}

#[test]
fn the_companion_scores_the_same_rows_after_the_answer() {
    let log = Log::default();
    let companion = Box::new(Echo("companion", Arc::clone(&log)));
    let totals = run(companion, Control::always(), &log, |batcher| {
        let log = Arc::clone(&log);
        async move {
            assert_eq!(batcher.score_row(&[0.7], None).await, Ok(0.7));
            log.lock().unwrap().push("answered");
        }
    });
    assert_eq!(*log.lock().unwrap(), ["main", "answered", "companion"]);
    assert_eq!(totals.tables, [[0, 0, 0, 1], [0, 0, 0, 1]]);
}

#[test]
fn extra_rows_and_failed_rows_are_neither_paired_nor_counted() {
    let log = Log::default();
    let companion = Box::new(Echo("companion", Arc::clone(&log)));
    let totals = run(companion, Control::always(), &log, |batcher| async move {
        let (payment, bad, extra) = tokio::join!(
            batcher.score_row(&[0.7], None),
            batcher.score_row(&[7.0], None),
            batcher.score_extra(&[0.1, 0.2], None)
        );
        assert_eq!(
            (payment, bad.is_err(), extra),
            (Ok(0.7), true, vec![Ok(0.1), Ok(0.2)])
        );
    });
    assert_eq!((pairs(&totals), totals.bins[0].iter().sum::<u64>()), (1, 1));
}

#[test]
fn all_rows_of_large_batches_are_paired_in_the_end() {
    let log = Log::default();
    let companion = Box::new(Echo("companion", Arc::clone(&log)));
    let totals = run(companion, Control::always(), &log, |batcher| async move {
        for _ in 0..3 {
            let rows = [0.3; MAX_BATCH];
            assert_eq!(batcher.score_rows(&rows, None).await.len(), MAX_BATCH);
        }
    });
    let expected = 3 * MAX_BATCH as u64;
    assert_eq!(pairs(&totals) + totals.skipped, expected);
    assert!(pairs(&totals) >= MAX_BATCH as u64, "{totals:?}");
    assert_eq!(
        totals.bins[0].iter().sum::<u64>(),
        expected,
        "features are counted whatever becomes of the pairs"
    );
}

#[test]
fn a_companion_that_is_switched_off_is_not_called() {
    let log = Log::default();
    let directory = tempfile::tempdir().unwrap();
    let control = Control::watch(directory.path().join("absent")).unwrap();
    let companion = Box::new(Echo("companion", Arc::clone(&log)));
    let totals = run(companion, control, &log, |batcher| async move {
        assert_eq!(batcher.score_row(&[0.7], None).await, Ok(0.7));
    });
    assert_eq!(*log.lock().unwrap(), ["main"]);
    assert_eq!((pairs(&totals), totals.bins[0].iter().sum::<u64>()), (0, 1));
}

#[test]
fn a_failing_panicking_or_lying_companion_is_counted_and_touches_no_answer() {
    let fail = |_: &[f32], _: &mut Vec<f32>| Err(EngineError("told to fail".into()));
    let panic = |_: &[f32], _: &mut Vec<f32>| -> Result<(), EngineError> { panic!("told to panic") };
    let lose = |_: &[f32], _: &mut Vec<f32>| Ok(());
    let lie = |rows: &[f32], scores: &mut Vec<f32>| {
        scores.extend(rows.iter().map(|_| f32::NAN));
        Ok(())
    };
    let odd: [Box<dyn Engine>; 4] = [
        Box::new(Odd(fail)),
        Box::new(Odd(panic)),
        Box::new(Odd(lose)),
        Box::new(Odd(lie)),
    ];
    for companion in odd {
        let totals = run(
            companion,
            Control::always(),
            &Log::default(),
            |batcher| async move {
                for _ in 0..3 {
                    assert_eq!(batcher.score_row(&[0.7], None).await, Ok(0.7));
                }
            },
        );
        assert_eq!(
            (pairs(&totals), totals.failed + totals.skipped),
            (0, 3),
            "{totals:?}"
        );
        assert!(totals.failed > 0);
    }
}

#[test]
fn a_slow_companion_rests_so_that_answers_do_not_wait_for_it() {
    let slow = |rows: &[f32], scores: &mut Vec<f32>| {
        sleep(Duration::from_millis(20));
        scores.extend_from_slice(rows);
        Ok(())
    };
    let begun = Instant::now();
    let totals = run(
        Box::new(Odd(slow)),
        Control::always(),
        &Log::default(),
        |batcher| async move {
            for _ in 0..200 {
                assert_eq!(batcher.score_row(&[0.7], None).await, Ok(0.7));
            }
        },
    );
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(pairs(&totals) >= 1 && totals.skipped > 100, "{totals:?}");
}

#[test]
fn under_load_pairs_are_dropped_first() {
    let log = Log::default();
    let companion = Box::new(Echo("companion", Arc::clone(&log)));
    let totals = run(companion, Control::always(), &log, |batcher| async move {
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                let batcher = Rc::clone(&batcher);
                spawn_local(async move { batcher.score_row(&[0.7], None).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(0.7));
        }
    });
    assert_eq!(pairs(&totals) + totals.skipped, 1000, "{totals:?}");
    assert!(
        totals.skipped >= 800,
        "the thread was behind nearly all the time: {totals:?}"
    );
}

#[test]
fn a_companion_of_another_width_is_never_asked() {
    struct Wide;
    impl Engine for Wide {
        fn width(&self) -> usize {
            2
        }
        fn score(&mut self, _: &[f32], _: &mut Vec<f32>) -> Result<(), EngineError> {
            panic!("asked all the same")
        }
    }
    let totals = run(
        Box::new(Wide),
        Control::always(),
        &Log::default(),
        |batcher| async move {
            assert_eq!(batcher.score_row(&[0.7], None).await, Ok(0.7));
        },
    );
    assert_eq!((pairs(&totals), totals.failed), (0, 0));
}
