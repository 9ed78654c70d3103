//! The way from the model's input to the probability, if it leads through one tree ensemble and little else.

use super::{Unsupported, finish::After, unsupported};
use crate::model::{
    Node, Shape, Trees,
    wire::{Fields, WireError},
};

/// Operators between two ends of the way; honest exporters need three.
const MAX_STEPS: usize = 16;

/// ONNX's number of 32-bit floats, as an element type.
const FLOAT: i64 = 1;

/// What the tree engine needs to know of a model.
#[derive(Debug)]
pub struct Plan {
    /// Columns of the input.
    pub width: usize,
    /// Column of the probability in the ensemble's output.
    pub column: usize,
    /// What is done to the row first, in this order.
    pub scalers: Vec<Scaler>,
    /// The ensemble.
    pub trees: Trees,
    /// What is done to its output, in this order.
    pub after: Vec<After>,
}

/// `(value - offset) * scale` for each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// One for each column.
    pub offset: Vec<f32>,
    /// One for each column.
    pub scale: Vec<f32>,
}

struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// Names and contents of the constants.
    constants: Vec<(&'a str, &'a [u8])>,
}

/// Reads the file and follows the output back to the input.
pub fn read(bytes: &[u8], shape: &Shape) -> Result<Plan, Unsupported> {
    let graph = Graph::read(bytes).map_err(|error| Unsupported(error.to_string()))?;
    let mut after = Vec::new();
    let ensemble = graph.behind(&shape.output, &mut after)?;
    let trees = match Trees::of(ensemble) {
        Ok(Some(trees)) => trees,
        Ok(None) => return unsupported("the output is not made by a tree ensemble"),
        Err(refusal) => return unsupported(refusal.to_string()),
    };
    let source = ensemble.inputs.first().copied().unwrap_or_default();
    let scalers = graph.before(source, shape)?;
    after.reverse();
    Ok(Plan {
        width: shape.width,
        column: shape.column,
        scalers,
        trees,
        after,
    })
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut graph = Self {
            nodes: Vec::new(),
            constants: Vec::new(),
        };
        for field in Fields::of(bytes) {
            let field = field?;
            if field.number == 7 {
                graph.take(field.bytes()?)?;
            }
        }
        Ok(graph)
    }

    fn take(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                1 => self.nodes.push(Node::read(field.bytes()?)?),
                5 => {
                    let tensor = field.bytes()?;
                    self.constants.push((tensor_name(tensor)?, tensor));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn maker(&self, value: &str) -> Result<&Node<'a>, Unsupported> {
        let mut makers = self.nodes.iter().filter(|node| node.outputs.contains(&value));
        match (makers.next(), makers.next()) {
            (Some(node), None) => Ok(node),
            _ => unsupported(format!("value `{value}` is not made by one node")),
        }
    }

    /// Follows `output` back to the ensemble that makes it; puts the operators on the way into `after`, the last one first.
    fn behind(&self, output: &str, after: &mut Vec<After>) -> Result<&Node<'a>, Unsupported> {
        let mut name = output;
        for _ in 0..MAX_STEPS {
            let node = self.maker(name)?;
            name = match (node.domain, node.operator) {
                ("ai.onnx.ml", "TreeEnsembleClassifier") if node.outputs.get(1) == Some(&name) => {
                    return Ok(node);
                }
                ("ai.onnx.ml", "TreeEnsembleRegressor") => return Ok(node),
                ("", "Identity") => only_input(node)?,
                ("", "Cast") if casts_to_float(node) => only_input(node)?,
                ("", "Sigmoid") => {
                    after.push(After::Sigmoid);
                    only_input(node)?
                }
                ("", "Mul") => {
                    let (factor, rest) = self.factor(node)?;
                    after.push(After::Times(factor));
                    rest
                }
                (_, operator) => return unsupported(format!("operator {operator} makes the probability")),
            };
        }
        unsupported("the way from the trees to the output is too long")
    }

    /// Follows the ensemble's input back to the model's; answers the scalers on the way, the first one first.
    fn before(&self, source: &str, shape: &Shape) -> Result<Vec<Scaler>, Unsupported> {
        let (mut name, mut scalers) = (source, Vec::new());
        for _ in 0..MAX_STEPS {
            if name == shape.input {
                scalers.reverse();
                return Ok(scalers);
            }
            let node = self.maker(name)?;
            match (node.domain, node.operator) {
                ("", "Identity") => {}
                ("", "Cast") if casts_to_float(node) => {}
                ("ai.onnx.ml", "Scaler") => scalers.push(scaler(node, shape.width)?),
                (_, operator) => return unsupported(format!("operator {operator} stands before the trees")),
            }
            name = only_input(node)?;
        }
        unsupported("the way from the input to the trees is too long")
    }

    /// The constant of a multiplication, and the name of what is multiplied.
    fn factor(&self, node: &Node<'a>) -> Result<(f32, &'a str), Unsupported> {
        let [left, right] = node.inputs[..] else {
            return unsupported("a multiplication has not two inputs");
        };
        let constant = |name| self.constants.iter().find(|(constant, _)| *constant == name);
        match (constant(left), constant(right)) {
            (Some((_, tensor)), None) => Ok((scalar(tensor)?, right)),
            (None, Some((_, tensor))) => Ok((scalar(tensor)?, left)),
            _ => unsupported("a multiplication is not by a constant"),
        }
    }
}

fn only_input<'a>(node: &Node<'a>) -> Result<&'a str, Unsupported> {
    match node.inputs[..] {
        [name] => Ok(name),
        _ => unsupported(format!("operator {} has not one input", node.operator)),
    }
}

fn casts_to_float(node: &Node<'_>) -> bool {
    node.attribute("to")
        .is_some_and(|to| to.integer() == Ok(Some(FLOAT)))
}

fn scaler(node: &Node<'_>, width: usize) -> Result<Scaler, Unsupported> {
    let list = |name: &str| {
        let mut list = Vec::new();
        if let Some(attribute) = node.attribute(name) {
            let read = attribute.floats(|value| list.push(value));
            read.map_err(|error| Unsupported(error.to_string()))?;
        }
        match list.len() {
            1 => Ok(vec![list[0]; width]),
            length if length == width => Ok(list),
            length => unsupported(format!(
                "the scaler's {name} has {length} entries for {width} columns"
            )),
        }
    };
    Ok(Scaler {
        offset: list("offset")?,
        scale: list("scale")?,
    })
}

fn tensor_name(tensor: &[u8]) -> Result<&str, WireError> {
    let mut name = "";
    for field in Fields::of(tensor) {
        let field = field?;
        if field.number == 8 {
            name = field.text()?;
        }
    }
    Ok(name)
}

/// The only element of a tensor of 32-bit floats.
fn scalar(tensor: &[u8]) -> Result<f32, Unsupported> {
    let read = || {
        let (mut element, mut values) = (0, Vec::new());
        for field in Fields::of(tensor) {
            let field = field?;
            match field.number {
                2 => element = field.integer()?,
                4 => field.floats(|value| values.push(value))?,
                9 => {
                    let (floats, _) = field.bytes()?.as_chunks::<4>();
                    values.extend(floats.iter().map(|four| f32::from_le_bytes(*four)));
                }
                _ => {}
            }
        }
        Ok((element, values))
    };
    let (element, values) = read().map_err(|error: WireError| Unsupported(error.to_string()))?;
    match values[..] {
        [value] if element == FLOAT => Ok(value),
        _ => unsupported("a constant behind the trees is not one 32-bit float"),
    }
}
