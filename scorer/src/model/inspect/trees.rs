//! Tree ensembles: what their attributes say, and that they say nothing impossible.
//!
//! ONNX Runtime follows these ids through memory, so every one of them is checked before it may.

use super::{
    Refusal, clip,
    links::Links,
    node::{Attribute, Node},
    refuse,
};

/// Nodes of all trees of one ensemble; a file of the largest size that is taken cannot hold more.
const MAX_TREE_NODES: usize = 1 << 23;

/// Classes or targets of one ensemble.
const MAX_OUTPUTS: usize = 1024;

/// How a node decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// True when the feature is at most the value.
    Leq,
    /// True when the feature is below the value.
    Lt,
    /// True when the feature is at least the value.
    Gte,
    /// True when the feature is above the value.
    Gt,
    /// True when the feature is the value.
    Eq,
    /// True when the feature is not the value.
    Neq,
    /// No decision: the tree ends here.
    Leaf,
}

/// What the ensemble's sum becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transform {
    /// It stays.
    #[default]
    None,
    /// A probability by the logistic function.
    Logistic,
    /// One of the others that the format knows.
    Other,
}

/// How the trees' answers become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Added up.
    #[default]
    Sum,
    /// Added up and divided by the number of trees.
    Average,
    /// One of the others that the format knows.
    Other,
}

/// A tree ensemble, one entry for each node of its trees.
#[derive(Debug, Default)]
pub struct Trees {
    /// Whether it is a classifier; else a regressor.
    pub classifier: bool,
    /// The tree of each node.
    pub trees: Vec<i32>,
    /// The number of each node in its tree.
    pub ids: Vec<i32>,
    /// The column that each node looks at.
    pub features: Vec<i32>,
    /// How each node decides.
    pub modes: Vec<Mode>,
    /// What each node compares with.
    pub values: Vec<f32>,
    /// Where true leads, as a number in the tree.
    pub yes: Vec<i32>,
    /// Where false leads, as a number in the tree.
    pub no: Vec<i32>,
    /// Whether NaN leads where true does; may be empty.
    pub missing_yes: Vec<bool>,
    /// The weights of leaves.
    pub weights: Weights,
    /// Classes or targets.
    pub outputs: usize,
    /// What is added to the sums; may be empty.
    pub base: Vec<f32>,
    /// What the sums become.
    pub transform: Transform,
    /// How the trees' answers become one.
    pub aggregate: Aggregate,
    /// How many nodes have a hit rate; nobody reads the rates.
    pub hit_rates: usize,
}

/// What the leaves add to which class or target.
#[derive(Debug, Default)]
pub struct Weights {
    /// The tree of each leaf.
    pub trees: Vec<i32>,
    /// The number of each leaf in its tree.
    pub ids: Vec<i32>,
    /// The class or target.
    pub outputs: Vec<i32>,
    /// The weight.
    pub values: Vec<f32>,
}

impl Trees {
    /// Reads the attributes of a tree ensemble; none when the node is something else.
    pub fn of(node: &Node<'_>) -> Result<Option<Self>, Refusal> {
        let classifier = match (node.domain, node.operator) {
            ("ai.onnx.ml", "TreeEnsembleClassifier") => true,
            ("ai.onnx.ml", "TreeEnsembleRegressor") => false,
            _ => return Ok(None),
        };
        let mut trees = Self {
            classifier,
            outputs: usize::from(!classifier),
            ..Self::default()
        };
        for attribute in &node.attributes {
            trees.take(attribute)?;
        }
        trees.check_lengths()?;
        Ok(Some(trees))
    }

    fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), Refusal> {
        let weights = &mut self.weights;
        match (attribute.name, self.classifier) {
            ("nodes_treeids", _) => self.trees = ids(attribute)?,
            ("nodes_nodeids", _) => self.ids = ids(attribute)?,
            ("nodes_featureids", _) => self.features = ids(attribute)?,
            ("nodes_truenodeids", _) => self.yes = ids(attribute)?,
            ("nodes_falsenodeids", _) => self.no = ids(attribute)?,
            ("nodes_values", _) => self.values = floats(attribute)?,
            ("nodes_hitrates", _) => self.hit_rates = floats(attribute)?.len(),
            ("nodes_modes", _) => self.modes = modes(attribute)?,
            ("nodes_missing_value_tracks_true", _) => {
                self.missing_yes = ids(attribute)?.into_iter().map(|flag| flag == 1).collect();
            }
            ("class_treeids", true) | ("target_treeids", false) => weights.trees = ids(attribute)?,
            ("class_nodeids", true) | ("target_nodeids", false) => weights.ids = ids(attribute)?,
            ("class_ids", true) | ("target_ids", false) => weights.outputs = ids(attribute)?,
            ("class_weights", true) | ("target_weights", false) => weights.values = floats(attribute)?,
            ("classlabels_int64s", true) => {
                attribute.integers(|_| self.outputs += 1)?;
            }
            ("classlabels_strings", true) => {
                attribute.texts(|_| self.outputs += 1)?;
            }
            ("n_targets", false) => {
                let targets = attribute.integer()?.unwrap_or_default();
                self.outputs = usize::try_from(targets).unwrap_or(usize::MAX);
            }
            ("base_values", _) => self.base = floats(attribute)?,
            ("post_transform", _) => self.transform = transform(attribute)?,
            ("aggregate_function", false) => self.aggregate = aggregate(attribute)?,
            (name, _) if name.ends_with("_as_tensor") => {
                return refuse(format!(
                    "the trees have 64-bit numbers ({}); export the model with float32 inputs",
                    clip(name)
                ));
            }
            (name, _) => return refuse(format!("the trees have an unknown attribute `{}`", clip(name))),
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), Refusal> {
        let nodes = self.trees.len();
        if nodes == 0 {
            return refuse("a tree ensemble has no nodes");
        }
        for (name, length, may_be_absent) in [
            ("nodes_nodeids", self.ids.len(), false),
            ("nodes_featureids", self.features.len(), false),
            ("nodes_modes", self.modes.len(), false),
            ("nodes_values", self.values.len(), false),
            ("nodes_truenodeids", self.yes.len(), false),
            ("nodes_falsenodeids", self.no.len(), false),
            ("nodes_missing_value_tracks_true", self.missing_yes.len(), true),
            ("nodes_hitrates", self.hit_rates, true),
        ] {
            if length != nodes && !(may_be_absent && length == 0) {
                return refuse(format!(
                    "the trees have {nodes} nodes and {length} entries in {name}"
                ));
            }
        }
        let Weights {
            trees,
            ids,
            outputs,
            values,
        } = &self.weights;
        let lengths = [trees.len(), ids.len(), outputs.len(), values.len()];
        if lengths.iter().any(|length| *length != lengths[0]) {
            return refuse(format!(
                "the lists of the leaves' weights differ in length: {lengths:?}"
            ));
        }
        if !(1..=MAX_OUTPUTS).contains(&self.outputs) {
            return refuse(format!(
                "a tree ensemble has {} classes or targets, 1..={MAX_OUTPUTS} are possible",
                self.outputs
            ));
        }
        if ![0, 1, self.outputs].contains(&self.base.len()) {
            return refuse(format!(
                "a tree ensemble has {} base values for {} outputs",
                self.base.len(),
                self.outputs
            ));
        }
        Ok(())
    }

    /// Checks all ids, for an input of `width` columns, and answers where they lead.
    pub fn links(&self, width: usize) -> Result<Links, Refusal> {
        for (node, (mode, feature)) in self.modes.iter().zip(&self.features).enumerate() {
            if *mode != Mode::Leaf && usize::try_from(*feature).map_or(true, |f| f >= width) {
                return refuse(format!(
                    "node {node} of the trees looks at column {feature}, the input has {width}"
                ));
            }
        }
        for output in &self.weights.outputs {
            if usize::try_from(*output).map_or(true, |o| o >= self.outputs) {
                return refuse(format!(
                    "a leaf adds to class or target {output}, the trees have {}",
                    self.outputs
                ));
            }
        }
        Links::of(self)
    }
}

fn full(length: usize) -> Result<(), Refusal> {
    if length > MAX_TREE_NODES {
        return refuse(format!("a tree ensemble has more than {MAX_TREE_NODES} nodes"));
    }
    Ok(())
}

/// ONNX Runtime cuts ids to 32 bits: such as would not survive it are refused.
fn ids(attribute: &Attribute<'_>) -> Result<Vec<i32>, Refusal> {
    let (mut list, mut outside) = (Vec::new(), None);
    attribute.integers(|id| match i32::try_from(id) {
        Ok(id) if list.len() <= MAX_TREE_NODES => list.push(id),
        Ok(_) => {}
        Err(_) => outside = Some(id),
    })?;
    full(list.len())?;
    match outside {
        Some(id) => refuse(format!(
            "{} holds {id}, which is no 32-bit number",
            clip(attribute.name)
        )),
        None => Ok(list),
    }
}

fn floats(attribute: &Attribute<'_>) -> Result<Vec<f32>, Refusal> {
    let mut list = Vec::new();
    attribute.floats(|value| {
        if list.len() <= MAX_TREE_NODES {
            list.push(value);
        }
    })?;
    full(list.len())?;
    Ok(list)
}

fn modes(attribute: &Attribute<'_>) -> Result<Vec<Mode>, Refusal> {
    let (mut list, mut unknown) = (Vec::new(), None);
    attribute.texts(|name| {
        let mode = match name {
            b"BRANCH_LEQ" => Mode::Leq,
            b"BRANCH_LT" => Mode::Lt,
            b"BRANCH_GTE" => Mode::Gte,
            b"BRANCH_GT" => Mode::Gt,
            b"BRANCH_EQ" => Mode::Eq,
            b"BRANCH_NEQ" => Mode::Neq,
            b"LEAF" => Mode::Leaf,
            other => {
                unknown = Some(String::from_utf8_lossy(other).into_owned());
                return;
            }
        };
        if list.len() <= MAX_TREE_NODES {
            list.push(mode);
        }
    })?;
    full(list.len())?;
    match unknown {
        Some(name) => refuse(format!("nodes_modes holds `{}`, which is no mode", clip(&name))),
        None => Ok(list),
    }
}

fn transform(attribute: &Attribute<'_>) -> Result<Transform, Refusal> {
    match attribute.text()?.unwrap_or_default() {
        "NONE" => Ok(Transform::None),
        "LOGISTIC" => Ok(Transform::Logistic),
        "SOFTMAX" | "SOFTMAX_ZERO" | "PROBIT" => Ok(Transform::Other),
        other => refuse(format!("post_transform `{}` is unknown", clip(other))),
    }
}

fn aggregate(attribute: &Attribute<'_>) -> Result<Aggregate, Refusal> {
    match attribute.text()?.unwrap_or_default() {
        "SUM" => Ok(Aggregate::Sum),
        "AVERAGE" => Ok(Aggregate::Average),
        "MIN" | "MAX" => Ok(Aggregate::Other),
        other => refuse(format!("aggregate_function `{}` is unknown", clip(other))),
    }
}

#[cfg(test)]
mod tests;
