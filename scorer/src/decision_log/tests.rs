use std::{
    fs,
    io::Read as _,
    sync::{Barrier, atomic::AtomicBool},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::*;
use crate::{
    decision::Decision,
    metrics::{Format, Source},
};

fn entry<'a>(served: &'a Served, decision: Decision, transaction: i64) -> Entry<'a> {
    Entry {
        served,
        role: Role::Answer,
        decision,
        source: Source::Model,
        scored: Some(Ok(0.7)),
        rules: &["a-rule"],
        reasons: &["TX_AMOUNT", "TERMINAL_ID_RISK_7DAY_WINDOW"],
        imputed: &[],
        took: Duration::from_micros(321),
        transaction: Some(transaction),
        customer: 4_000_596,
        terminal: 4_003_156,
        trace: None,
        request: "4f0c1e8a9b7d6c5e",
    }
}

fn served() -> Served {
    Served::new("card-fraud", "2026.11.1", &"0f".repeat(32))
}

fn to_file(path: &std::path::Path, key: Option<PathBuf>, approvals: f64) -> Options {
    Options {
        to: Destination::File(path.to_owned()),
        key,
        approvals,
        max_bytes: 1 << 30,
        old_files: 1,
    }
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(parse).collect()
}

fn count(log: &DecisionLog, series: &str) -> u64 {
    let mut out = Exposition::new(Format::Text, 0.0);
    log.counts().collect(&mut out);
    let page = out.finish();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("fraud_decision_log_")?.strip_prefix(series));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("{series} is missing in\n{page}"))
}

#[test]
fn what_several_threads_decide_is_logged_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let key = folder.path().join("key");
    fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    let log = DecisionLog::open(&to_file(&path, Some(key), 0.0)).unwrap();
    thread::scope(|scope| {
        for thread in 0..4_i64 {
            let recorder = log.recorder();
            scope.spawn(move || {
                let served = served();
                // No more than the buffer of a thread holds, so that nothing depends on the writer's pace.
                for number in 0..400 {
                    recorder.record(&entry(&served, Decision::Review, thread * 400 + number));
                    recorder.record(&entry(&served, Decision::Approve, number));
                }
            });
        }
    });
    log.close();
    let text = fs::read_to_string(&path).unwrap();
    let lines = lines(&text);
    assert_eq!(lines.len(), 1_600);
    let mut numbers: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=1_600));
    let mut transactions: Vec<_> = lines
        .iter()
        .map(|line| line["transaction"].as_str().unwrap())
        .collect();
    transactions.sort_unstable();
    transactions.dedup();
    assert_eq!(transactions.len(), 1_600);
    for plain in ["4000596", "4003156", "0000000000000000"] {
        assert!(!text.contains(plain), "{plain} is in the log");
    }
    assert_eq!(
        (
            count(&log, "lines_total"),
            count(&log, "dropped_total{reason=\"buffer_full\"}")
        ),
        (1_600, 0)
    );
}

#[test]
fn without_a_key_ids_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = DecisionLog::open(&to_file(&path, None, 1.0)).unwrap();
    let recorder = log.recorder();
    recorder.record(&entry(&served(), Decision::Approve, 7));
    drop(recorder);
    log.close();
    let lines = lines(&fs::read_to_string(&path).unwrap());
    assert_eq!(lines.len(), 1);
    assert!(lines[0].get("transaction").is_none() && lines[0].get("customer").is_none());
}

#[test]
fn a_line_is_written_soon_even_when_nothing_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = DecisionLog::open(&to_file(&path, None, 1.0)).unwrap();
    let recorder = log.recorder();
    recorder.record(&entry(&served(), Decision::Block, 7));
    let begun = Instant::now();
    while fs::read_to_string(&path).unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing is written");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_stopped_holds_nobody_up() {
    let (mut reader, writer) = io::pipe().unwrap();
    let log = DecisionLog::start(Box::new(Stream::new(writer)), None, 0.0).unwrap();
    let recorder = log.recorder();
    let served = served();
    let mut slowest = Duration::ZERO;
    for number in 0..20_000 {
        let begun = Instant::now();
        recorder.record(&entry(&served, Decision::Block, number));
        slowest = slowest.max(begun.elapsed());
    }
    // 20,000 lines are some 9 MB: the pipe, the writer and the buffer hold less than 1 MB.
    let dropped = count(&log, "dropped_total{reason=\"buffer_full\"}");
    assert!((15_000..20_000).contains(&dropped), "{dropped}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    let begun = Instant::now();
    log.close();
    assert!(
        begun.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begun.elapsed()
    );
    // The reader wakes up, and finds whole lines; what is missing is in the numbers.
    drop(recorder);
    drop(log);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let lines = lines(&text);
    assert_eq!(lines.len() as u64 + dropped, 20_000);
}

#[test]
fn a_closed_pipe_and_a_full_disk_are_survived_and_counted() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let full = Rotated::open(std::path::Path::new("/dev/full"), 1 << 30, 1).unwrap();
    let sinks: [Box<dyn Sink>; 2] = [Box::new(Stream::new(writer)), Box::new(full)];
    for sink in sinks {
        let log = DecisionLog::start(sink, None, 0.0).unwrap();
        let recorder = log.recorder();
        for number in 0..100 {
            recorder.record(&entry(&served(), Decision::Block, number));
        }
        drop(recorder);
        log.close();
        assert_eq!(count(&log, "dropped_total{reason=\"write_failed\"}"), 100);
        assert_eq!(count(&log, "lines_total"), 0);
    }
}

#[test]
fn a_log_that_is_off_costs_a_look_and_still_has_its_series() {
    let options = Options {
        to: Destination::Off,
        key: Some("no/such/key".into()),
        approvals: 1.0,
        max_bytes: 1 << 20,
        old_files: 1,
    };
    let log = DecisionLog::open(&options).unwrap();
    let served = served();
    let entry = entry(&served, Decision::Block, 1);
    assert!(!log.recorder().wants(&entry) && !Recorder::off().wants(&entry));
    log.recorder().record(&entry);
    log.close();
    assert_eq!(count(&log, "lines_total"), 0);
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let error = DecisionLog::open(&to_file(&path, Some(folder.path().join("key")), 0.0)).err();
    assert!(error.unwrap().to_string().contains("key"));
    let error = DecisionLog::open(&to_file(&folder.path().join("no/log"), None, 0.0)).err();
    assert!(error.unwrap().to_string().contains("no/log"));
}

#[test]
fn lines_of_a_moment_in_which_the_writer_has_the_buffer_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = DecisionLog::open(&to_file(&path, None, 1.0)).unwrap();
    let recorder = log.recorder();
    let buffer = Arc::clone(&recorder.0.as_ref().unwrap().buffer);
    let (held, free) = (Barrier::new(2), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _taken = buffer.lock().unwrap();
            held.wait();
            while !free.load(Relaxed) {
                thread::yield_now();
            }
        });
        held.wait();
        for number in 0..10 {
            recorder.record(&entry(&served(), Decision::Block, number));
        }
        free.store(true, Relaxed);
    });
    drop(recorder);
    log.close();
    assert_eq!(lines(&fs::read_to_string(&path).unwrap()).len(), 10);
}
