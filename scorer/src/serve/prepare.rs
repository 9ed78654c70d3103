//! From the arguments to a model that may be installed. Blocking: runs beside the serving threads.

use std::sync::Arc;

use crate::{
    config::ServeArgs,
    decision::Thresholds,
    http::Policy,
    model::{self, Loaded, ModelError, Reason, Runtime, Verified},
    state::Card,
};

/// A model that is ready to be installed, with its card.
pub type Candidate = (Loaded, Policy, Card);

/// Everything between the file and engines that may serve. Blocking.
pub fn prepare(arguments: &ServeArgs, count: usize) -> Result<Candidate, ModelError> {
    let verified = model::verify(&arguments.model)?;
    let thresholds = thresholds(arguments, &verified)?;
    let runtime = Runtime::load(arguments.onnxruntime.as_deref())?;
    let loaded = model::load(&runtime, &verified, count)?;
    let version = arguments
        .model_version
        .clone()
        .unwrap_or_else(|| verified.metadata.card.version.clone());
    if version != verified.metadata.card.version {
        tracing::warn!(
            version,
            model = verified.metadata.card.version,
            "the model's own version is another one"
        );
    }
    let policy = Policy {
        thresholds,
        on_model_error: arguments.on_model_error,
        version: version.clone(),
        schema: Arc::clone(&verified.schema),
    };
    let card = Card::new(&verified, version, thresholds, loaded.golden_difference);
    Ok((loaded, policy, card))
}

fn thresholds(arguments: &ServeArgs, model: &Verified) -> Result<Thresholds, ModelError> {
    if let (Some(review), Some(block)) = (arguments.review, arguments.block) {
        return Thresholds::new(review, block)
            .map_err(|error| ModelError::new(Reason::MetadataInvalid, error));
    }
    model.metadata.thresholds.ok_or_else(|| {
        let message = "the model has no fraudops.dev/thresholds, and neither --review nor --block is given";
        ModelError::new(Reason::MetadataMissing, message)
    })
}
