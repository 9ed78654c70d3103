//! Graphs and their nodes, nested ones included.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Outline, Refusal, Trees, ValueType, clip, known_domain, node::Node, operators, refuse, tensor, types,
};
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
    let mut walk = Walk {
        nodes: 0,
        widths: widths(&outline.inputs),
    };
    graph(bytes, &mut walk, 0)?;
    outline.nodes = walk.nodes;
    Ok(())
}

/// Columns of each input that is a table of known width.
fn widths(inputs: &[(String, ValueType)]) -> BTreeMap<&str, usize> {
    let known = inputs.iter().filter_map(|(name, kind)| match kind {
        ValueType::Tensor(tensor) => match tensor.shape.as_deref() {
            Some([_, Some(columns)]) => Some((name.as_str(), usize::try_from(*columns).ok()?)),
            _ => None,
        },
        ValueType::Container | ValueType::Other => None,
    });
    known.collect()
}

/// What is known on the way through the graphs.
struct Walk<'a> {
    nodes: usize,
    /// Columns of the values that are known to be the input, passed through.
    widths: BTreeMap<&'a str, usize>,
}

impl<'a> Walk<'a> {
    /// Follows the input through operators that keep its width.
    fn pass(&mut self, node: &Node<'a>) -> Result<(), Refusal> {
        for output in &node.outputs {
            if self.widths.contains_key(output) {
                return refuse(format!("value `{}` is made twice", clip(output)));
            }
        }
        if !operators::keeps_width(node.domain, node.operator) {
            return Ok(());
        }
        let width = node.inputs.first().and_then(|name| self.widths.get(name));
        if let (Some(&width), Some(&output)) = (width, node.outputs.first()) {
            self.widths.insert(output, width);
        }
        Ok(())
    }
}

fn graph<'a>(bytes: &'a [u8], walk: &mut Walk<'a>, depth: usize) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return refuse(format!("graphs are nested deeper than {MAX_DEPTH} levels"));
    }
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => {
                walk.nodes += 1;
                if walk.nodes > MAX_NODES {
                    return refuse(format!("the model has more than {MAX_NODES} nodes"));
                }
                node(field.bytes()?, walk, depth)?;
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

fn node<'a>(bytes: &'a [u8], walk: &mut Walk<'a>, depth: usize) -> Result<(), Refusal> {
    let node = Node::read(bytes)?;
    if !known_domain(node.domain) {
        return refuse(format!(
            "a node is of domain `{}`; only ai.onnx and ai.onnx.ml can be served",
            clip(node.domain)
        ));
    }
    for attribute in &node.attributes {
        look_into(attribute.bytes, walk, depth)?;
    }
    if !operators::is_known(node.domain, node.operator) {
        return refuse(format!(
            "operator `{}` is none that a fraud model is made of; docs/scoring.md lists them",
            clip(node.operator)
        ));
    }
    if let Some(name) = node.twice() {
        return refuse(format!("a node has attribute `{}` twice", clip(name)));
    }
    if let Some(trees) = Trees::of(&node)? {
        let source = node.inputs.first().copied().unwrap_or_default();
        let Some(&width) = walk.widths.get(source).filter(|_| depth == 0) else {
            return refuse(format!(
                "the trees read `{}`, whose width is unknown, so their feature ids cannot be checked; they may read the \
                 model's input [N,columns], through Identity, Cast, Scaler, Imputer, Normalizer or Binarizer",
                clip(source)
            ));
        };
        trees.links(width)?;
    }
    walk.pass(&node)
}

fn look_into<'a>(attribute: &'a [u8], walk: &mut Walk<'a>, depth: usize) -> Result<(), Refusal> {
    for field in Fields::of(attribute) {
        let field = field?;
        match field.number {
            5 | 10 => {
                tensor::check(field.bytes()?)?;
            }
            6 | 11 => graph(field.bytes()?, walk, depth + 1)?,
            22 | 23 => tensor::check_sparse(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}
