//! Why a fetch failed.

use std::fmt;

/// The reason for machines: first word of the termination log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchReason {
    /// The uri cannot be used, or a digest is missing.
    InvalidUri,
    /// There is nothing at this place.
    NotFound,
    /// The server does not let us in.
    Unauthorized,
    /// The server does not answer, or answers nonsense.
    Unreachable,
    /// More bytes than allowed.
    TooLarge,
    /// Other bytes than promised.
    DigestMismatch,
    /// Out of time.
    Timeout,
    /// An artifact without an .onnx file.
    NotAModel,
    /// The file cannot be written.
    WriteFailed,
    /// An address where no model is fetched from: link-local, or a metadata service.
    AddressRefused,
    /// The artifact has no signature.
    NotSigned,
    /// The artifact's signatures are not of our keys, or not for this artifact; or the key is unusable.
    SignatureInvalid,
}

impl FetchReason {
    /// The CamelCase name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUri => "InvalidURI",
            Self::NotFound => "NotFound",
            Self::Unauthorized => "Unauthorized",
            Self::Unreachable => "Unreachable",
            Self::TooLarge => "TooLarge",
            Self::DigestMismatch => "DigestMismatch",
            Self::Timeout => "Timeout",
            Self::NotAModel => "NotAModel",
            Self::WriteFailed => "WriteFailed",
            Self::AddressRefused => "AddressRefused",
            Self::NotSigned => "NotSigned",
            Self::SignatureInvalid => "SignatureInvalid",
        }
    }
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed fetch. Its text never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct FetchError {
    /// The reason.
    pub reason: FetchReason,
    /// What is wrong, and the way out.
    pub message: String,
    /// Whether it may pass by itself.
    pub transient: bool,
}

/// A failure that stays.
pub fn fail<T>(reason: FetchReason, message: impl Into<String>) -> Result<T, FetchError> {
    Err(FetchError {
        reason,
        message: message.into(),
        transient: false,
    })
}

/// A failure that may pass.
pub fn try_again(message: impl Into<String>) -> FetchError {
    FetchError {
        reason: FetchReason::Unreachable,
        message: message.into(),
        transient: true,
    }
}
