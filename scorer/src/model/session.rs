//! ONNX Runtime: the library, and one session for each serving thread.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    inputs,
    logging::LogLevel,
    memory::Allocator,
    session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, builder::GraphOptimizationLevel},
    value::{Tensor, TensorRef},
};

use super::{ModelError, Reason};
use crate::engine::{Engine, EngineError};

/// The environment of this process. ort makes one in the life of a process, whatever becomes of it, so it is kept.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Keeps ONNX Runtime (1.29 and later) from reporting to its maker: no upload, no identifier, and no database on disk, for
/// whose `fsync` loading a model would wait. It must be there before the library is loaded; `with_telemetry(false)` comes after
/// the first report.
pub const NO_TELEMETRY: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// ONNX Runtime's library, loaded once for the process.
pub struct Runtime(Environment);

impl Runtime {
    /// Loads the library at the given path, or by its name where the loader finds it. The first one that loads serves the
    /// process for good: a later call answers with it, whatever its path.
    pub fn load(library: Option<&Path>) -> Result<Self, ModelError> {
        let mut kept = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = &*kept {
            return Ok(Self(environment.clone()));
        }
        let library = library.map_or_else(|| PathBuf::from("libonnxruntime.so"), Path::to_path_buf);
        let unavailable = |error: String| {
            let message = format!(
                "ONNX Runtime's library {} cannot be used: {error}; ORT_DYLIB_PATH must name libonnxruntime.so 1.24 or later",
                library.display()
            );
            ModelError::new(Reason::RuntimeUnavailable, message)
        };
        let builder = ort::init_from(&library).map_err(|error| unavailable(error.to_string()))?;
        let environment = builder.with_name("fraudops").with_telemetry(false).build();
        let environment = environment.map_err(|error| unavailable(error.to_string()))?;
        *kept = Some(environment.clone());
        Ok(Self(environment))
    }

    /// A session of its own for one thread, made from bytes that are verified already.
    pub fn engine(&self, model: &[u8], shape: &Shape) -> Result<OnnxEngine, ModelError> {
        OnnxEngine::new(&self.0, model, shape).map_err(|error| {
            ModelError::new(
                Reason::NotOnnx,
                format!("ONNX Runtime cannot load the model: {error}"),
            )
        })
    }
}

/// What of the model's interface the engine needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name of the input.
    pub input: String,
    /// Features of a row.
    pub width: usize,
    /// Name of the probability output.
    pub output: String,
    /// Column of the fraud class.
    pub column: usize,
}

/// A model in ONNX Runtime, for one thread.
pub struct OnnxEngine {
    session: Session,
    shape: Shape,
    /// The input of batches of one, allocated once.
    single: Tensor<f32>,
    options: RunOptions<HasSelectedOutputs>,
    /// The same with an output that was allocated once; only when the output of one row is known to have two columns.
    single_options: Option<RunOptions<HasSelectedOutputs>>,
}

impl OnnxEngine {
    fn new(environment: &Environment, model: &[u8], shape: &Shape) -> ort::Result<Self> {
        let session = Session::builder(environment)?
            .with_log_level(LogLevel::Error)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .commit_from_memory(model)?;
        let single = Tensor::<f32>::from_array(([1_usize, shape.width], vec![0.0; shape.width]))?;
        let selector = || OutputSelector::no_default().with(&shape.output);
        let options = RunOptions::new()?.with_outputs(selector());
        Ok(Self {
            session,
            shape: shape.clone(),
            single,
            options,
            single_options: None,
        })
    }

    /// Allocates the output of single rows once, after a first run has shown how many columns it has.
    pub fn settle(&mut self) -> Result<(), EngineError> {
        let columns = self.columns_of_one_row().map_err(failed)?;
        let Some(columns) = columns.filter(|c| *c > self.shape.column) else {
            return Err(EngineError(format!(
                "output `{}` has no column {}",
                self.shape.output, self.shape.column
            )));
        };
        let output = Tensor::<f32>::new(&Allocator::default(), [1_usize, columns]).map_err(failed)?;
        let selector = OutputSelector::no_default()
            .with(&self.shape.output)
            .preallocate(&self.shape.output, output);
        self.single_options = Some(RunOptions::new().map_err(failed)?.with_outputs(selector));
        Ok(())
    }

    fn columns_of_one_row(&mut self) -> ort::Result<Option<usize>> {
        let outputs = self
            .session
            .run_with_options(inputs![&self.single], &self.options)?;
        let (shape, _) = outputs[0].try_extract_tensor::<f32>()?;
        Ok(match shape[..] {
            [1, columns] => usize::try_from(columns).ok(),
            _ => None,
        })
    }

    fn score_one(&mut self, row: &[f32]) -> ort::Result<Option<f32>> {
        self.single.extract_tensor_mut().1.copy_from_slice(row);
        let options = self.single_options.as_ref().unwrap_or(&self.options);
        let outputs = self.session.run_with_options(inputs![&self.single], options)?;
        Ok(outputs[0]
            .try_extract_tensor::<f32>()?
            .1
            .get(self.shape.column)
            .copied())
    }

    fn score_many(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> ort::Result<()> {
        let count = rows.len() / self.shape.width;
        let view = TensorRef::from_array_view(([count, self.shape.width], rows))?;
        let outputs = self.session.run_with_options(inputs![view], &self.options)?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        let columns = match shape[..] {
            [rows, columns] if rows == count as i64 => usize::try_from(columns).unwrap_or_default(),
            _ => 0,
        };
        if columns > self.shape.column {
            scores.extend(values.chunks_exact(columns).map(|row| row[self.shape.column]));
        }
        Ok(())
    }
}

fn failed(error: ort::Error) -> EngineError {
    EngineError(error.to_string())
}

impl Engine for OnnxEngine {
    fn width(&self) -> usize {
        self.shape.width
    }

    fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
        if rows.len() == self.shape.width {
            scores.extend(self.score_one(rows).map_err(failed)?);
            return Ok(());
        }
        self.score_many(rows, scores).map_err(failed)
    }
}
