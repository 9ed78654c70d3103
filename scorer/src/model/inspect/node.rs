//! One node of a graph: its operator, its names, its attributes.

use crate::model::wire::{Fields, WireError};

/// A node, borrowed from the file.
#[derive(Debug, Default)]
pub struct Node<'a> {
    /// The operator, such as `Scaler`.
    pub operator: &'a str,
    /// The operator's domain; empty for ONNX's own.
    pub domain: &'a str,
    /// Names of the values that it reads.
    pub inputs: Vec<&'a str>,
    /// Names of the values that it makes.
    pub outputs: Vec<&'a str>,
    /// Its attributes, in the order of the file.
    pub attributes: Vec<Attribute<'a>>,
}

impl<'a> Node<'a> {
    /// Reads a NodeProto. Nested graphs and tensors are not looked into.
    pub fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut node = Self::default();
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                4 => node.operator = field.text()?,
                5 => node.attributes.push(Attribute::read(field.bytes()?)?),
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        if node.domain == "ai.onnx" {
            node.domain = "";
        }
        Ok(node)
    }

    /// An attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// A name that two attributes have, which readers of the format treat differently.
    pub fn twice(&self) -> Option<&'a str> {
        let mut names: Vec<_> = self.attributes.iter().map(|a| a.name).collect();
        names.sort_unstable();
        names
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
    }
}

/// One attribute of a node.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its AttributeProto.
    pub bytes: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut name = "";
        for field in Fields::of(bytes) {
            let field = field?;
            if field.number == 1 {
                name = field.text()?;
            }
        }
        Ok(Self { name, bytes })
    }

    /// The single whole number, if it has one.
    pub fn integer(&self) -> Result<Option<i64>, WireError> {
        let mut value = None;
        for field in Fields::of(self.bytes) {
            let field = field?;
            if field.number == 3 {
                value = Some(field.integer()?);
            }
        }
        Ok(value)
    }

    /// The single text, if it has one.
    pub fn text(&self) -> Result<Option<&'a str>, WireError> {
        let mut value = None;
        for field in Fields::of(self.bytes) {
            let field = field?;
            if field.number == 4 {
                value = Some(field.text()?);
            }
        }
        Ok(value)
    }

    /// Calls `each` for every number of a list.
    pub fn floats(&self, mut each: impl FnMut(f32)) -> Result<(), WireError> {
        for field in Fields::of(self.bytes) {
            let field = field?;
            if field.number == 7 {
                field.floats(&mut each)?;
            }
        }
        Ok(())
    }

    /// Calls `each` for every whole number of a list.
    pub fn integers(&self, mut each: impl FnMut(i64)) -> Result<(), WireError> {
        for field in Fields::of(self.bytes) {
            let field = field?;
            if field.number == 8 {
                field.integers(&mut each)?;
            }
        }
        Ok(())
    }

    /// Calls `each` for every text of a list.
    pub fn texts(&self, mut each: impl FnMut(&'a [u8])) -> Result<(), WireError> {
        for field in Fields::of(self.bytes) {
            let field = field?;
            if field.number == 9 {
                each(field.bytes()?);
            }
        }
        Ok(())
    }
}
