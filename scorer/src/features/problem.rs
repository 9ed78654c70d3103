//! What is wrong with a request, in the shape that clients of the reference API expect.

use serde_json::{Value, json};

/// What the offending input was. Texts, containers and long numbers are named, never repeated: they may be card numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; of a long one only that it is one is said.
    Number(serde_json::Number),
    /// Anything else, by its kind.
    Kind(&'static str),
}

impl Input {
    /// A whole number.
    pub fn integer(value: i64) -> Self {
        Self::Number(value.into())
    }

    /// A float.
    pub fn float(value: f64) -> Self {
        serde_json::Number::from_f64(value).map_or(Self::Kind(NUMBER), Self::Number)
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) if digits(n) <= MOST_DIGITS => Value::Number(n.clone()),
            Self::Number(_) => Value::from(NUMBER),
            Self::Kind(kind) => Value::from(*kind),
        }
    }
}

/// Stands for a number that is not repeated.
const NUMBER: &str = "<number>";

/// One less than the shortest card number has.
const MOST_DIGITS: usize = 12;

/// Digits of the number as it would be repeated, those of a fraction too.
fn digits(number: &serde_json::Number) -> usize {
    number.to_string().bytes().filter(u8::is_ascii_digit).count()
}

/// One finding about a request. Several of them make one 422.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The body is empty.
    EmptyBody,
    /// Not JSON, from this byte on.
    NotJson {
        /// Offset of the byte that could not be read.
        at: usize,
        /// What the parser expected.
        error: String,
    },
    /// JSON, but not one object.
    NotAnObject,
    /// Nested deeper than any honest request.
    TooDeep,
    /// More fields than any honest request.
    TooManyFields,
    /// A text holds a card number. It is not repeated, nor is an unknown field that holds it.
    CardNumber(Option<Box<str>>),
    /// A required field is absent.
    Missing(Box<str>),
    /// A known field occurs twice.
    Duplicate(Box<str>),
    /// A field has the wrong type or value.
    Invalid {
        /// The field.
        field: Box<str>,
        /// Stable code of the finding.
        code: &'static str,
        /// The same in words.
        message: &'static str,
        /// What was there.
        input: Input,
    },
}

impl Problem {
    /// Label of `fraud_request_errors_total`.
    pub fn kind(&self) -> crate::metrics::RequestError {
        match self {
            Self::EmptyBody | Self::NotJson { .. } => crate::metrics::RequestError::InvalidJson,
            Self::CardNumber(_) => crate::metrics::RequestError::CardNumber,
            _ => crate::metrics::RequestError::InvalidRequest,
        }
    }

    /// One entry of `detail`.
    pub fn to_json(&self) -> Value {
        let entry = |code: &str, loc: Value, msg: &str, input: Value| json!({"type": code, "loc": loc, "msg": msg, "input": input});
        let object = || Value::from("<object>");
        match self {
            Self::EmptyBody => entry("missing", json!(["body"]), "Field required", Value::Null),
            Self::NotJson { at, error } => json!({
                "type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error", "input": {}, "ctx": {"error": error},
            }),
            Self::NotAnObject => entry(
                "model_attributes_type",
                json!(["body"]),
                "Input should be a valid dictionary",
                Value::from("<value>"),
            ),
            Self::TooDeep => entry(
                "recursion_loop",
                json!(["body"]),
                "Input should not be nested deeper than 8 levels",
                object(),
            ),
            Self::TooManyFields => entry(
                "too_long",
                json!(["body"]),
                "Input should have at most 256 fields",
                object(),
            ),
            Self::CardNumber(field) => {
                let mut loc = vec!["body"];
                loc.extend(field.as_deref());
                let message =
                    "Input should not hold a card number: send a token of it, or leave the field out";
                entry("card_number", json!(loc), message, Value::from("<string>"))
            }
            Self::Missing(field) => entry("missing", json!(["body", field]), "Field required", object()),
            Self::Duplicate(field) => entry(
                "duplicate_field",
                json!(["body", field]),
                "Field should occur only once",
                object(),
            ),
            Self::Invalid {
                field,
                code,
                message,
                input,
            } => entry(code, json!(["body", field]), message, input.to_json()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_has_the_shape_of_the_reference() {
        let entry = Problem::Missing("TX_AMOUNT".into()).to_json();
        assert_eq!(entry["type"], "missing");
        assert_eq!(entry["loc"], json!(["body", "TX_AMOUNT"]));
        assert_eq!(entry["msg"], "Field required");
        assert!(entry.get("input").is_some());
    }

    #[test]
    fn long_numbers_are_never_repeated() {
        assert_eq!(Input::integer(4_111_111_111_111_111).to_json(), json!("<number>"));
        for value in [
            4_111_111_111_111_111.0,
            0.411_111_111_111_111_1,
            4_111.111_111_111_111,
        ] {
            assert_eq!(Input::float(value).to_json(), json!("<number>"), "{value}");
        }
        assert_eq!(Input::integer(7).to_json(), json!(7));
        assert_eq!(
            Input::integer(-123_456_789_012).to_json(),
            json!(-123_456_789_012_i64)
        );
        assert_eq!(Input::float(0.25).to_json(), json!(0.25));
    }
}
