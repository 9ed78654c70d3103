//! JSON as it may come: any value is read, and only syntax is an error, so that one bad item does not spoil the others.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The text of the error for a list that is too long; `parse` recognises it.
pub const TOO_MANY: &str = "too many items";

/// One value of a field.
#[derive(Debug, Default, PartialEq)]
pub enum Scalar<'a> {
    /// The field is not there.
    #[default]
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(u64),
    /// A string.
    Text(Cow<'a, str>),
    /// Anything else.
    Other,
}

/// The fields of an item that mean something; others are read over.
#[derive(Debug, Default, PartialEq)]
pub struct Fields<'a> {
    pub receipt: Scalar<'a>,
    pub label: Scalar<'a>,
    pub time: Scalar<'a>,
    pub source: Scalar<'a>,
    /// A field that was there twice.
    pub duplicate: Option<&'static str>,
}

/// One item, or something else.
#[derive(Debug, PartialEq)]
pub enum Element<'a> {
    Object(Fields<'a>),
    Other,
}

/// A whole body.
#[derive(Debug, PartialEq)]
pub enum Body<'a, const MAX: usize> {
    One(Fields<'a>),
    Many(Vec<Element<'a>>),
    Other,
}

/// Everything that is neither an object nor a list means `$other`.
macro_rules! scalars_are {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Integer(value))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain(seq).map(|()| Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Scalar::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Element<'de>;

            scalars_are!(Element::Other);
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain(seq).map(|()| Element::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                fields(map).map(Element::Object)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Body<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for Any<MAX> {
            type Value = Body<'de, MAX>;

            scalars_are!(Body::Other);
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    items.push(element);
                }
                Ok(Body::Many(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                fields(map).map(Body::One)
            }
        }
        deserializer.deserialize_any(Any::<MAX>)
    }
}

fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn fields<'de, A: MapAccess<'de>>(mut map: A) -> Result<Fields<'de>, A::Error> {
    let mut fields = Fields::default();
    while let Some(key) = map.next_key::<Cow<'de, str>>()? {
        let (name, slot) = match key.as_ref() {
            "receipt" => ("receipt", &mut fields.receipt),
            "label" => ("label", &mut fields.label),
            "time" => ("time", &mut fields.time),
            "source" => ("source", &mut fields.source),
            _ => {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        let value = map.next_value()?;
        if *slot != Scalar::Absent {
            fields.duplicate = Some(name);
        }
        *slot = value;
    }
    Ok(fields)
}
