//! Every committed seed through its target, as an ordinary test: what was found once is not found again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The files of a folder and of the folders in it: libFuzzer replays what it is given only when all of it is files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of seeds exists");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn seeds(target: &str) -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [home.join("corpus").join(target), home.join("../tests/fixtures")];
    folders.iter().flat_map(|folder| files(folder)).collect()
}

#[test]
fn every_target_survives_its_seeds() {
    let programs = Path::new(env!("CARGO_BIN_EXE_fuzz_request"))
        .parent()
        .expect("programs are in a folder");
    let corpora =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).expect("seeds are committed");
    let mut replayed = 0;
    for corpus in corpora {
        let target = corpus.expect("the folder can be read").file_name();
        let target = target.to_str().expect("names are ASCII");
        let seeds = seeds(target);
        let output = Command::new(programs.join(format!("fuzz_{target}")))
            .args(&seeds)
            .output()
            .unwrap_or_else(|error| panic!("fuzz_{target}: {error}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "fuzz_{target}: {text}");
        assert_eq!(
            text.matches("Executed ").count(),
            seeds.len(),
            "fuzz_{target}: {text}"
        );
        replayed += 1;
    }
    let targets =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets")).map(Iterator::count);
    assert_eq!(targets.ok(), Some(replayed), "every target has a folder of seeds");
}
