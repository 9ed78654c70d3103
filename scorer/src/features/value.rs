//! One value of a request, checked by the kind of its field.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{card_number, datetime::milliseconds, problem::Input, schema::Kind};

/// How deep a value may nest before the request is refused.
pub const MAX_DEPTH: usize = 8;

/// The text of the error that says so; `parse` recognises it.
pub const TOO_DEEP: &str = "nested too deeply";

/// The text of the error that says that a text holds a card number.
pub const CARD_NUMBER: &str = "holds a card number";

/// A value that fits its field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Of an integer or flag.
    Integer(i64),
    /// Of a float.
    Float(f64),
    /// Milliseconds since 1970.
    Time(i64),
    /// `null`.
    Null,
}

/// Code and message of a wrong value, as the reference words them.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    pub code: &'static str,
    pub message: &'static str,
    pub input: Input,
}

/// Reads one value of a known field. A wrong value is a finding, not an error, so that all of them can be listed.
pub struct ValueSeed(pub Kind);

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Result<Scalar, Wrong>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor(self.0))
    }
}

pub(super) struct ValueVisitor(pub(super) Kind);

impl ValueVisitor {
    pub(super) fn wrong_type(&self, input: Input) -> Wrong {
        let (code, message) = match self.0 {
            Kind::Integer | Kind::Flag => ("int_type", "Input should be a valid integer"),
            Kind::Float => ("float_type", "Input should be a valid number"),
            Kind::DateTime => ("datetime_type", "Input should be a valid datetime"),
        };
        Wrong { code, message, input }
    }

    fn whole(&self, value: i64, input: Input) -> Result<Scalar, Wrong> {
        match self.0 {
            Kind::Flag if value == 0 || value == 1 => Ok(Scalar::Integer(value)),
            Kind::Flag => Err(Wrong {
                code: "literal_error",
                message: "Input should be 0 or 1",
                input,
            }),
            Kind::Float => Ok(Scalar::Float(value as f64)),
            Kind::Integer => Ok(Scalar::Integer(value)),
            Kind::DateTime => Err(self.wrong_type(input)),
        }
    }
}

fn finite(value: f64, input: Input) -> Result<Scalar, Wrong> {
    if (value as f32).is_finite() {
        return Ok(Scalar::Float(value));
    }
    Err(Wrong {
        code: "finite_number",
        message: "Input should be a finite 32-bit number",
        input,
    })
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Result<Scalar, Wrong>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.whole(value, Input::integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let Ok(signed) = i64::try_from(value) else {
            return Ok(match self.0 {
                Kind::Float => Ok(Scalar::Float(value as f64)),
                _ => Err(Wrong {
                    code: "int_parsing_size",
                    message: "Input should be an integer of at most 64 bits",
                    input: Input::Number(value.into()),
                }),
            });
        };
        Ok(self.whole(signed, Input::integer(signed)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        let input = Input::float(value);
        Ok(match self.0 {
            Kind::Float => finite(value, input),
            Kind::DateTime => Err(self.wrong_type(input)),
            Kind::Integer | Kind::Flag if value.fract() == 0.0 && value.abs() < i64::MAX as f64 => {
                self.whole(value as i64, input)
            }
            Kind::Integer | Kind::Flag => Err(Wrong {
                code: "int_from_float",
                message: "Input should be a valid integer, got a number with a fractional part",
                input,
            }),
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if card_number::is_in(text) {
            return Err(E::custom(CARD_NUMBER));
        }
        Ok(match self.0 {
            Kind::DateTime => milliseconds(text).map(Scalar::Time).ok_or(Wrong {
                code: "datetime_from_date_parsing",
                message: "Input should be a valid datetime",
                input: Input::Kind("<string>"),
            }),
            _ => Err(self.wrong_type(Input::Kind("<string>"))),
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Err(self.wrong_type(Input::Bool(value))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(Scalar::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Skip(MAX_DEPTH).visit_seq(seq)?;
        Ok(Err(self.wrong_type(Input::Kind("<array>"))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip(MAX_DEPTH).visit_map(map)?;
        Ok(Err(self.wrong_type(Input::Kind("<object>"))))
    }
}

/// Reads over the value of an unknown field, down to a bounded depth.
#[derive(Clone, Copy)]
pub struct Skip(pub usize);

impl Skip {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if card_number::is_in(text) {
            return Err(E::custom(CARD_NUMBER));
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while map.next_key_seed(inner)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
