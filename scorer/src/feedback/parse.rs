//! From a body to items: pure.

use jiff::Timestamp;
use thiserror::Error;

use super::{
    element::{Body, Element, Fields, Scalar, TOO_MANY},
    item::{Item, Label, Refusal, Source},
};

/// Items that one request may have.
pub const MAX_ITEMS: usize = 512;
/// Bytes that one request may have.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One JSON object, or an array of them.
    Json,
    /// One JSON object for each line.
    Lines,
}

impl Content {
    /// From the value of `Content-Type`; JSON where there is none.
    ///
    /// # Errors
    /// [`BodyError::ContentType`] for anything but `application/json` and `application/x-ndjson`.
    pub fn from_header(value: Option<&[u8]>) -> Result<Self, BodyError> {
        let Some(value) = value else {
            return Ok(Self::Json);
        };
        let essence = value
            .split(|b| *b == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        if is("application/json") {
            Ok(Self::Json)
        } else if is("application/x-ndjson") {
            Ok(Self::Lines)
        } else {
            Err(BodyError::ContentType)
        }
    }
}

/// Why a whole body is refused. Then nothing of it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Neither JSON nor lines of it.
    #[error(
        "send application/json (one object or an array) or application/x-ndjson (one object for each line)"
    )]
    ContentType,
    /// More bytes than [`MAX_BODY_BYTES`].
    #[error("the body has more than {MAX_BODY_BYTES} bytes: send it in parts")]
    TooLarge,
    /// More items than [`MAX_ITEMS`].
    #[error("the body has more than {MAX_ITEMS} items: send it in parts")]
    TooMany,
    /// No item at all.
    #[error("the body has no item")]
    Empty,
    /// A JSON body that cannot be read to its end.
    #[error("the body is not JSON, from line {line}, column {column} on")]
    NotJson {
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
    },
    /// JSON, but neither an object nor an array.
    #[error("the body must be an object or an array of objects")]
    NotItems,
}

/// The items of a body, each of them good or refused, in their order.
///
/// # Errors
/// [`BodyError`] when the body as a whole cannot be used.
pub fn parse(content: Content, body: &[u8]) -> Result<Vec<Result<Item<'_>, Refusal>>, BodyError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(BodyError::TooLarge);
    }
    let items = match content {
        Content::Json => whole(body)?,
        Content::Lines => lines(body)?,
    };
    if items.is_empty() {
        return Err(BodyError::Empty);
    }
    Ok(items)
}

fn whole(body: &[u8]) -> Result<Vec<Result<Item<'_>, Refusal>>, BodyError> {
    if body.trim_ascii().is_empty() {
        return Err(BodyError::Empty);
    }
    let parsed = serde_json::from_slice::<Body<'_, MAX_ITEMS>>(body).map_err(|error| {
        if error.is_data() && error.to_string().starts_with(TOO_MANY) {
            BodyError::TooMany
        } else {
            BodyError::NotJson {
                line: error.line(),
                column: error.column(),
            }
        }
    })?;
    match parsed {
        Body::One(fields) => Ok(vec![item(fields)]),
        Body::Many(elements) => Ok(elements.into_iter().map(element).collect()),
        Body::Other => Err(BodyError::NotItems),
    }
}

fn lines(body: &[u8]) -> Result<Vec<Result<Item<'_>, Refusal>>, BodyError> {
    let mut items = Vec::new();
    let lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| !line.is_empty()) {
        if items.len() == MAX_ITEMS {
            return Err(BodyError::TooMany);
        }
        let parsed = serde_json::from_slice(line);
        items.push(parsed.map_or(Err(Refusal::NotJson), element));
    }
    Ok(items)
}

fn element(element: Element<'_>) -> Result<Item<'_>, Refusal> {
    match element {
        Element::Object(fields) => item(fields),
        Element::Other => Err(Refusal::NotAnObject),
    }
}

fn item(fields: Fields<'_>) -> Result<Item<'_>, Refusal> {
    let Fields {
        receipt,
        label,
        time,
        source,
        duplicate,
    } = fields;
    if let Some(field) = duplicate {
        return Err(Refusal::Duplicate(field));
    }
    let receipt = match receipt {
        Scalar::Text(text) => text,
        other => return Err(wrong("receipt", &other)),
    };
    let label = match &label {
        Scalar::Bool(true) | Scalar::Integer(1) => Label::Fraud,
        Scalar::Bool(false) | Scalar::Integer(0) => Label::Genuine,
        Scalar::Text(text) => named(Label::ALL, Label::as_str, text).ok_or(Refusal::Invalid("label"))?,
        other => return Err(wrong("label", other)),
    };
    let time = match &time {
        Scalar::Text(text) if text.len() <= 40 => {
            text.parse::<Timestamp>().map_err(|_| Refusal::Invalid("time"))?
        }
        other => return Err(wrong("time", other)),
    };
    let source = match &source {
        Scalar::Text(text) => named(Source::ALL, Source::as_str, text).ok_or(Refusal::Invalid("source"))?,
        other => return Err(wrong("source", other)),
    };
    Ok(Item {
        receipt,
        label,
        time,
        source,
    })
}

fn wrong(field: &'static str, value: &Scalar<'_>) -> Refusal {
    match value {
        Scalar::Absent => Refusal::Missing(field),
        _ => Refusal::Invalid(field),
    }
}

fn named<T: Copy, const N: usize>(all: [T; N], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.into_iter().find(|one| name(*one) == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str =
        r#"{"receipt":"AQ","label":"fraud","time":"2026-11-24T01:02:03Z","source":"chargeback"}"#;

    fn json(body: &str) -> Vec<Result<Item<'_>, Refusal>> {
        parse(Content::Json, body.as_bytes()).unwrap()
    }

    fn with(field: &str, value: &str) -> Result<Item<'static>, Refusal> {
        let mut object: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        object[field] = serde_json::from_str(value).unwrap();
        let body = object.to_string();
        let item = json(&body).remove(0);
        item.map(|item| Item {
            receipt: item.receipt.into_owned().into(),
            ..item
        })
    }

    #[test]
    fn an_object_an_array_and_lines_are_the_same_items() {
        let item = json(GOOD).remove(0).unwrap();
        assert_eq!(item.receipt, "AQ");
        assert_eq!((item.label, item.source), (Label::Fraud, Source::Chargeback));
        assert_eq!(item.time.to_string(), "2026-11-24T01:02:03Z");
        assert_eq!(
            json(&format!("[{GOOD},\n{GOOD}]")),
            [Ok(item.clone()), Ok(item.clone())]
        );
        let lines = format!("{GOOD}\r\n\n  {GOOD}\n");
        assert_eq!(
            parse(Content::Lines, lines.as_bytes()).unwrap(),
            [Ok(item.clone()), Ok(item)]
        );
    }

    #[test]
    fn a_label_is_a_word_a_truth_value_or_a_digit() {
        for (value, label) in [
            ("\"fraud\"", Label::Fraud),
            ("true", Label::Fraud),
            ("1", Label::Fraud),
            ("\"genuine\"", Label::Genuine),
            ("false", Label::Genuine),
            ("0", Label::Genuine),
        ] {
            assert_eq!(with("label", value).unwrap().label, label, "{value}");
        }
        for value in ["\"Fraud\"", "2", "-1", "1.0", "null", "[]", "{}", "\"1\""] {
            assert_eq!(with("label", value), Err(Refusal::Invalid("label")), "{value}");
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (field, value) in [
            ("receipt", "7"),
            ("receipt", "null"),
            ("time", "\"yesterday\""),
            ("time", "\"2026-11-24\""),
            ("time", "\"2026-11-24T01:02:03\""),
            ("time", "1795000000"),
            ("source", "\"police\""),
            ("source", "{\"a\":[1,{}]}"),
        ] {
            assert_eq!(
                with(field, value),
                Err(Refusal::Invalid(field)),
                "{field} {value}"
            );
        }
        for field in ["receipt", "label", "time", "source"] {
            let without = GOOD.replace(&format!("\"{field}\""), "\"note\"");
            assert_eq!(json(&without), [Err(Refusal::Missing(field))]);
            let twice = GOOD.replace('}', &format!(",\"{field}\":0}}"));
            assert_eq!(json(&twice), [Err(Refusal::Duplicate(field))]);
        }
    }

    #[test]
    fn one_bad_item_does_not_spoil_the_others() {
        let array = format!("[1,{GOOD},[{{}}],{GOOD},\"x\",{{}},null]");
        let good: Vec<_> = json(&array).iter().map(Result::is_ok).collect();
        assert_eq!(good, [false, true, false, true, false, false, false]);
        let lines = format!("{{\n{GOOD}\nnonsense\n");
        let items = parse(Content::Lines, lines.as_bytes()).unwrap();
        assert_eq!(
            (items[0].clone(), items[2].clone()),
            (Err(Refusal::NotJson), Err(Refusal::NotJson))
        );
        assert!(items[1].is_ok());
    }

    #[test]
    fn a_body_that_is_no_list_of_items_is_refused_as_a_whole() {
        let many = vec![GOOD; MAX_ITEMS + 1];
        let most = format!("[{}]", vec![GOOD; MAX_ITEMS].join(","));
        assert_eq!(json(&most).len(), MAX_ITEMS);
        for (content, body, expected) in [
            (Content::Json, String::new(), BodyError::Empty),
            (Content::Json, " \n".to_owned(), BodyError::Empty),
            (Content::Json, "[]".to_owned(), BodyError::Empty),
            (Content::Lines, "\n\n".to_owned(), BodyError::Empty),
            (Content::Json, "7".to_owned(), BodyError::NotItems),
            (Content::Json, "\"x\"".to_owned(), BodyError::NotItems),
            (Content::Json, format!("[{}]", many.join(",")), BodyError::TooMany),
            (Content::Lines, many.join("\n"), BodyError::TooMany),
            (Content::Json, " ".repeat(MAX_BODY_BYTES + 1), BodyError::TooLarge),
            (
                Content::Json,
                format!("[{GOOD}"),
                BodyError::NotJson {
                    line: 1,
                    column: GOOD.len() + 1,
                },
            ),
        ] {
            assert_eq!(parse(content, body.as_bytes()).err(), Some(expected));
        }
        assert!(parse(Content::Json, format!("{GOOD} {GOOD}").as_bytes()).is_err());
        let deep = "[".repeat(100_000);
        assert!(matches!(
            parse(Content::Json, deep.as_bytes()),
            Err(BodyError::NotJson { .. })
        ));
    }

    #[test]
    fn the_content_type_says_how_to_read() {
        let of = |value: &'static str| Content::from_header(Some(value.as_bytes()));
        assert_eq!(Content::from_header(None), Ok(Content::Json));
        assert_eq!(of("application/json; charset=utf-8"), Ok(Content::Json));
        assert_eq!(of("Application/X-NDJSON"), Ok(Content::Lines));
        for other in [
            "text/plain",
            "",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            assert_eq!(of(other), Err(BodyError::ContentType));
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(Content::Json, &body);
            let _ = parse(Content::Lines, &body);
        }

        #[test]
        fn no_json_panics(depth in 0_usize..200, text in "[\\[\\]{}\":,0-9a-z ]{0,80}") {
            let _ = parse(Content::Json, format!("{}{text}", "[".repeat(depth)).as_bytes());
        }
    }
}
