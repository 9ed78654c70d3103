//! The single-pass visitor: a JSON object straight into the tensor row.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use super::{
    problem::Problem,
    schema::Schema,
    value::{MAX_DEPTH, Skip, TOO_DEEP, ValueSeed},
};

/// Fields that an object may have before it is refused, known and unknown ones together.
const MAX_FIELDS: usize = 256;
const TOO_MANY: &str = "too many fields";

/// Why a body has no row: at least one problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// All findings, in the order of the body, missing fields last.
    pub problems: Vec<Problem>,
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// Reads a request into `row`, whose length is the schema's width. On a rejection the row's content means nothing.
pub fn parse_row(schema: &Schema, body: &[u8], row: &mut [f32]) -> Result<(), Rejection> {
    if body.is_empty() {
        return Err(Problem::EmptyBody.into());
    }
    let mut problems = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let visitor = Row {
        schema,
        row,
        problems: &mut problems,
    };
    let outcome = deserializer
        .deserialize_map(visitor)
        .and_then(|seen| deserializer.end().map(|()| seen));
    let seen = outcome.map_err(|error| fatal(body, &error))?;
    for (index, field) in schema.fields().iter().enumerate() {
        if seen & (1 << index) == 0 {
            problems.push(Problem::Missing(field.name));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Rejection { problems })
    }
}

fn fatal(body: &[u8], error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    match error.classify() {
        Category::Data if text.starts_with(TOO_DEEP) => Problem::TooDeep,
        Category::Data if text.starts_with(TOO_MANY) => Problem::TooManyFields,
        Category::Data => Problem::NotAnObject,
        Category::Syntax | Category::Eof | Category::Io => {
            let words = text.split(" at line ").next().unwrap_or_default();
            Problem::NotJson {
                at: offset(body, error.line(), error.column()),
                error: words.to_owned(),
            }
        }
    }
}

/// Byte offset of a line and column, both counted from one.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let lines = body.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(body.len())
}

struct Row<'a> {
    schema: &'a Schema,
    row: &'a mut [f32],
    problems: &'a mut Vec<Problem>,
}

impl<'de> Visitor<'de> for Row<'_> {
    /// One bit for each field that occurred.
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let (mut seen, mut expected, mut count) = (0_u64, 0, 0);
        while let Some(found) = map.next_key_seed(Key {
            schema: self.schema,
            expected,
        })? {
            count += 1;
            if count > MAX_FIELDS {
                return Err(A::Error::custom(TOO_MANY));
            }
            let Some(index) = found else {
                map.next_value_seed(Skip(MAX_DEPTH))?;
                continue;
            };
            expected = index + 1;
            let field = &self.schema.fields()[index];
            let value = map.next_value_seed(ValueSeed(field.kind))?;
            if seen & (1 << index) != 0 {
                self.problems.push(Problem::Duplicate(field.name));
                continue;
            }
            seen |= 1 << index;
            match (value, field.column) {
                (Ok(value), Some(column)) => self.row[column] = value as f32,
                (Ok(_), None) => {}
                (Err(wrong), _) => self.problems.push(Problem::Invalid {
                    field: field.name,
                    code: wrong.code,
                    message: wrong.message,
                    input: wrong.input,
                }),
            }
        }
        Ok(seen)
    }
}

struct Key<'a> {
    schema: &'a Schema,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.schema.position(name, self.expected))
    }
}

#[cfg(test)]
mod tests;
