//! What /metrics says, read by Prometheus' own Python client: both formats, with everything that a scrape can show.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use fraudops_scorer::{
    access::{Access, Options},
    decision::Decision,
    decision_log::{self, DecisionLog, Destination},
    metrics::{Answered, Format, Imputation, Metrics, ModelFailure, ModelLabels, Source},
    telemetry::Counts,
};
use serde_json::{Value, json};

/// All counters, some of them used, with names that must be escaped.
fn metrics() -> Metrics {
    let metrics = Metrics::new(2);
    metrics.set_features(vec!["TX_AMOUNT".to_owned(), "a \"feature\"\\\n".to_owned()]);
    metrics.set_model_name("card \"fraud\" \\ größer\n");
    metrics.set_model(
        ModelLabels {
            version: "2026.11.1".to_owned(),
            sha256: "0123456789abcdef".repeat(4),
            algorithm: "trees".to_owned(),
        },
        Duration::from_millis(1500),
    );
    let log = DecisionLog::open(&decision_log::Options {
        to: Destination::Off,
        key: None,
        approvals: 0.0,
        max_bytes: 1 << 20,
        old_files: 1,
    });
    metrics.register(log.expect("nothing is opened").counts());
    let access = Access::new(&Options::default()).expect("nothing is read");
    metrics.register(access.counts());
    metrics.register(Arc::<Counts>::default());
    for worker in 0..2 {
        let shard = metrics.shard(worker);
        for scored in [Some(Ok(0.7)), Some(Err(ModelFailure::Deadline)), None] {
            shard.decided(&Answered {
                decision: Decision::Block,
                source: Source::Model,
                scored,
                took: Duration::from_millis(3),
                trace: Some([0xab; 16]),
            });
        }
        shard.imputed(1, Imputation::Median);
    }
    metrics
}

fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new(root.join("tests/venv.sh"))
        .arg("exposition")
        .output();
    let made = made.expect("tests/venv.sh runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = String::from_utf8(made.stdout).expect("a path");
    Path::new(folder.trim()).join("bin/python")
}

/// What the parser finds: `{family: {"type", "unit", "help", "samples": {series: value}, "exemplars": {series: labels}}}`.
fn parsed(page: &str, format: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exposition.py");
    let mut child = Command::new(python())
        .arg(script)
        .arg(format)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(page.as_bytes()).expect("Python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    assert!(
        output.status.success(),
        "{}\n{page}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

/// The value of a series, whatever its labels `model` and `version` are.
fn value(families: &Value, family: &str, series: &str) -> f64 {
    let samples = families[family]["samples"].as_object();
    let samples = samples.unwrap_or_else(|| panic!("{family} is missing in\n{families:#}"));
    samples[series]
        .as_f64()
        .unwrap_or_else(|| panic!("{series} is missing in\n{samples:#?}"))
}

#[test]
fn both_formats_say_the_same_to_prometheus_own_parsers() {
    let metrics = metrics();
    let text = parsed(&metrics.expose(Format::Text, true), "text");
    let open = parsed(&metrics.expose(Format::OpenMetrics, true), "openmetrics");
    for families in [&text, &open] {
        for (family, series, expected) in [
            ("fraud_predictions", "fraud_predictions_total decision=block", 6.0),
            (
                "fraud_decisions",
                "fraud_decisions_total decision=review source=fallback",
                0.0,
            ),
            (
                "fraud_prediction_duration_seconds",
                "fraud_prediction_duration_seconds_bucket le=0.025",
                6.0,
            ),
            ("fraud_score", "fraud_score_count", 2.0),
            (
                "fraud_imputed_features",
                "fraud_imputed_features_total feature=a \"feature\"\\\n kind=median",
                2.0,
            ),
            ("fraud_ready", "fraud_ready", 1.0),
        ] {
            assert_eq!(value(families, family, series), expected, "{series}");
        }
        assert!(
            value(
                families,
                "process_start_time_seconds",
                "process_start_time_seconds"
            ) > 1.5e9
        );
        assert_eq!(families["fraud_decisions"]["type"], "counter");
        assert_eq!(families["fraud_score"]["type"], "histogram");
        assert_eq!(
            families["fraud_exposures"]["constant"],
            json!({"model": "card \"fraud\" \\ größer\n", "version": "2026.11.1"})
        );
    }
    assert_eq!(open["fraud_prediction_duration_seconds"]["unit"], "seconds");
    assert_eq!(open["process_resident_memory_bytes"]["unit"], "bytes");
    assert_eq!(open["fraud_build"]["type"], "info");
    let exemplars = &open["fraud_prediction_duration_seconds"]["exemplars"];
    assert_eq!(
        exemplars["fraud_prediction_duration_seconds_bucket le=0.005"],
        json!({"trace_id": "ab".repeat(16)})
    );
    // A series keeps its identity when the format changes; OpenMetrics adds the times of creation.
    let of = |families: &Value| -> Vec<String> {
        let families = families.as_object().unwrap().values();
        let all = families.flat_map(|family| family["samples"].as_object().unwrap().keys());
        let mut all: Vec<_> = all
            .filter(|series| !series.contains("_created"))
            .cloned()
            .collect();
        all.sort();
        all
    };
    assert_eq!(of(&text), of(&open));
}
