//! Graphs and their nodes, nested ones included.

use std::collections::BTreeSet;

use super::{Outline, Refusal, clip, known_domain, refuse, tensor, types};
use crate::model::wire::Fields;

const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;
const MAX_VALUES: usize = 1024;

/// Walks the model's graph and notes its inputs and outputs.
pub fn main(bytes: &[u8], outline: &mut Outline) -> Result<(), Refusal> {
    let mut initialized = BTreeSet::new();
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            11 => outline.inputs.push(types::value_info(field.bytes()?)?),
            12 => outline.outputs.push(types::value_info(field.bytes()?)?),
            5 => {
                initialized.insert(tensor::check(field.bytes()?)?);
            }
            _ => {}
        }
        if outline.inputs.len() > MAX_VALUES || outline.outputs.len() > MAX_VALUES {
            return refuse(format!("the model has more than {MAX_VALUES} inputs or outputs"));
        }
    }
    // Old files list their weights among the inputs.
    outline
        .inputs
        .retain(|(name, _)| !initialized.contains(name.as_str()));
    graph(bytes, &mut outline.nodes, 0)
}

fn graph(bytes: &[u8], nodes: &mut usize, depth: usize) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return refuse(format!("graphs are nested deeper than {MAX_DEPTH} levels"));
    }
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => {
                *nodes += 1;
                if *nodes > MAX_NODES {
                    return refuse(format!("the model has more than {MAX_NODES} nodes"));
                }
                node(field.bytes()?, nodes, depth)?;
            }
            5 => {
                tensor::check(field.bytes()?)?;
            }
            15 => tensor::check_sparse(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}

fn node(bytes: &[u8], nodes: &mut usize, depth: usize) -> Result<(), Refusal> {
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            5 => attribute(field.bytes()?, nodes, depth)?,
            7 if !known_domain(field.text()?) => {
                let domain = clip(field.text()?);
                return refuse(format!(
                    "a node is of domain `{domain}`; only ai.onnx and ai.onnx.ml can be served"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn attribute(bytes: &[u8], nodes: &mut usize, depth: usize) -> Result<(), Refusal> {
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            5 | 10 => {
                tensor::check(field.bytes()?)?;
            }
            6 | 11 => graph(field.bytes()?, nodes, depth + 1)?,
            22 | 23 => tensor::check_sparse(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}
