//! `--to -`.

use std::{
    fs::File,
    process::{Output, Stdio},
};

use serde_json::Value;

use super::{refused, simulator, stream, succeeded};

const EVERYTHING: [&str; 7] = ["--to", "-", "--rate", "max", "--from-day", "0", "--truth"];

fn rows(output: &Output) -> Vec<Value> {
    let stdout = std::str::from_utf8(&output.stdout).expect("text");
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn the_stream_has_the_rows_and_inputs_of_the_table() {
    let table = simulator("generate", &["--features", "--out", "-"])
        .output()
        .expect("the simulator runs");
    let table = String::from_utf8(table.stdout).expect("text");
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let output = stream(&EVERYTHING);
    let summary = succeeded(&output);
    let rows = rows(&output);
    assert_eq!(rows.len(), table.lines().count() - 1);
    assert_eq!(summary["sent"], rows.len());
    for (row, line) in rows.iter().zip(lines) {
        assert_eq!(row.as_object().expect("an object").len(), names.len());
        for (name, cell) in names.iter().zip(line.split(',')) {
            match (*name, &row[name]) {
                ("TX_DATETIME", sent) => assert_eq!(sent, cell),
                (_, sent) => {
                    let (sent, cell) = (sent.as_f64().expect(name), cell.parse::<f64>().expect(name));
                    let tolerance = if name.contains("_AVG_") || name.contains("_RISK_") {
                        1e-6
                    } else {
                        0.0
                    };
                    assert!(
                        (sent - cell).abs() <= tolerance * cell.abs(),
                        "{name}: {sent} in {row}, {cell} in {line}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_seed_sends_the_same_bytes_whatever_the_scenario() {
    let scenario = [
        "--drift",
        "amount_scale=1.5@20",
        "--attack",
        "card_testing=30@15..17",
        "--season",
        "25..30",
        "--new-merchants",
        "2@10..20",
        "--break",
        "swap",
        "--seed",
        "7",
        "--chargeback-median",
        "9",
        "--label-never",
        "0.2",
    ];
    let arguments = [&EVERYTHING[..], &scenario[..]].concat();
    let (once, again) = (stream(&arguments), stream(&arguments));
    succeeded(&once);
    assert!(once.stdout == again.stdout && !once.stdout.is_empty());
    assert!(once.stdout != stream(&EVERYTHING).stdout);
}

#[test]
fn a_file_gives_the_scenario_of_the_options() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "attack: [card_testing=30@15..17]\nbreak: cents\n").expect("a file");
    let path = file.path().to_str().expect("a readable path");
    let by_file = stream(&[&EVERYTHING[..], &["--scenario", path]].concat());
    let by_options = stream(
        &[
            &EVERYTHING[..],
            &["--attack", "card_testing=30@15..17", "--break", "cents"],
        ]
        .concat(),
    );
    succeeded(&by_file);
    assert!(by_file.stdout == by_options.stdout);
    assert!(rows(&by_file).iter().any(|row| row["TX_FRAUD_SCENARIO"] == 4));
}

#[test]
fn the_truth_is_not_told_unless_asked_for() {
    let output = stream(&["--to", "-", "--rate", "max", "--limit", "5"]);
    assert_eq!(succeeded(&output)["sent"], 5);
    let rows = rows(&output);
    assert_eq!(rows.len(), 5);
    assert!(
        rows.iter()
            .all(|row| row.get("TX_FRAUD").is_none() && row["TX_TIME_DAYS"] == 37)
    );
}

#[test]
fn a_rate_sends_as_many_as_it_says() {
    let output = stream(&["--to", "-", "--rate", "200", "--duration", "0.5"]);
    assert_eq!(succeeded(&output)["sent"], 100);
}

#[test]
fn a_speedup_sends_what_happens_in_its_time() {
    let all = rows(&stream(&EVERYTHING));
    let seconds = |row: &Value| row["TX_TIME_SECONDS"].as_u64().expect("a time");
    let first = all
        .iter()
        .map(seconds)
        .find(|at| *at >= 37 * 86_400)
        .expect("a row");
    let expected = all
        .iter()
        .filter(|row| (first..first + 43_200).contains(&seconds(row)))
        .count();
    let output = stream(&["--to", "-", "--speedup", "86400", "--duration", "0.5"]);
    assert_eq!(succeeded(&output)["sent"], expected);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = simulator("stream", &EVERYTHING)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the simulator ends");
    assert!(output.status.success());
}

#[test]
fn a_full_device_behind_the_standard_output_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = simulator("stream", &EVERYTHING)
        .stdout(full)
        .output()
        .expect("the simulator runs");
    refused(&output, "--to - cannot be written: No space left on device");
}

#[test]
fn a_run_that_counts_from_now_has_ids_that_none_before_it_had() {
    let first = || {
        let output = stream(&["--to", "-", "--rate", "max", "--limit", "1", "--first-id", "now"]);
        succeeded(&output);
        rows(&output)[0]["TRANSACTION_ID"].as_u64().expect("a number")
    };
    let earlier = first();
    assert!(earlier > 1_700_000_000_000_000, "{earlier}");
    assert!(first() > earlier);
}
