//! docs/guarantees.md names tests: all of them exist.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let scorer = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(scorer.join("../docs/guarantees.md")).expect("the page is there");
    let named: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .collect();
    for (file, test) in &named {
        let places = [scorer.join(file), scorer.join("..").join(file)];
        let sources: Vec<_> = places
            .iter()
            .filter_map(|place| fs::read_to_string(place).ok())
            .collect();
        let function = format!("fn {test}(");
        assert!(
            sources.iter().any(|source| source.contains(&function)),
            "{file} has no test {test}"
        );
    }
    let guarantees = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| **"));
    let untested: Vec<_> = guarantees
        .filter(|line| !line.contains("::") && !line.contains("`make") && !line.contains(".sh`"))
        .filter(|line| !line.contains("**Not yet**") && !line.starts_with("| guarantee"))
        .collect();
    assert!(
        untested.is_empty(),
        "neither a test nor the word that there is none: {untested:#?}"
    );
    assert!(named.len() > 80, "{}", named.len());
}
