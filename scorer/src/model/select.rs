//! Which engine serves a model: our own for trees where it gives ONNX Runtime's scores, else ONNX Runtime.

use super::{ModelError, OnnxEngine, Profile, Reason, Verified};
use crate::{
    decision::Thresholds,
    engine::{
        Choice, Engine, EngineError, Kind,
        tree::{self, TreeEngine, probe},
    },
};

/// A model in the engine that serves it, for one thread.
pub enum ModelEngine {
    /// Our own walk through the trees.
    Tree(TreeEngine),
    /// ONNX Runtime.
    Onnx(Box<OnnxEngine>),
}

impl Engine for ModelEngine {
    fn width(&self) -> usize {
        match self {
            Self::Tree(engine) => engine.width(),
            Self::Onnx(engine) => engine.width(),
        }
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        match self {
            Self::Tree(engine) => engine.score(rows, scores),
            Self::Onnx(engine) => engine.score(rows, scores),
        }
    }
}

/// What is wanted of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The kind.
    pub choice: Choice,
    /// Thresholds at which two engines must decide alike; those of the model when absent.
    pub thresholds: Option<Thresholds>,
}

/// The outcome of the choice.
#[derive(Debug)]
pub struct Selected {
    /// The tree engine, when it serves.
    pub tree: Option<TreeEngine>,
    /// Why it does, or does not.
    pub why: String,
}

impl Selected {
    /// Which engine serves.
    pub fn kind(&self) -> Kind {
        if self.tree.is_some() {
            Kind::Tree
        } else {
            Kind::OnnxRuntime
        }
    }
}

/// Decides between the engines, by their scores of the same rows.
pub fn select(onnx: &mut OnnxEngine, model: &Verified, wanted: Wanted) -> Result<Selected, ModelError> {
    let refused = |why: String| match wanted.choice {
        Choice::Tree => Err(ModelError::new(
            Reason::EngineUnsupported,
            format!("the tree engine cannot serve this model: {why}; take --engine auto"),
        )),
        Choice::Auto | Choice::Onnxruntime => Ok(Selected { tree: None, why }),
    };
    if wanted.choice == Choice::Onnxruntime {
        return refused("asked for".to_owned());
    }
    let mut tree = match tree::native(&model.bytes, &model.shape) {
        Ok(tree) => tree,
        Err(unsupported) => return refused(unsupported.to_string()),
    };
    let agreement = compare(&mut tree, onnx, model, wanted);
    match agreement {
        Ok(agreement) if agreement.holds() => Ok(Selected {
            tree: Some(tree),
            why: format!(
                "{} rows score as with ONNX Runtime, at most {:e} apart",
                agreement.rows, agreement.difference
            ),
        }),
        Ok(agreement) => refused(format!(
            "it scores up to {:e} apart from ONNX Runtime ({:e} allowed) and decides {} of {} rows otherwise",
            agreement.difference,
            probe::MAX_DIFFERENCE,
            agreement.flips,
            agreement.rows
        )),
        Err(error) => refused(format!("they cannot be compared: {error}")),
    }
}

fn compare(
    tree: &mut TreeEngine,
    onnx: &mut OnnxEngine,
    model: &Verified,
    wanted: Wanted,
) -> Result<probe::Agreement, EngineError> {
    let profiles: Vec<_> = model.metadata.features.iter().map(Profile::of).collect();
    let mut rows = probe::rows(&profiles, tree.splits());
    rows.extend_from_slice(model.metadata.golden.rows());
    let thresholds = wanted.thresholds.or(model.metadata.thresholds);
    probe::compare(tree, onnx, &rows, thresholds.as_ref())
}
