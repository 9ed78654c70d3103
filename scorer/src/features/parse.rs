//! A JSON object straight into the tensor row, in one pass: the usual form by `usual`, any other by the visitor here.

mod usual;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use super::{
    card_number,
    problem::{Input, Problem},
    schema::Schema,
    transaction::Transaction,
    value::{CARD_NUMBER, MAX_DEPTH, Scalar, Skip, TOO_DEEP, ValueSeed, ValueVisitor, Wrong},
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
pub fn parse_row(schema: &Schema, body: &[u8], row: &mut [f32]) -> Result<Transaction, Rejection> {
    if body.is_empty() {
        return Err(Problem::EmptyBody.into());
    }
    if let Some(transaction) = usual::read(schema, body, row) {
        return Ok(transaction);
    }
    read_any(schema, body, row)
}

/// Reads a request in whatever form it is.
fn read_any(schema: &Schema, body: &[u8], row: &mut [f32]) -> Result<Transaction, Rejection> {
    let mut reading = Reading {
        schema,
        row,
        transaction: Transaction::default(),
        problems: Vec::new(),
        field: None,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let outcome = deserializer
        .deserialize_map(&mut reading)
        .and_then(|seen| deserializer.end().map(|()| seen));
    match outcome {
        Ok(seen) => reading.complete(seen),
        Err(error) => Err(reading.fatal(body, &error).into()),
    }
}

/// Byte offset of a line and column, both counted from one.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let lines = body.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(body.len())
}

struct Reading<'a> {
    schema: &'a Schema,
    row: &'a mut [f32],
    transaction: Transaction,
    problems: Vec<Problem>,
    /// The known field that is being read.
    field: Option<usize>,
}

impl Reading<'_> {
    /// Fills in what is missing, by the policy of each field.
    fn complete(mut self, seen: u128) -> Result<Transaction, Rejection> {
        for (index, field) in self.schema.fields().iter().enumerate() {
            if seen & (1 << index) == 0 && !self.impute(index) {
                self.problems.push(Problem::Missing(field.name.clone()));
            }
        }
        if self.problems.is_empty() {
            Ok(self.transaction)
        } else {
            let problems = self.problems;
            Err(Rejection { problems })
        }
    }

    /// Puts the field's default into the row, if it has one.
    fn impute(&mut self, index: usize) -> bool {
        let field = &self.schema.fields()[index];
        let (Some(column), Some(default)) = (field.column, field.default) else {
            return false;
        };
        self.row[column] = default;
        self.transaction.imputed |= 1 << column;
        true
    }

    fn store(&mut self, index: usize, value: Scalar) {
        let field = &self.schema.fields()[index];
        match (field.column, value) {
            (Some(column), Scalar::Float(value)) => self.row[column] = value as f32,
            (Some(column), Scalar::Integer(value)) => self.row[column] = value as f32,
            (None, Scalar::Integer(value) | Scalar::Time(value)) => self.transaction.set(index, value),
            (_, Scalar::Null) if self.impute(index) => {}
            (_, Scalar::Null | Scalar::Time(_) | Scalar::Float(_)) => {
                let wrong = ValueVisitor(field.kind).wrong_type(Input::Null);
                self.complain(index, wrong);
            }
        }
    }

    fn complain(&mut self, index: usize, wrong: Wrong) {
        self.problems.push(Problem::Invalid {
            field: self.schema.fields()[index].name.clone(),
            code: wrong.code,
            message: wrong.message,
            input: wrong.input,
        });
    }

    fn fatal(&self, body: &[u8], error: &serde_json::Error) -> Problem {
        let text = error.to_string();
        match error.classify() {
            Category::Data if text.starts_with(TOO_DEEP) => Problem::TooDeep,
            Category::Data if text.starts_with(TOO_MANY) => Problem::TooManyFields,
            Category::Data if text.starts_with(CARD_NUMBER) => {
                Problem::CardNumber(self.field.map(|index| self.schema.fields()[index].name.clone()))
            }
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
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    /// One bit for each field that occurred.
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u128, A::Error> {
        let (mut seen, mut expected, mut count) = (0_u128, 0, 0);
        let schema = self.schema;
        while let Some(found) = map.next_key_seed(Key { schema, expected })? {
            count += 1;
            if count > MAX_FIELDS {
                return Err(A::Error::custom(TOO_MANY));
            }
            self.field = found;
            let Some(index) = found else {
                map.next_value_seed(Skip(MAX_DEPTH))?;
                continue;
            };
            expected = index + 1;
            let field = &schema.fields()[index];
            let value = map.next_value_seed(ValueSeed(field.kind))?;
            if seen & (1 << index) != 0 {
                self.problems.push(Problem::Duplicate(field.name.clone()));
                continue;
            }
            seen |= 1 << index;
            match value {
                Ok(value) => self.store(index, value),
                Err(wrong) => self.complain(index, wrong),
            }
        }
        self.field = None;
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

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        match self.schema.position(name, self.expected) {
            None if card_number::is_in(name) => Err(E::custom(CARD_NUMBER)),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests;
