//! The side of the child.

use std::fs;

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
    signal::Signal,
};

use super::{Limits, Line, Report, TrialArgs};
use crate::{
    decision::Thresholds,
    model::{self, ModelError, Reason, Runtime, Wanted},
};

/// Address space for each byte of the file: ONNX Runtime's own form of the trees beside the file's.
const MEMORY_PER_BYTE: u64 = 8;

/// Open files; enough for the libraries and the model.
const FILES: u64 = 64;

/// Tries the model out. Answers the line for the parent, and whether the model may be served.
///
/// Limits the calling process for good: it is one that ends right after.
pub fn run(arguments: &TrialArgs) -> (String, bool) {
    let outcome = confine(arguments).and_then(|()| attempt(arguments));
    let found = outcome.is_ok();
    let line = match outcome {
        Ok(report) => Line::Found(report),
        Err(error) => Line::Refused {
            reason: error.reason.as_str().to_owned(),
            message: error.message,
        },
    };
    (serde_json::to_string(&line).unwrap_or_default(), found)
}

fn confine(arguments: &TrialArgs) -> Result<(), ModelError> {
    let limits = Limits::default();
    let size = fs::metadata(&arguments.file).map_or(0, |data| data.len());
    let memory = limits.memory + size.saturating_mul(MEMORY_PER_BYTE);
    let confine = || {
        // The parent may be gone before it can end us.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        prctl::set_no_new_privs()?;
        for (resource, limit) in [
            (Resource::RLIMIT_AS, memory),
            (Resource::RLIMIT_NOFILE, FILES),
            (Resource::RLIMIT_CORE, 0),
        ] {
            setrlimit(resource, limit, limit)?;
        }
        // SIGXCPU tells the parent what happened; SIGKILL, which follows, would not.
        let cpu = limits.cpu.as_secs();
        setrlimit(Resource::RLIMIT_CPU, cpu, cpu + 1)?;
        Ok(())
    };
    confine().map_err(|error: nix::Error| {
        ModelError::new(
            Reason::TrialCrashed,
            format!("the trial cannot be confined: {error}"),
        )
    })
}

fn attempt(arguments: &TrialArgs) -> Result<Report, ModelError> {
    let verified = model::verify(&arguments.file)?;
    let thresholds = match (arguments.review, arguments.block) {
        (Some(review), Some(block)) => Some(
            Thresholds::new(review, block)
                .map_err(|error| ModelError::new(Reason::MetadataInvalid, error))?,
        ),
        _ => None,
    };
    let wanted = Wanted {
        choice: arguments.engine,
        thresholds,
    };
    let runtime = Runtime::load(arguments.onnxruntime.as_deref())?;
    let loaded = model::load_as(&runtime, &verified, 1, wanted)?;
    Ok(Report {
        sha256: verified.sha256,
        engine: loaded.kind,
        why: loaded.why,
        golden_difference: loaded.golden_difference,
    })
}
