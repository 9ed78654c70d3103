use std::{fs, path::PathBuf};

use super::*;
use crate::{
    decision::Thresholds,
    engine::Choice,
    model::{trial::TrialArgs, verify},
};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny.onnx")
}

fn trial(file: &Path) -> Trial<'_> {
    Trial {
        file,
        library: None,
        wanted: Wanted::default(),
        limits: Limits {
            patience: Duration::from_secs(20),
            ..Limits::default()
        },
    }
}

/// The verdict on a child that runs this script.
fn verdict(script: &str, patience: Duration) -> Result<Report, ModelError> {
    let file = tiny();
    let mut trial = trial(&file);
    trial.limits.patience = patience;
    let model = verify(&file).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script.replace("SHA", &model.sha256)]);
    trial.attempt(command, &model)
}

fn reason(script: &str) -> (Reason, String) {
    let error = verdict(script, Duration::from_secs(20)).unwrap_err();
    (error.reason, error.message)
}

const FOUND: &str = r#"{"sha256":"SHA","engine":"tree","why":"they agree","goldenDifference":1e-7}"#;

#[test]
fn a_child_that_finds_the_model_good_is_believed() {
    let report = verdict(&format!("echo noise; echo '{FOUND}'"), Duration::from_secs(20)).unwrap();
    assert_eq!((report.engine, report.why.as_str()), (Kind::Tree, "they agree"));
}

#[test]
fn a_child_that_refuses_gives_its_reason() {
    let script = r#"echo '{"reason":"GoldenMismatch","message":"golden row 3"}'; exit 1"#;
    assert_eq!(
        reason(script),
        (Reason::GoldenMismatch, "golden row 3".to_owned())
    );
}

#[test]
fn a_crash_is_told_from_a_refusal() {
    for (script, words) in [
        ("kill -SEGV $$", "SIGSEGV"),
        ("kill -ABRT $$", "SIGABRT"),
        ("kill -KILL $$", "SIGKILL"),
        ("exit 101", "code 101"),
        ("exit 0", "code 0"),
        ("head -c 300000 /dev/zero", ""),
    ] {
        let (reason, message) = reason(script);
        assert_eq!(reason, Reason::TrialCrashed, "{script}: {message}");
        assert!(message.contains(words), "{script}: {message}");
    }
    let good_line_then_crash = format!("echo '{FOUND}'; kill -SEGV $$");
    assert_eq!(reason(&good_line_then_crash).0, Reason::TrialCrashed);
}

#[test]
fn a_child_that_hangs_is_ended() {
    for script in ["sleep 30", "exec >&-; sleep 30"] {
        let begun = Instant::now();
        let error = verdict(script, Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.reason, Reason::TrialTimeout, "{script}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{script}");
    }
    assert_eq!(reason("kill -XCPU $$").0, Reason::TrialTimeout);
}

#[test]
fn another_file_than_the_verified_one_is_refused() {
    let other = FOUND.replace("SHA", "00");
    assert_eq!(reason(&format!("echo '{other}'")).0, Reason::ModelUnreadable);
}

#[test]
fn the_child_gets_no_secrets() {
    let script =
        r#"test "$(env | grep -c -e CARGO -e HOME)" = 0 || exit 7; echo 'FOUND'"#.replace("FOUND", FOUND);
    assert!(verdict(&script, Duration::from_secs(20)).is_ok());
}

#[test]
fn the_childs_arguments_are_understood() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: Subcommands,
    }
    #[derive(clap::Subcommand)]
    enum Subcommands {
        Trial(TrialArgs),
    }
    let file = tiny();
    let trial = Trial {
        library: Some(Path::new("/opt/lib.so")),
        wanted: Wanted {
            choice: Choice::Tree,
            thresholds: Thresholds::new(0.1, 0.55).ok(),
        },
        ..trial(&file)
    };
    let all = [OsString::from("fraudops-scorer")]
        .into_iter()
        .chain(trial.arguments());
    let Subcommands::Trial(arguments) = <Line as clap::Parser>::try_parse_from(all).unwrap().command;
    assert_eq!((arguments.file, arguments.engine), (file.clone(), Choice::Tree));
    assert_eq!((arguments.review, arguments.block), (Some(0.1), Some(0.55)));
    assert_eq!(arguments.onnxruntime, Some("/opt/lib.so".into()));
}

/// The child of the next test: this program again, for one test that nobody else runs.
#[test]
#[ignore = "is started by a_real_child_is_confined_and_reports"]
fn the_child() {
    let Ok(file) = fs::read_to_string("/proc/self/cmdline").map(|line| {
        line.split('\0')
            .find_map(|word| word.strip_prefix("model="))
            .map(PathBuf::from)
    }) else {
        return;
    };
    let Some(file) = file else { return };
    let arguments = TrialArgs {
        file,
        onnxruntime: Some("/nowhere/libonnxruntime.so".into()),
        engine: Choice::Auto,
        review: None,
        block: None,
    };
    let (line, found) = crate::model::trial::run(&arguments);
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    for (name, limit) in [
        ("Max address space", "107"),
        ("Max cpu time", "20 "),
        ("Max core file size", "0 "),
    ] {
        let row = limits.lines().find(|row| row.starts_with(name)).unwrap();
        assert!(row[name.len()..].trim().starts_with(limit), "{row}");
    }
    println!("\n{line}");
    std::process::exit(i32::from(!found));
}

#[test]
fn a_real_child_is_confined_and_reports() {
    let file = tiny();
    let model = verify(&file).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    // The word with `model=` filters out every test but one: it must be exact, so the name of the test stands before it.
    command
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "model::trial::parent::tests::the_child",
        ])
        .arg(format!("model={}", file.display()));
    let error = trial(&file).attempt(command, &model).unwrap_err();
    assert_eq!(error.reason, Reason::RuntimeUnavailable, "{error}");
}
