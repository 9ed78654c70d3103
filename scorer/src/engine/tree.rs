//! Tree ensembles without ONNX Runtime: the same scores, several times faster, and no library.
//!
//! `plan` reads the graph and finds the one tree ensemble between the input and the probability, with what stands before
//! and behind it; `forest` and `layout` bring it into the form in which `walk` scores; `finish` makes probabilities of
//! sums. Whatever the exporters of XGBoost, LightGBM and scikit-learn's trees do not write is `Unsupported`, and ONNX
//! Runtime serves it. Scores are those of ONNX Runtime to the last bit, because sums are made in the order of the trees;
//! that they agree is checked at every load (`probe`).

mod finish;
mod forest;
mod layout;
mod plan;
pub mod probe;
mod walk;

use std::sync::Arc;

use forest::Forest;
use walk::Group;

use super::{Engine, EngineError, MAX_BATCH};
use crate::model::Shape;

/// Why a model is none for the tree engine. Says nothing against the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

fn unsupported<T>(message: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported(message.into()))
}

/// Reads a model's file into a tree engine.
///
/// Does not promise that the scores are those of ONNX Runtime: compare them (`probe::compare`) before it serves.
pub fn native(bytes: &[u8], shape: &Shape) -> Result<TreeEngine, Unsupported> {
    let plan = plan::read(bytes, shape)?;
    Ok(TreeEngine::new(Forest::grow(&plan)?))
}

/// A tree ensemble for one thread. Clones share the trees.
#[derive(Clone, Debug)]
pub struct TreeEngine {
    forest: Arc<Forest>,
    /// The rows of one batch in the walk's layout.
    rows: Vec<f32>,
}

impl TreeEngine {
    fn new(forest: Forest) -> Self {
        Self {
            rows: vec![0.0; forest.stride * MAX_BATCH],
            forest: Arc::new(forest),
        }
    }

    /// Trees of the ensemble.
    pub fn trees(&self) -> usize {
        self.forest.trees
    }

    /// Nodes of all trees, leaves included.
    pub fn nodes(&self) -> usize {
        self.forest.size
    }

    /// Bytes that the trees take, shared by all clones.
    pub fn bytes(&self) -> usize {
        self.forest.groups.iter().map(Group::bytes).sum()
    }

    /// For each column of the input the values at which some tree decides otherwise, ascending.
    pub fn splits(&self) -> &[Vec<f32>] {
        &self.forest.splits
    }
}

impl Engine for TreeEngine {
    fn width(&self) -> usize {
        self.forest.width
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        let forest = &*self.forest;
        for batch in rows.chunks(forest.width * MAX_BATCH) {
            let count = batch.len() / forest.width;
            let start = scores.len();
            let laid = &mut self.rows[..count * forest.stride];
            for (row, place) in batch
                .chunks_exact(forest.width)
                .zip(laid.chunks_exact_mut(forest.stride))
            {
                forest.lay_out(row, place);
            }
            scores.resize(start + count, 0.0);
            let sums = &mut scores[start..];
            walk::add_up(forest.stride, &forest.groups, laid, sums);
            for sum in sums {
                *sum = forest.finish.apply(*sum);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
