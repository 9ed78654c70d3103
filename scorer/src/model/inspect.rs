//! A look into the ONNX file before ONNX Runtime sees a byte of it.
//!
//! Reads what the scorer must know (inputs, outputs, metadata), and refuses what a fraud model has no use for and what has
//! been used against ONNX runtimes: data outside the file, operators of foreign domains and such that no trainer needs,
//! functions, training graphs, absurd sizes and nesting, and trees whose ids lead astray. What remains is still untrusted;
//! it is only the kind of file that a trainer writes.

mod graph;
mod links;
mod node;
mod operators;
mod tensor;
mod trees;
mod types;

pub(crate) use links::Links;
pub(crate) use node::Node;
pub(crate) use trees::{Aggregate, Mode, Transform, Trees};
pub use types::{Tensor, ValueType};

use std::collections::BTreeMap;

use super::{
    ModelError, Reason,
    wire::{Fields, WireError},
};

/// What the walk found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// Version of the file format.
    pub ir_version: i64,
    /// Program that wrote the file.
    pub producer: String,
    /// Inputs that a caller must give, by name.
    pub inputs: Vec<(String, ValueType)>,
    /// Outputs, by name.
    pub outputs: Vec<(String, ValueType)>,
    /// Metadata, by key.
    pub metadata: BTreeMap<String, String>,
    /// Nodes, those of nested graphs included.
    pub nodes: usize,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the file is no readable ONNX model: {0}")]
    Wire(#[from] WireError),
    #[error("the file is no ONNX model: it has no {0}")]
    Absent(&'static str),
    #[error("{0}")]
    Unsafe(String),
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsafe(message.into()))
}

/// Domains whose operators ONNX Runtime itself brings.
fn known_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx" | "ai.onnx.ml")
}

/// Walks the file. Never panics and never allocates more than a small multiple of the file's size.
pub fn inspect(bytes: &[u8]) -> Result<Outline, ModelError> {
    walk(bytes).map_err(|refusal| ModelError::new(Reason::NotOnnx, refusal.to_string()))
}

fn walk(bytes: &[u8]) -> Result<Outline, Refusal> {
    if bytes.is_empty() {
        return refuse("the file is empty");
    }
    let mut outline = Outline::default();
    let mut graphs = 0;
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => outline.ir_version = field.integer()?,
            2 => outline.producer = field.text()?.chars().take(100).collect(),
            7 => {
                graphs += 1;
                graph::main(field.bytes()?, &mut outline)?;
            }
            8 => opset(field.bytes()?)?,
            14 => {
                let (key, value) = entry(field.bytes()?)?;
                if outline
                    .metadata
                    .insert(key.to_owned(), value.to_owned())
                    .is_some()
                {
                    return refuse(format!("metadata key {key} occurs twice"));
                }
            }
            20 => return refuse("the file holds a training graph; export the model for inference only"),
            25 => {
                return refuse(
                    "the file holds model-local functions; inline them before the export (onnx.inliner)",
                );
            }
            _ => {}
        }
    }
    match (graphs, outline.ir_version) {
        (0, _) => Err(Refusal::Absent("graph")),
        (1, 1..) => Ok(outline),
        (1, _) => Err(Refusal::Absent("IR version")),
        _ => refuse("the file holds more than one graph"),
    }
}

fn opset(bytes: &[u8]) -> Result<(), Refusal> {
    for field in Fields::of(bytes) {
        let field = field?;
        if field.number == 1 && !known_domain(field.text()?) {
            return refuse(format!(
                "the model uses operators of domain `{}`; only ai.onnx and ai.onnx.ml can be served",
                clip(field.text()?)
            ));
        }
    }
    Ok(())
}

/// One key and value of a list of texts.
fn entry(bytes: &[u8]) -> Result<(&str, &str), Refusal> {
    let (mut key, mut value) = ("", "");
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A name of the file, short enough for a message.
fn clip(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;
