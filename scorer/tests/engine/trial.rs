//! Trials with ONNX Runtime in the child, which is this program again.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use fraudops_scorer::{
    engine::{Choice, Kind},
    model::{
        ModelError, Reason, Wanted,
        trial::{Limits, Report, Trial, TrialArgs, run},
        verify,
    },
};

use crate::{QUICKSTART, library, root};

/// The child: what the subcommand `trial` does. Its arguments come after the name of the test.
#[test]
#[ignore = "is started by the other tests"]
fn the_child() {
    let value = |name: &str| std::env::args().find_map(|word| Some(word.strip_prefix(name)?.to_owned()));
    let Some(file) = value("model=") else { return };
    let arguments = TrialArgs {
        file: file.into(),
        onnxruntime: value("library=").map(PathBuf::from),
        engine: Choice::Auto,
        review: None,
        block: None,
    };
    let (line, found) = run(&arguments);
    println!("\n{line}");
    std::process::exit(i32::from(!found));
}

fn attempt(model: &str) -> Result<Report, ModelError> {
    let file = root().join(model);
    let verified = verify(&file).unwrap_or_else(|error| panic!("{model}: {error}"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--ignored", "--nocapture", "trial::the_child"])
        .arg(format!("model={}", file.display()))
        .arg(format!("library={}", library().display()));
    let trial = Trial {
        file: Path::new(&file),
        library: None,
        wanted: Wanted::default(),
        limits: Limits::default(),
    };
    trial.attempt(command, &verified)
}

#[test]
fn a_model_of_trees_and_another_one_pass_with_their_engines() {
    let begun = Instant::now();
    let report = attempt(QUICKSTART).unwrap();
    assert_eq!(report.engine, Kind::Tree, "{report:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let report = attempt("tests/fixtures/models/mlp.onnx").unwrap();
    assert_eq!(report.engine, Kind::OnnxRuntime, "{report:?}");
}

#[test]
fn a_model_that_wants_all_memory_is_refused_and_harms_nobody() {
    let error = attempt("tests/fixtures/models/memory-bomb.onnx").unwrap_err();
    assert!(
        [Reason::NotOnnx, Reason::TrialCrashed, Reason::UnsupportedOutputs].contains(&error.reason),
        "{error}"
    );
}

#[test]
fn a_model_with_other_scores_is_refused_by_the_child() {
    let error = attempt("tests/fixtures/golden-mismatch.onnx").unwrap_err();
    assert_eq!(error.reason, Reason::GoldenMismatch, "{error}");
}
