//! Types of inputs and outputs.

use std::fmt;

use super::{Refusal, refuse};
use crate::model::wire::Fields;

/// ONNX's number for 32-bit floats.
const FLOAT: i64 = 1;

/// Element type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// ONNX's number of the element type.
    pub element: i64,
    /// The dimensions: a size, or none where it is free. No list at all when the file says nothing of the shape.
    pub shape: Option<Vec<Option<i64>>>,
}

impl Tensor {
    /// Whether the elements are 32-bit floats.
    pub fn is_float(&self) -> bool {
        self.element == FLOAT
    }
}

/// What an input or output holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A tensor.
    Tensor(Tensor),
    /// A sequence or map, such as ZipMap makes.
    Container,
    /// Something else, or nothing that the file would say.
    Other,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Tensor(tensor) = self else {
            return f.write_str(if *self == Self::Container {
                "sequence or map"
            } else {
                "unknown"
            });
        };
        match tensor.element {
            FLOAT => f.write_str("float32")?,
            7 => f.write_str("int64")?,
            8 => f.write_str("string")?,
            11 => f.write_str("float64")?,
            other => write!(f, "element type {other}")?,
        }
        let Some(shape) = &tensor.shape else { return Ok(()) };
        let sizes: Vec<_> = shape
            .iter()
            .map(|d| d.map_or("N".to_owned(), |n| n.to_string()))
            .collect();
        write!(f, "[{}]", sizes.join(","))
    }
}

/// Name and type of an input or output.
pub fn value_info(bytes: &[u8]) -> Result<(String, ValueType), Refusal> {
    let (mut name, mut kind) = (String::new(), ValueType::Other);
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => name = field.text()?.to_owned(),
            2 => kind = value_type(field.bytes()?)?,
            _ => {}
        }
    }
    if name.is_empty() || name.len() > 256 {
        return refuse("an input or output has no name, or one of more than 256 bytes");
    }
    Ok((name, kind))
}

fn value_type(bytes: &[u8]) -> Result<ValueType, Refusal> {
    let mut kind = ValueType::Other;
    for field in Fields::of(bytes) {
        let field = field?;
        kind = match field.number {
            1 => ValueType::Tensor(tensor_type(field.bytes()?)?),
            4 | 5 => ValueType::Container,
            _ => continue,
        };
    }
    Ok(kind)
}

fn tensor_type(bytes: &[u8]) -> Result<Tensor, Refusal> {
    let mut tensor = Tensor {
        element: 0,
        shape: None,
    };
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => tensor.element = field.integer()?,
            2 => tensor.shape = Some(shape(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(tensor)
}

fn shape(bytes: &[u8]) -> Result<Vec<Option<i64>>, Refusal> {
    let mut sizes = Vec::new();
    for dimension in Fields::of(bytes) {
        let dimension = dimension?;
        if dimension.number != 1 {
            continue;
        }
        if sizes.len() == 16 {
            return refuse("an input or output has more than 16 dimensions");
        }
        let mut size = None;
        for field in Fields::of(dimension.bytes()?) {
            let field = field?;
            if field.number == 1 {
                size = Some(field.integer()?).filter(|n| *n >= 0);
            }
        }
        sizes.push(size);
    }
    Ok(sizes)
}
