//! What the scorer was told: refused when it makes no sense, shown as it came together.

use crate::server::{Server, fixture_arg, scorer};

#[test]
fn the_configuration_is_printed_with_its_sources_and_without_ids() {
    let policy = r#"{"lists": {"blocked": {"values": [4711]}}}"#;
    let output = scorer()
        .args([
            "serve",
            "--model",
            "m.onnx",
            "--print-config",
            "--deadline",
            "20ms",
        ])
        .env("FRAUDOPS_MAX_CONNECTIONS", "77")
        .env("FRAUDOPS_POLICY", policy)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for line in [
        "--deadline=20ms  # flag",
        "--max-connections=77  # environment",
        "--body-timeout=5s  # default",
        &format!("--policy=\"<{} bytes>\"  # environment", policy.len()),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("4711"), "{text}");
}

#[test]
fn the_configuration_is_logged_at_the_start() {
    let server = Server::start(&["--deadline", "20ms"]);
    let line = server.wait_for_log("\"message\":\"configuration\"");
    assert!(
        line.contains("--deadline=20ms") && line.contains("--idle-timeout=2m"),
        "{line}"
    );
}

#[test]
fn flags_that_make_no_sense_are_named_and_nothing_is_served() {
    let model = fixture_arg("tiny.onnx");
    type Case = (
        &'static [&'static str],
        Option<(&'static str, &'static str)>,
        &'static str,
    );
    let table: [Case; 12] = [
        (&["--max-connection", "7"], None, "--max-connection"),
        (&["--max-connections", "0"], None, "--max-connections"),
        (&["--queue", "99999999"], None, "--queue"),
        (&["--deadline", "soon"], None, "--deadline"),
        (&["--deadline", "25h"], None, "--deadline"),
        (&["--max-batch", "0"], None, "--max-batch"),
        (&["--block-status", "418"], None, "--block-status"),
        (&["--on-model-error", "shrug"], None, "--on-model-error"),
        (&["--review", "0.1"], None, "--block"),
        (&["--listen", "everywhere"], None, "--listen"),
        (&[], Some(("FRAUDOPS_WORKERS", "many")), "--workers"),
        (&[], Some(("FRAUDOPS_IDLE_TIMEOUT", "-1s")), "--idle-timeout"),
    ];
    for (arguments, environment, told) in table {
        let mut command = scorer();
        command
            .args(["serve", "--model", &model])
            .args(arguments)
            .envs(environment);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
}
