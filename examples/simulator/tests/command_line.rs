//! What a person sees: files, messages and exit codes.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
};

use parquet::file::reader::{FileReader, SerializedFileReader};

const SMALL: [&str; 9] = [
    "generate",
    "--customers",
    "40",
    "--terminals",
    "60",
    "--days",
    "40",
    "--radius",
    "30",
];

const HEADER: &str = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,\
    TX_FRAUD,TX_FRAUD_SCENARIO";
const FEATURES: &str = "TX_DURING_WEEKEND,TX_DURING_NIGHT,\
    CUSTOMER_ID_NB_TX_1DAY_WINDOW,CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW,\
    CUSTOMER_ID_NB_TX_7DAY_WINDOW,CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW,\
    CUSTOMER_ID_NB_TX_30DAY_WINDOW,CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW,\
    TERMINAL_ID_NB_TX_1DAY_WINDOW,TERMINAL_ID_RISK_1DAY_WINDOW,\
    TERMINAL_ID_NB_TX_7DAY_WINDOW,TERMINAL_ID_RISK_7DAY_WINDOW,\
    TERMINAL_ID_NB_TX_30DAY_WINDOW,TERMINAL_ID_RISK_30DAY_WINDOW";

fn simulator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudops-simulator"));
    command.args(arguments);
    command
}

fn generate(arguments: &[&str]) -> Output {
    simulator(&SMALL)
        .args(arguments)
        .output()
        .expect("the simulator runs")
}

#[track_caller]
fn refused(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "expected a refusal");
    assert!(stderr.contains(message), "expected {message:?} in {stderr:?}");
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn csv_has_the_columns_of_the_handbook_and_then_the_features() {
    let plain = generate(&["--out", "-"]).stdout;
    let plain = String::from_utf8(plain).expect("text");
    assert_eq!(plain.lines().next(), Some(HEADER));
    let first: Vec<&str> = plain.lines().nth(1).expect("a row").split(',').collect();
    assert_eq!(first[0], "0");
    assert!(
        first[1].starts_with("2018-04-01T") && first[1].ends_with('Z') && first[1].len() == 20,
        "{first:?}"
    );

    let full = String::from_utf8(generate(&["--features", "--out", "-"]).stdout).expect("text");
    assert_eq!(full.lines().next(), Some(format!("{HEADER},{FEATURES}").as_str()));
    assert_eq!(full.lines().count(), plain.lines().count());
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    for extension in ["csv", "parquet"] {
        let paths = [("a", "1"), ("b", "3")].map(|(name, threads)| {
            let path = folder.path().join(format!("{name}.{extension}"));
            let out = path.to_str().expect("a readable path");
            let output = generate(&["--features", "--seed", "7", "--threads", threads, "--out", out]);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            path
        });
        let [a, b] = paths.map(|path| fs::read(path).expect("the file"));
        assert!(!a.is_empty() && a == b, "{extension}");
    }
    assert_eq!(
        names_in(folder.path()),
        ["a.csv", "a.parquet", "b.csv", "b.parquet"]
    );
}

#[test]
fn parquet_has_as_many_rows_as_csv() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let output = generate(&["--features", "--out", path.to_str().expect("a readable path")]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let reader = SerializedFileReader::new(File::open(&path).expect("the file")).expect("parquet");
    let metadata = reader.metadata().file_metadata();
    let lines = String::from_utf8(generate(&["--out", "-"]).stdout)
        .expect("text")
        .lines()
        .count();
    assert_eq!(metadata.num_rows() as usize, lines - 1);
    assert_eq!(metadata.schema_descr().num_columns(), 23);
}

#[test]
fn bad_settings_are_refused_by_name() {
    refused(
        &generate(&["--out", "rows.xlsx"]),
        "--out rows.xlsx: unknown extension, use .csv or .parquet",
    );
    refused(
        &generate(&["--out", "/no/such/folder/rows.csv"]),
        "--out /no/such/folder/rows.csv cannot be written: No such file",
    );
    refused(
        &generate(&["--out", "/dev/null.csv/x.csv"]),
        "--out /dev/null.csv/x.csv cannot be written: ",
    );
    for (arguments, message) in [
        (
            ["--customers", "0"],
            "--customers 0: at least 1 customer is needed",
        ),
        (
            ["--terminals", "0"],
            "--terminals 0: at least 1 terminal is needed",
        ),
        (["--days", "0"], "--days 0: at least 1 day is needed"),
        (["--radius", "-1"], "--radius -1: must be a number above 0"),
        (["--days", "1.5"], "invalid value '1.5' for '--days <N>'"),
        (
            ["--start", "tomorrow"],
            "invalid value 'tomorrow' for '--start <YYYY-MM-DD>'",
        ),
    ] {
        let option = arguments.join("=");
        let output = simulator(&["generate", "--out", "-", &option]).output();
        refused(&output.expect("the simulator runs"), message);
    }
}

#[test]
fn a_full_disk_leaves_the_earlier_file_and_nothing_else() {
    for name in ["rows.csv", "rows.parquet"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, "earlier").expect("a file");
        // A limit on the size of files fails in the same place as a full disk.
        let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_fraudops-simulator")])
            .args(SMALL)
            .args(["--out", path.to_str().expect("a readable path")])
            .output()
            .expect("a shell runs");
        refused(&output, &format!("{name} cannot be written: File too large"));
        assert_eq!(fs::read_to_string(&path).expect("the earlier file"), "earlier");
        assert_eq!(names_in(folder.path()), [name]);
    }
}

#[test]
fn a_full_device_behind_the_standard_output_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = simulator(&SMALL)
        .args(["--out", "-"])
        .stdout(full)
        .output()
        .expect("the simulator runs");
    refused(&output, "--out - cannot be written: No space left on device");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = simulator(&["generate", "--days", "20", "--out", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the simulator ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn help_shows_how_to_make_the_data_set() {
    let help = simulator(&["generate", "--help"])
        .output()
        .expect("the simulator runs")
        .stdout;
    let help = String::from_utf8(help).expect("text");
    assert!(
        help.contains("fraudops-simulator generate --features --out transactions.parquet"),
        "{help}"
    );
    for option in [
        "customers",
        "terminals",
        "days",
        "start",
        "radius",
        "seed",
        "threads",
        "features",
        "out",
    ] {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}
