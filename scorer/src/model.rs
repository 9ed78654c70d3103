//! The model file: fetched, looked into, verified, and turned into engines.

pub mod artifact;
mod golden;
mod inspect;
mod load;
mod metadata;
mod profile;
mod select;
mod session;
pub mod trial;
pub(crate) mod wire;

pub use golden::{Golden, MAX_DIFFERENCE, decimal};
pub(crate) use inspect::{Aggregate, Links, Mode, Node, Transform, Trees};
pub use inspect::{Outline, Tensor, ValueType, inspect};
pub use load::{
    Loaded, MAX_FILE_BYTES, Verified, examine, load, load_as, load_onnx, load_tree, read, sha256, verify,
};
pub use metadata::{Feature, Metadata};
pub use profile::{Deciles, Profile};
pub use select::{ModelEngine, Selected, Wanted, select};
pub use session::{NO_TELEMETRY, OnnxEngine, Runtime, Shape};

use std::fmt;

/// Why no model can be served. The names are part of `/readyz` and of the operator's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Still at it.
    Loading,
    /// The file is missing, unreadable or too large.
    ModelUnreadable,
    /// The file is no ONNX model, or not one that is safe to load.
    NotOnnx,
    /// A metadata key is missing.
    MetadataMissing,
    /// A metadata key has content that cannot be used.
    MetadataInvalid,
    /// The model's input is not one tensor of 32-bit floats with the right width.
    UnsupportedInputs,
    /// The model has no usable probability output.
    UnsupportedOutputs,
    /// The model was trained on other features, or in another order.
    FeatureMismatch,
    /// The model does not give the scores that its trainer saw.
    GoldenMismatch,
    /// The model fails again and again on what it is asked.
    ModelFailing,
    /// The policy of the manifest cannot be read.
    PolicyInvalid,
    /// A rule cannot be compiled; the message names it.
    RuleInvalid,
    /// A list of the rules cannot be read.
    ListInvalid,
    /// The keys of receipts cannot be read.
    ReceiptKeysInvalid,
    /// Redis is named and its settings cannot be read.
    RedisInvalid,
    /// ONNX Runtime's library is missing or does not work.
    RuntimeUnavailable,
    /// The engine that was asked for cannot serve the model.
    EngineUnsupported,
    /// The process that tried the model out crashed.
    TrialCrashed,
    /// The process that tried the model out did not come to an end.
    TrialTimeout,
    /// The process is shutting down.
    Draining,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Loading,
        Self::ModelUnreadable,
        Self::NotOnnx,
        Self::MetadataMissing,
        Self::MetadataInvalid,
        Self::UnsupportedInputs,
        Self::UnsupportedOutputs,
        Self::FeatureMismatch,
        Self::GoldenMismatch,
        Self::RuntimeUnavailable,
        Self::EngineUnsupported,
        Self::TrialCrashed,
        Self::TrialTimeout,
        Self::Draining,
    ];

    /// The reason of a CamelCase name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The CamelCase name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "Loading",
            Self::ModelUnreadable => "ModelUnreadable",
            Self::NotOnnx => "NotONNX",
            Self::MetadataMissing => "MetadataMissing",
            Self::MetadataInvalid => "MetadataInvalid",
            Self::UnsupportedInputs => "UnsupportedInputs",
            Self::UnsupportedOutputs => "UnsupportedOutputs",
            Self::FeatureMismatch => "FeatureMismatch",
            Self::GoldenMismatch => "GoldenMismatch",
            Self::ModelFailing => "ModelFailing",
            Self::PolicyInvalid => "PolicyInvalid",
            Self::RuleInvalid => "RuleInvalid",
            Self::ListInvalid => "ListInvalid",
            Self::ReceiptKeysInvalid => "ReceiptKeysInvalid",
            Self::RedisInvalid => "RedisInvalid",
            Self::RuntimeUnavailable => "RuntimeUnavailable",
            Self::EngineUnsupported => "EngineUnsupported",
            Self::TrialCrashed => "TrialCrashed",
            Self::TrialTimeout => "TrialTimeout",
            Self::Draining => "Draining",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A model that cannot be served: the reason for machines, the message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ModelError {
    /// The reason.
    pub reason: Reason,
    /// What is wrong, and the way out.
    pub message: String,
}

impl ModelError {
    /// Pairs a reason with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
