//! The numbers of a JSON tensor: flat, or nested as the shape says.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
};

use super::super::tensor::{Datatype, Invalid, finite};

/// Numbers in row-major order, and how they were nested.
#[derive(Debug, Default)]
pub struct Data {
    values: Vec<f64>,
    whole: bool,
    /// Length of the nested lists, when there are any.
    nested: Option<usize>,
}

impl Data {
    /// The values as FP32, if there are `count` of them and their nesting fits the width.
    pub fn rows(self, datatype: Datatype, count: usize, width: usize) -> Result<Vec<f32>, Invalid> {
        let wrong = |problem: String| Err(Invalid::at("inputs[0].data", problem));
        if self.nested.is_some_and(|length| length != width) {
            return wrong(format!("every row must have {width} numbers"));
        }
        if self.values.len() != count {
            return wrong(format!("the shape needs {count} numbers"));
        }
        if datatype == Datatype::Int64 && !self.whole {
            return wrong("a number of datatype INT64 is not whole".to_owned());
        }
        let values = self.values.into_iter().enumerate();
        values.map(|(index, value)| finite(value, index, width)).collect()
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self {
            whole: true,
            ..Self::default()
        };
        deserializer.deserialize_seq(Level {
            data: &mut data,
            depth: 0,
        })?;
        Ok(data)
    }
}

/// A list: the whole tensor at depth 0, a row at depth 1.
struct Level<'a> {
    data: &'a mut Data,
    depth: usize,
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, or of lists of numbers of one length")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut numbers = 0_usize;
        let mut rows = 0_usize;
        while let Some(was_row) = list.next_element_seed(Element {
            data: &mut *self.data,
            depth: self.depth,
        })? {
            if was_row {
                rows += 1;
            } else {
                numbers += 1;
            }
            if rows > 0 && numbers > 0 {
                return Err(A::Error::custom("data mixes numbers and lists"));
            }
        }
        if self.depth == 1 {
            match self.data.nested {
                Some(length) if length != numbers => {
                    return Err(A::Error::custom("the lists of data differ in length"));
                }
                _ => self.data.nested = Some(numbers),
            }
        }
        Ok(())
    }
}

/// A number, or at depth 0 a row; true for a row.
struct Element<'a> {
    data: &'a mut Data,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, value: f64) -> Result<bool, E> {
        self.data.whole &= value.fract() == 0.0;
        self.data.values.push(value);
        Ok(false)
    }

    fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
        self.data.values.push(value as f64);
        Ok(false)
    }

    fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
        self.data.values.push(value as f64);
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        if self.depth > 0 {
            return Err(A::Error::custom("data is nested deeper than its shape"));
        }
        let row = Level {
            data: self.data,
            depth: 1,
        };
        row.visit_seq(list).map(|()| true)
    }
}
