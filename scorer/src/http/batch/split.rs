//! A body into the texts of its transactions; what is inside each is looked at later.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use crate::http::json_problem::describe;

const TOO_MANY: &str = "too many transactions";

/// Why a body cannot be split.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not JSON.
    NotJson {
        /// What is wrong, and where.
        sentence: String,
    },
    /// JSON, but not an array.
    NotAnArray,
    /// More transactions than allowed.
    TooMany {
        /// That many are allowed.
        limit: usize,
    },
}

/// The elements of a JSON array.
pub fn array(body: &[u8], limit: usize) -> Result<Vec<&[u8]>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let elements = deserializer
        .deserialize_seq(Elements { limit })
        .and_then(|elements| deserializer.end().map(|()| elements));
    elements.map_err(|error| match error.classify() {
        Category::Data if error.to_string().starts_with(TOO_MANY) => Problem::TooMany { limit },
        Category::Data => Problem::NotAnArray,
        Category::Syntax | Category::Eof | Category::Io => Problem::NotJson {
            sentence: describe(&error, body.len()),
        },
    })
}

struct Elements {
    limit: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element::<&RawValue>()? {
            if elements.len() == self.limit {
                return Err(A::Error::custom(TOO_MANY));
            }
            elements.push(element.get().as_bytes());
        }
        Ok(elements)
    }
}

/// The lines of NDJSON; blank ones do not count.
pub fn lines(body: &[u8], limit: usize) -> Result<Vec<&[u8]>, Problem> {
    let mut found = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if found.len() == limit {
            return Err(Problem::TooMany { limit });
        }
        found.push(line);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_array_is_split_without_looking_into_its_elements() {
        let body = br#" [ {"a": [1, "],["]}, 2 ,"x" , null ] "#;
        let expected: Vec<&[u8]> = vec![br#"{"a": [1, "],["]}"#, b"2", b"\"x\"", b"null"];
        assert_eq!(array(body, 4), Ok(expected));
        assert_eq!(array(b"[]", 4), Ok(vec![]));
        assert_eq!(array(b"[1,2]", 1), Err(Problem::TooMany { limit: 1 }));
        for text in ["{}", "1", "\"[]\"", "null"] {
            assert_eq!(array(text.as_bytes(), 4), Err(Problem::NotAnArray), "{text}");
        }
        for text in ["", "[", "[1,]", "[1] 2", "[{]", "\u{feff}[]", "[NaN]"] {
            let outcome = array(text.as_bytes(), 4);
            assert!(
                matches!(outcome, Err(Problem::NotJson { .. })),
                "{text}: {outcome:?}"
            );
        }
    }

    #[test]
    fn lines_may_end_in_either_way_and_blank_ones_do_not_count() {
        let expected: Vec<&[u8]> = vec![b"{\"a\":1}", b"x"];
        assert_eq!(lines(b"\n{\"a\":1}\r\n\r\n  x", 2), Ok(expected));
        assert_eq!(lines(b"", 2), Ok(vec![]));
        assert_eq!(lines(b"1\n2\n3", 2), Err(Problem::TooMany { limit: 2 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(body in prop::collection::vec(any::<u8>(), 0..300), limit in 0_usize..5) {
            for parts in [array(&body, limit), lines(&body, limit)].into_iter().flatten() {
                prop_assert!(parts.len() <= limit);
            }
        }

        #[test]
        fn what_was_written_comes_back(values in prop::collection::vec("[a-z\"\\\\\\[\\],{}\u{e9}]{0,12}", 0..8)) {
            let text = serde_json::to_string(&values).unwrap();
            let parts = array(text.as_bytes(), 8).unwrap();
            let back: Vec<String> = parts.iter().map(|part| serde_json::from_slice(part).unwrap()).collect();
            prop_assert_eq!(back, values);
        }
    }
}
