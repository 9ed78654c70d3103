//! From a path to engines that may serve: read, look inside, compare, replay, warm up. Runs off the serving threads.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    Metadata, ModelEngine, ModelError, OnnxEngine, Outline, Reason, Runtime, Shape, ValueType, inspect,
    select::{Selected, Wanted, select},
};
use crate::{
    engine::{
        Engine, Kind, MAX_BATCH,
        tree::{self, TreeEngine},
    },
    features::Schema,
};

/// Largest model file that is read.
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

const WARM_UP_RUNS: usize = 100;
const WARM_UP_SIZES: [usize; 3] = [1, 8, MAX_BATCH];

/// A file whose content was checked as far as that goes without running it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The bytes, from which the sessions are made: the file is not opened again.
    pub bytes: Vec<u8>,
    /// Their SHA-256, as 64 hex digits.
    pub sha256: String,
    /// What the file holds.
    pub outline: Outline,
    /// What it says about itself.
    pub metadata: Metadata,
    /// What requests to it look like.
    pub schema: Arc<Schema>,
    /// What the engines need to know of it.
    pub shape: Shape,
}

/// A model that serves: one engine for each thread.
pub struct Loaded {
    /// The engines, warm.
    pub engines: Vec<ModelEngine>,
    /// Which engine they are.
    pub kind: Kind,
    /// Why this one.
    pub why: String,
    /// Largest difference of the golden vectors.
    pub golden_difference: f32,
}

/// Reads the file and checks everything that can be checked without running the model.
pub fn verify(path: &Path) -> Result<Verified, ModelError> {
    examine(read(path)?)
}

/// Checks everything that can be checked of a file's content without running the model.
pub fn examine(bytes: Vec<u8>) -> Result<Verified, ModelError> {
    let outline = inspect(&bytes)?;
    let metadata = Metadata::parse(&outline.metadata)?;
    let schema = metadata.schema()?;
    let shape = Shape {
        input: input(&outline, schema.width())?,
        width: schema.width(),
        output: output(&outline, &metadata)?,
        column: metadata.output.column,
    };
    if metadata.golden.width() != schema.width() {
        let message = format!(
            "golden vectors have {} features, the model {}",
            metadata.golden.width(),
            schema.width()
        );
        return Err(ModelError::new(Reason::MetadataInvalid, message));
    }
    Ok(Verified {
        sha256: sha256(&bytes),
        bytes,
        outline,
        metadata,
        schema: Arc::new(schema),
        shape,
    })
}

/// Makes `count` engines, replays the golden vectors on each and warms it up. Takes the engine that is fastest.
pub fn load(runtime: &Runtime, model: &Verified, count: usize) -> Result<Loaded, ModelError> {
    load_as(runtime, model, count, Wanted::default())
}

/// The same with an engine of one's choice.
pub fn load_as(
    runtime: &Runtime,
    model: &Verified,
    count: usize,
    wanted: Wanted,
) -> Result<Loaded, ModelError> {
    let mut first = onnx(runtime, model)?;
    let selected = select(&mut first, model, wanted)?;
    let (kind, Selected { tree, why }) = (selected.kind(), selected);
    tracing::info!(engine = kind.as_str(), why, "engine chosen");
    match tree {
        Some(tree) => trees(model, &tree, count, why),
        None => onnx_engines(runtime, model, first, count, why),
    }
}

/// Makes `count` engines of ONNX Runtime. For a model for which a trial has found nothing faster.
pub fn load_onnx(
    runtime: &Runtime,
    model: &Verified,
    count: usize,
    why: String,
) -> Result<Loaded, ModelError> {
    onnx_engines(runtime, model, onnx(runtime, model)?, count, why)
}

/// Makes `count` tree engines, without ONNX Runtime. For a model that a trial has found to score alike on both.
pub fn load_tree(model: &Verified, count: usize, why: String) -> Result<Loaded, ModelError> {
    let tree = tree::native(&model.bytes, &model.shape)
        .map_err(|unsupported| ModelError::new(Reason::EngineUnsupported, unsupported.to_string()))?;
    trees(model, &tree, count, why)
}

fn trees(model: &Verified, tree: &TreeEngine, count: usize, why: String) -> Result<Loaded, ModelError> {
    let mut engines = Vec::with_capacity(count);
    engines.resize_with(count, || ModelEngine::Tree(tree.clone()));
    finish(model, engines, Kind::Tree, why)
}

fn onnx_engines(
    runtime: &Runtime,
    model: &Verified,
    first: OnnxEngine,
    count: usize,
    why: String,
) -> Result<Loaded, ModelError> {
    let mut engines = vec![ModelEngine::Onnx(Box::new(first))];
    for _ in 1..count {
        engines.push(ModelEngine::Onnx(Box::new(onnx(runtime, model)?)));
    }
    finish(model, engines, Kind::OnnxRuntime, why)
}

fn onnx(runtime: &Runtime, model: &Verified) -> Result<OnnxEngine, ModelError> {
    let mut engine = runtime.engine(&model.bytes, &model.shape)?;
    engine
        .settle()
        .map_err(|error| ModelError::new(Reason::UnsupportedOutputs, error.to_string()))?;
    Ok(engine)
}

/// Replays the golden vectors on each engine and warms it up.
fn finish(
    model: &Verified,
    mut engines: Vec<ModelEngine>,
    kind: Kind,
    why: String,
) -> Result<Loaded, ModelError> {
    let mut golden_difference = 0.0_f32;
    for engine in &mut engines {
        let replay = model.metadata.golden.replay(engine);
        let difference = replay.map_err(|message| {
            let advice = "the file is not what the trainer checked: export and publish it again";
            ModelError::new(Reason::GoldenMismatch, format!("{message}; {advice}"))
        })?;
        golden_difference = golden_difference.max(difference);
        warm_up(engine, model.shape.width)?;
    }
    Ok(Loaded {
        engines,
        kind,
        why,
        golden_difference,
    })
}

/// SHA-256 of a file's content, as 64 hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The content of a model file, unless it is larger than any model.
pub fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let unreadable =
        |what: String| ModelError::new(Reason::ModelUnreadable, format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let size = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if !size.is_file() {
        return Err(unreadable("this is no file".to_owned()));
    }
    let too_large = || {
        unreadable(format!(
            "the file has more than {MAX_FILE_BYTES} bytes, no fraud model needs that"
        ))
    };
    if size.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size.len() as usize);
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

fn input(outline: &Outline, width: usize) -> Result<String, ModelError> {
    let refuse = |found: String| {
        let message = format!("the model must have one input float32[N,{width}]; it has {found}");
        Err(ModelError::new(Reason::UnsupportedInputs, message))
    };
    let [(name, kind)] = outline.inputs.as_slice() else {
        return refuse(format!("{} inputs", outline.inputs.len()));
    };
    let fits = match kind {
        ValueType::Tensor(tensor) if tensor.is_float() => match tensor.shape.as_deref() {
            Some([None, columns]) => columns.is_none_or(|c| c == width as i64),
            Some(_) => false,
            None => true,
        },
        ValueType::Tensor(_) | ValueType::Container | ValueType::Other => false,
    };
    if fits {
        Ok(name.clone())
    } else {
        refuse(format!("`{name}` {kind}"))
    }
}

fn output(outline: &Outline, metadata: &Metadata) -> Result<String, ModelError> {
    let (name, column) = (&metadata.output.tensor, metadata.output.column);
    let refuse = |message: String| Err(ModelError::new(Reason::UnsupportedOutputs, message));
    let Some((_, kind)) = outline.outputs.iter().find(|(n, _)| n == name) else {
        let names: Vec<_> = outline.outputs.iter().map(|(n, _)| n.as_str()).collect();
        return refuse(format!(
            "the model has no output `{name}`; it has {}",
            names.join(", ")
        ));
    };
    match kind {
        ValueType::Container => refuse(format!(
            "output `{name}` is a sequence of maps; export the model with zipmap=False"
        )),
        ValueType::Tensor(tensor) if tensor.is_float() => match tensor.shape.as_deref() {
            None | Some([_, None]) => Ok(name.clone()),
            Some([_, Some(columns)]) if *columns > column as i64 => Ok(name.clone()),
            Some(_) => refuse(format!(
                "output `{name}` is {kind}, float32[N,{}] is needed",
                column + 1
            )),
        },
        ValueType::Tensor(_) | ValueType::Other => {
            refuse(format!("output `{name}` is {kind}, float32 is needed"))
        }
    }
}

fn warm_up(engine: &mut ModelEngine, width: usize) -> Result<(), ModelError> {
    let rows = vec![0.0; width * MAX_BATCH];
    let mut scores = Vec::with_capacity(MAX_BATCH);
    for size in WARM_UP_SIZES {
        for _ in 0..WARM_UP_RUNS {
            scores.clear();
            let run = engine.score(&rows[..size * width], &mut scores);
            run.map_err(|error| {
                ModelError::new(Reason::NotOnnx, format!("the model fails on zeros: {error}"))
            })?;
        }
    }
    Ok(())
}
