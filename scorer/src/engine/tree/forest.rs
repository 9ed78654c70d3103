//! The trees of a plan, laid out for the walk.

use std::collections::BTreeSet;

use super::{
    Unsupported,
    finish::{Finish, Link, binary_link, divisor},
    layout::{Layout, Split},
    plan::{Plan, Scaler},
    unsupported,
    walk::{Group, STRIDES},
};
use crate::model::{Links, Mode, Transform, Trees};

/// A tree ensemble that can be walked.
#[derive(Debug)]
pub struct Forest {
    /// Columns of the input.
    pub width: usize,
    /// Columns of the walk's rows.
    pub stride: usize,
    /// The trees, in their order.
    pub groups: Vec<Group>,
    /// What the sums become.
    pub finish: Finish,
    /// Number of trees.
    pub trees: usize,
    /// Number of nodes, leaves included.
    pub size: usize,
    /// Per column of the input, the values before which a tree decides otherwise.
    pub splits: Vec<Vec<f32>>,
    scalers: Vec<Scaler>,
    /// First column of the copy in which NaN goes left; it may be the only copy.
    lefts: usize,
    has_lefts: bool,
    has_rights: bool,
    /// Whether some split tells numbers from NaN only, and infinity is a number.
    bounded: bool,
}

impl Forest {
    /// Lays out the trees, or says what is not supported.
    pub fn grow(plan: &Plan) -> Result<Self, Unsupported> {
        let trees = &plan.trees;
        let links = trees
            .links(plan.width)
            .map_err(|refusal| Unsupported(refusal.to_string()))?;
        let leaves = leaves(plan, &links)?;
        let roots = roots(trees, &links)?;
        let splits = splits(trees, &links)?;
        let missing = |left| splits.iter().flatten().any(|split| split.missing_left == left);
        let (has_lefts, has_rights) = (missing(true), missing(false));
        let lefts = if has_rights { plan.width } else { 0 };
        let columns = if has_lefts { lefts + plan.width } else { plan.width };
        let Some(&stride) = STRIDES.iter().find(|stride| **stride > columns) else {
            return unsupported(format!("the model has {} columns", plan.width));
        };
        let layout = Layout {
            splits: &splits,
            features: &trees.features,
            weights: &leaves.weights,
            lefts,
            stride,
        };
        Ok(Self {
            width: plan.width,
            stride,
            groups: layout.groups(&roots)?,
            finish: Finish {
                after: plan.after.clone(),
                ..leaves.finish
            },
            trees: roots.len(),
            size: trees.modes.len(),
            splits: input_splits(plan, &splits, &trees.features),
            scalers: plan.scalers.clone(),
            lefts,
            has_lefts,
            has_rights,
            bounded: splits
                .iter()
                .flatten()
                .any(|split| split.threshold == f32::INFINITY),
        })
    }

    /// Copies a row into the walk's layout.
    #[inline]
    pub fn lay_out(&self, row: &[f32], place: &mut [f32]) {
        let first = &mut place[..row.len()];
        first.copy_from_slice(row);
        for scaler in &self.scalers {
            for (value, (offset, scale)) in first.iter_mut().zip(scaler.offset.iter().zip(&scaler.scale)) {
                *value = (*value - offset) * scale;
            }
        }
        if self.bounded {
            for value in first.iter_mut() {
                *value = if *value == f32::INFINITY { f32::MAX } else { *value };
            }
        }
        if self.has_lefts {
            if self.has_rights {
                place.copy_within(..row.len(), self.lefts);
            }
            for value in &mut place[self.lefts..self.lefts + row.len()] {
                *value = if value.is_nan() { f32::NEG_INFINITY } else { *value };
            }
        }
        if let Some(last) = place.last_mut() {
            *last = f32::NEG_INFINITY;
        }
    }
}

/// The places of the roots: the first node of each tree, to which none leads, while exactly one leads to each other node.
fn roots(trees: &Trees, links: &Links) -> Result<Vec<u32>, Unsupported> {
    let mut roots = Vec::new();
    let mut seen = BTreeSet::new();
    for (node, tree) in trees.trees.iter().enumerate() {
        let is_first = node == 0 || trees.trees[node - 1] != *tree;
        if is_first && !seen.insert(*tree) {
            return unsupported("the nodes of a tree do not stand together");
        }
        if links.parents[node] != u32::from(!is_first) {
            return unsupported("a tree shares nodes, or does not begin with its root");
        }
        if is_first {
            roots.push(node as u32);
        }
    }
    Ok(roots)
}

/// All nodes as splits; none for leaves.
fn splits(trees: &Trees, links: &Links) -> Result<Vec<Option<Split>>, Unsupported> {
    let each = trees.modes.iter().enumerate().map(|(node, mode)| {
        let (yes, no, value) = (links.yes[node], links.no[node], trees.values[node]);
        let missing_yes = trees.missing_yes.get(node).copied().unwrap_or(false);
        let (threshold, left, right, missing_left) = match mode {
            Mode::Leaf => return Ok(None),
            Mode::Lt => (value, yes, no, missing_yes),
            Mode::Leq => (value.next_up(), yes, no, missing_yes),
            Mode::Gte => (value, no, yes, !missing_yes),
            Mode::Gt => (value.next_up(), no, yes, !missing_yes),
            Mode::Eq | Mode::Neq => return unsupported("a tree asks whether a value equals another"),
        };
        // `<= inf`, which LightGBM writes, is true for all but NaN: rows then have no infinity (`bounded`).
        let all_but_missing = value == f32::INFINITY && matches!(mode, Mode::Leq | Mode::Gt);
        if !threshold.is_finite() && !all_but_missing {
            return unsupported("a tree compares with no finite number");
        }
        Ok(Some(Split {
            threshold,
            left,
            right,
            missing_left,
        }))
    });
    each.collect()
}

/// The thresholds in terms of the model's input, before the scalers.
fn input_splits(plan: &Plan, splits: &[Option<Split>], features: &[i32]) -> Vec<Vec<f32>> {
    let mut columns = vec![Vec::new(); plan.width];
    for (split, feature) in splits.iter().zip(features) {
        let Some(split) = split else { continue };
        let column = *feature as usize;
        let mut value = split.threshold;
        for scaler in plan.scalers.iter().rev() {
            value = value / scaler.scale[column] + scaler.offset[column];
        }
        columns[column].push(value);
    }
    for column in &mut columns {
        column.retain(|value| value.is_finite());
        column.sort_unstable_by(f32::total_cmp);
        column.dedup();
    }
    columns
}

struct Leaves {
    /// By node; zero for splits.
    weights: Vec<f32>,
    finish: Finish,
}

/// What each leaf adds to the wanted column, and what becomes of the sum.
fn leaves(plan: &Plan, links: &Links) -> Result<Leaves, Unsupported> {
    let trees = &plan.trees;
    let mut classes: Vec<_> = trees.weights.outputs.clone();
    classes.sort_unstable();
    classes.dedup();
    let count = trees.trees.chunk_by(|a, b| a == b).count();
    let (wanted, finish) = match (trees.classifier, trees.outputs, &classes[..]) {
        (true, 2, [0]) => (0, binary(plan)?),
        (true, 2, [0, 1]) => (plan.column as i32, two_classes(trees)?),
        (false, 1, [0]) if plan.column == 0 => (0, regression(trees, count)?),
        _ => return unsupported("the trees are neither a binary classifier nor a regressor of one target"),
    };
    let mut weights = vec![0.0; trees.modes.len()];
    let mut given = vec![0_u32; trees.modes.len()];
    for ((node, output), weight) in links
        .weights
        .iter()
        .zip(&trees.weights.outputs)
        .zip(&trees.weights.values)
    {
        let node = *node as usize;
        if !weight.is_finite() {
            return unsupported("a leaf has no finite weight");
        }
        let bit = 1 << classes.binary_search(output).unwrap_or_default();
        if trees.modes[node] != Mode::Leaf || given[node] & bit != 0 {
            return unsupported("a node has a weight twice, or is no leaf and has one");
        }
        given[node] |= bit;
        if *output == wanted {
            weights[node] = *weight;
        }
    }
    let all = (1 << classes.len()) - 1;
    if trees
        .modes
        .iter()
        .zip(&given)
        .any(|(mode, given)| *mode == Mode::Leaf && *given != all)
    {
        return unsupported("a leaf has no weight");
    }
    Ok(Leaves { weights, finish })
}

fn finish(divisor: f32, base: f32, link: Link) -> Finish {
    Finish {
        divisor,
        base,
        link,
        after: Vec::new(),
    }
}

/// One weight for each leaf of a classifier with two classes.
fn binary(plan: &Plan) -> Result<Finish, Unsupported> {
    let trees = &plan.trees;
    let base = match trees.base[..] {
        [] => 0.0,
        [base] => base,
        _ => return unsupported("the trees have a base value for each class"),
    };
    match binary_link(plan.column, trees.transform) {
        Some(link) => Ok(finish(1.0, base, link)),
        None => unsupported("the sum of the trees becomes no probability that is known here"),
    }
}

/// A weight for each of two classes at each leaf.
fn two_classes(trees: &Trees) -> Result<Finish, Unsupported> {
    if !trees.base.is_empty() || trees.transform != Transform::None {
        return unsupported("the trees vote for two classes and transform the sums");
    }
    Ok(finish(1.0, 0.0, Link::Identity))
}

fn regression(trees: &Trees, count: usize) -> Result<Finish, Unsupported> {
    let base = trees.base.first().copied().unwrap_or(0.0);
    match (divisor(trees.aggregate, count), trees.transform) {
        (Some(divisor), Transform::None) => Ok(finish(divisor, base, Link::Identity)),
        _ => unsupported("the trees are not added up, or the sum is transformed"),
    }
}
