//! The second model of a pod. It never keeps the first one from serving: what is wrong with it is told in the log, and its
//! own pods say so too.

use std::{path::Path, sync::Arc};

use crate::{
    config::ServeArgs,
    engine::pair::{Companion, Control},
    model::{self, Loaded, ModelError, Reason, Verified, Wanted, trial},
};

/// A second model, loaded.
pub struct Beside {
    loaded: Loaded,
    control: Arc<Control>,
}

impl Beside {
    /// Loads the companion that the arguments name. `control` is its switch, made here and kept for the next one. Blocking.
    pub fn load(
        arguments: &ServeArgs,
        main: &Verified,
        count: usize,
        control: &mut Option<Arc<Control>>,
    ) -> Option<Self> {
        let file = arguments.companion.as_deref()?;
        match attempt(arguments, file, main, count, control) {
            Ok(beside) => {
                tracing::info!(file = %file.display(), engine = beside.loaded.kind.as_str(), "companion loaded");
                Some(beside)
            }
            Err(error) => {
                let (reason, message) = (error.reason.as_str(), error.message);
                tracing::error!(file = %file.display(), reason, message, "no companion");
                None
            }
        }
    }

    /// One for each thread.
    pub fn for_threads(self) -> Vec<Companion> {
        let control = self.control;
        let engines = self.loaded.engines.into_iter();
        engines
            .map(|engine| Companion {
                engine: Box::new(engine),
                control: Arc::clone(&control),
            })
            .collect()
    }
}

fn attempt(
    arguments: &ServeArgs,
    file: &Path,
    main: &Verified,
    count: usize,
    kept: &mut Option<Arc<Control>>,
) -> Result<Beside, ModelError> {
    let verified = model::verify(file)?;
    if !verified.schema.inputs().eq(main.schema.inputs()) {
        let message = "its features are not those of the model that answers: it cannot score the same rows";
        return Err(ModelError::new(Reason::FeatureMismatch, message));
    }
    let trial = trial::Trial {
        file,
        library: arguments.onnxruntime.as_deref(),
        wanted: Wanted {
            choice: arguments.engine,
            thresholds: None,
        },
        limits: trial::Limits::default(),
    };
    let control = match (&kept, &arguments.companion_control) {
        (Some(control), _) => Arc::clone(control),
        (None, None) => Control::always(),
        (None, Some(file)) => Control::watch(file.clone()).map_err(|error| {
            ModelError::new(
                Reason::ModelUnreadable,
                format!("its switch cannot be watched: {error}"),
            )
        })?,
    };
    *kept = Some(Arc::clone(&control));
    Ok(Beside {
        loaded: trial.load(&verified, count)?,
        control,
    })
}
