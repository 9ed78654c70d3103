//! Models that cannot be served: the process lives, answers 503 and says why.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use crate::{
    client::{get, post},
    server::{Server, fixture, fixture_arg, good},
};

fn assert_refused(model: &str, reason: &str, words: &str) {
    let server = Server::start(&["--model", model, "--workers", "1"]);
    let (found, message) = server.failure();
    assert_eq!(found, reason, "{model}: {message}");
    assert!(message.contains(words), "{model}: {message}");
    let answer = post(server.http, &good());
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1")),
        "{answer:?}"
    );
    assert_eq!(answer.json()["reason"], reason);
    assert_eq!(get(server.http, "/livez").status, 200);
    assert_eq!(get(server.http, "/health").status, 503);
    assert_eq!(server.metric("fraud_ready"), 0.0);
    assert_eq!(
        server.metric("fraud_request_errors_total{kind=\"not_ready\"}"),
        1.0
    );
}

#[test]
fn every_model_that_cannot_be_served_names_its_reason() {
    for (file, reason, words) in [
        ("wrong-order.onnx", "FeatureMismatch", "column 3"),
        ("golden-mismatch.onnx", "GoldenMismatch", "golden row 0"),
        ("no-metadata.onnx", "MetadataMissing", "fraudops.dev/schema"),
        ("external-data.onnx", "NotONNX", "outside the file"),
        ("foreign-domain.onnx", "NotONNX", "com.example"),
        ("zipmap.onnx", "UnsupportedOutputs", "zipmap=False"),
        ("wrong-inputs.onnx", "UnsupportedInputs", "float32[N,14]"),
        ("tiny-scores.json", "NotONNX", ""),
        ("missing.onnx", "ModelUnreadable", "missing.onnx"),
        ("", "ModelUnreadable", "no file"),
    ] {
        assert_refused(&fixture_arg(file), reason, words);
    }
}

#[test]
fn a_truncated_an_empty_and_a_huge_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let whole = fs::read(fixture("tiny.onnx")).unwrap();
    fs::write(place("half"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place("empty"), "").unwrap();
    File::create(place("huge")).unwrap().set_len(3 << 30).unwrap();
    assert_refused(&place("half"), "NotONNX", "truncated");
    assert_refused(&place("empty"), "NotONNX", "empty");
    assert_refused(&place("huge"), "ModelUnreadable", "bytes");
}

#[test]
fn a_damaged_tree_is_refused_by_onnx_runtime_or_by_its_golden_vectors() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(fixture("tiny.onnx")).unwrap();
    let name = b"nodes_truenodeids";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    bytes[at..at + 5].copy_from_slice(b"sedon");
    let model = directory.path().join("damaged.onnx");
    fs::write(&model, bytes).unwrap();
    let server = Server::start(&["--model", model.to_str().unwrap(), "--workers", "1"]);
    let (reason, message) = server.failure();
    assert!(
        ["NotONNX", "GoldenMismatch", "UnsupportedOutputs"].contains(&reason.as_str()),
        "{reason}: {message}"
    );
}

#[test]
fn a_missing_or_wrong_library_is_a_reason_and_no_crash() {
    for library in ["/nowhere/libonnxruntime.so", "/etc/hostname"] {
        let server = Server::start_with(&["--workers", "1"], &[("ORT_DYLIB_PATH", library)]);
        let (reason, message) = server.failure();
        assert_eq!(reason, "RuntimeUnavailable", "{message}");
        assert!(
            message.contains(library) && message.contains("ORT_DYLIB_PATH"),
            "{message}"
        );
    }
}

#[test]
fn impossible_thresholds_are_a_reason() {
    let server = Server::start(&["--review", "0.9", "--block", "0.1", "--workers", "1"]);
    assert_eq!(server.failure().0, "MetadataInvalid");
}

#[test]
fn a_good_model_is_ready_soon_and_small() {
    let begun = Instant::now();
    let server = Server::ready(&["--workers", "2"]);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "{took:?}; the goal is 0.5 s with a release build and a warm file cache"
    );
    assert!(server.resident_mib() <= 60, "{} MiB", server.resident_mib());
}
