//! Any bytes as the body of `POST /predict`: never a panic, and what is accepted is what serde_json reads.

#![no_main]

use fraudops_scorer::features::{Schema, parse_row};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let schema = Schema::card_payment();
    let mut row = vec![f32::NAN; schema.width()];
    match parse_row(&schema, body, &mut row) {
        Ok(_) => {
            let body: Value = serde_json::from_slice(body).expect("an accepted body is JSON");
            for field in schema.fields() {
                let value = &body[&*field.name];
                match field.column {
                    Some(column) => {
                        assert_eq!(value.as_f64().map(|v| v as f32), Some(row[column]), "{value}")
                    }
                    None => assert!(value.is_number() || value.is_string(), "{value}"),
                }
            }
        }
        Err(rejection) => {
            assert!(!rejection.problems.is_empty());
            for problem in &rejection.problems {
                let detail = problem.to_json().to_string();
                assert!(!has_long_number(&detail), "it may be a card number: {detail}");
            }
        }
    }
});

/// Thirteen digits in a row, the fewest that a card number has.
fn has_long_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() >= 13)
}
