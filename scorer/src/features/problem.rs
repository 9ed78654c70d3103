//! What is wrong with a request, in the shape that clients of the reference API expect.

use serde_json::{Value, json};

/// What the offending input was. Texts, containers and long numbers are named, never repeated: they may be card numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number of at most 12 digits.
    Number(serde_json::Number),
    /// Anything else, by its kind.
    Kind(&'static str),
}

impl Input {
    /// A whole number; long ones lose their digits.
    pub fn integer(value: i64) -> Self {
        if value.unsigned_abs() < 1_000_000_000_000 {
            Self::Number(value.into())
        } else {
            Self::Kind("<number>")
        }
    }

    /// A float; large ones lose their digits.
    pub fn float(value: f64) -> Self {
        let small = value.abs() < 1e12;
        serde_json::Number::from_f64(value)
            .filter(|_| small)
            .map_or(Self::Kind("<number>"), Self::Number)
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => Value::Number(n.clone()),
            Self::Kind(kind) => Value::from(*kind),
        }
    }
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
        assert_eq!(Input::float(4_111_111_111_111_111.0).to_json(), json!("<number>"));
        assert_eq!(Input::integer(7).to_json(), json!(7));
    }
}
