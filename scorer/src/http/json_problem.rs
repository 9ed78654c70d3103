//! What is wrong with a JSON text, said without repeating any of it: it may hold a card number.

use serde_json::error::Category;

/// One sentence about the error.
pub fn describe(error: &serde_json::Error, length: usize) -> String {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    let place = if length == 0 {
        "the body is empty".to_owned()
    } else {
        format!("line {}, column {}", error.line(), error.column())
    };
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            format!("the body is not JSON: {problem} ({place})")
        }
        // serde puts the value that it found before these words, and ours behind them.
        Category::Data => match problem.rsplit_once(", expected ") {
            Some((_, expected)) => format!("expected {expected} ({place})"),
            None => format!("{problem} ({place})"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[serde(rename = "name")]
        _name: String,
    }

    #[test]
    fn nothing_of_the_input_is_repeated() {
        let table = [
            (
                r#"{"name": 4111111111111111}"#,
                "expected a string (line 1, column ",
            ),
            (r#"{"name": "a", "name": "b"}"#, "duplicate field `name`"),
            ("{}", "missing field `name`"),
            ("4111111111111111", "expected struct Sample"),
            ("{\"name\": x}", "the body is not JSON: expected value"),
            ("", "the body is empty"),
        ];
        for (json, expected) in table {
            let error = serde_json::from_str::<Sample>(json).expect_err("it is wrong");
            let sentence = describe(&error, json.len());
            assert!(sentence.contains(expected), "{json}: {sentence}");
            assert!(!sentence.contains("4111"), "{sentence}");
        }
    }
}
