//! `check FILE`.

use serde_json::Value;

use crate::server::{fixture_arg, library, scorer};

fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let output = scorer().arg("check").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_good_model_is_described() {
    let (code, text) = check(&[&fixture_arg("tiny.onnx")]);
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "tiny",
        "0.0.1",
        "hand-made trees",
        "features float32[N,15]",
        "TX_AMOUNT",
        "\"block\":0.5",
        "32 rows",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    let (code, text) = check(&[&fixture_arg("tiny.onnx"), "--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &json["servable"], &json["golden"]["rows"]),
        (Some(0), &true.into(), &32.into())
    );
    assert_eq!(json["features"].as_array().map(Vec::len), Some(15));
}

#[test]
fn a_bad_model_is_explained_with_exit_code_1() {
    for (file, reason) in [
        ("golden-mismatch.onnx", "GoldenMismatch"),
        ("missing.onnx", "ModelUnreadable"),
    ] {
        let (code, text) = check(&[&fixture_arg(file)]);
        assert_eq!(code, Some(1));
        assert!(text.contains(&format!("{reason}: ")), "{text}");
        let (code, text) = check(&[&fixture_arg(file), "--json"]);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, json["reason"].as_str()), (Some(1), Some(reason)));
        assert!(!json["message"].as_str().unwrap().is_empty());
    }
}

/// Its builds keep an identifier and a queue of reports in the home directory.
#[test]
fn onnx_runtime_keeps_nothing_for_its_maker() {
    for command in ["check", "trial"] {
        let home = tempfile::tempdir().unwrap();
        let mut scorer = scorer();
        scorer.env_clear().env("HOME", home.path());
        scorer
            .args([command, &fixture_arg("tiny.onnx"), "--onnxruntime"])
            .arg(library());
        let output = scorer.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let kept: Vec<_> = home.path().read_dir().unwrap().collect();
        assert!(kept.is_empty(), "{command}: {kept:?}");
    }
}
