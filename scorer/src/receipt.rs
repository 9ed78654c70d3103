//! Receipts: what was scored, in the caller's hands, readable to nobody but the scorer.
//!
//! An answer of `/predict` carries one. It comes back with a label, days later, and then any version can score the very same
//! features: delayed labels without a database. A receipt is sealed by authenticated encryption, so that it can be neither
//! read nor made nor changed by whoever keeps it.
//!
//! In base64url without padding (194 characters for 15 features):
//!
//! | bytes | |
//! |---|---|
//! | 1 | format, 1 |
//! | 4 | tag of the FraudModel: a receipt of another one is told apart before it is opened |
//! | 4 | tag of the key |
//! | 24 | nonce, random |
//! | 36 + 4·features | sealed: see `layout` |
//! | 16 | authentication tag |
//!
//! The cipher is XAES-256-GCM (C2SP): AES-256-GCM under a key that is derived from the sealing key and half of a 192-bit
//! nonce. With plain AES-256-GCM and random 96-bit nonces, 10^10 receipts under one key would collide with probability
//! 6·10^-10, which is above the 2^-32 that NIST SP 800-38D allows. With 192 bits it is 8·10^-39, so a key never wears out.
//! XChaCha20-Poly1305 has such nonces too, and takes four times the instructions here: 8,000 against 1,850 for 96 bytes.

mod keyring;
mod layout;
mod sealer;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, str::FromStr};

pub use keyring::KeyError;
pub use layout::MAX_FEATURES;
pub use sealer::{MAX_AGE, Scope, Sealer};

use crate::decision::Decision;

/// What a receipt says. It has no readable `Debug`: features and ids must not reach a log.
#[derive(Clone)]
pub struct Receipt<'a> {
    /// Inputs of the model in the order of its schema; at most [`MAX_FEATURES`].
    pub row: Cow<'a, [f32]>,
    /// Score of the model before any rule, 0..1; none when the model failed.
    pub score: Option<f32>,
    /// The version that answered.
    pub version: VersionHash,
    /// What was answered, rules included.
    pub decision: Decision,
    /// When, in milliseconds of Unix time.
    pub time: u64,
    /// `TRANSACTION_ID`, where the request had one.
    pub transaction: Option<i64>,
    /// `CUSTOMER_ID`: labels of one customer are not independent of each other.
    pub customer: i64,
}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("version", &self.version)
            .field("features", &self.row.len())
            .finish_non_exhaustive()
    }
}

/// The eight hex digits that name a version in Kubernetes objects (label `fraudops.dev/version-hash`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct VersionHash([u8; 4]);

impl VersionHash {
    /// The four bytes.
    pub fn bytes(self) -> [u8; 4] {
        self.0
    }
}

impl FromStr for VersionHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = text.len() == 8
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let value = u32::from_str_radix(text, 16).ok().filter(|_| hex);
        value
            .map(|value| Self(value.to_be_bytes()))
            .ok_or_else(|| "a version hash has eight lower-case hex digits".to_owned())
    }
}

impl fmt::Display for VersionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for VersionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells receipts apart: 128 of the 192 random bits of the nonce. Nobody can choose one, because it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptId(pub [u8; 16]);

/// Why a receipt is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not base64url, cut short, or of a format that this scorer does not know.
    #[error("this is not a receipt of /predict: send the text as it was answered")]
    Malformed,
    /// Its key was removed, or it was never ours.
    #[error(
        "the receipt's key is not among the mounted keys: keep a key as long as its receipts may come back"
    )]
    UnknownKey,
    /// Sealed for another FraudModel.
    #[error("the receipt is of another FraudModel: send it to the one that answered")]
    Foreign,
    /// Changed, or made by somebody without the key.
    #[error("the receipt is forged or was changed on the way")]
    Forged,
    /// Older than the limit.
    #[error("the receipt is too old")]
    Expired,
    /// From a time that has not come yet.
    #[error("the receipt is from the future: compare the clocks of the nodes")]
    FromFuture,
}

impl ReceiptError {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::Foreign,
        Self::Forged,
        Self::Expired,
        Self::FromFuture,
    ];

    /// The code in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "receipt_malformed",
            Self::UnknownKey => "receipt_unknown_key",
            Self::Foreign => "receipt_foreign",
            Self::Forged => "receipt_forged",
            Self::Expired => "receipt_expired",
            Self::FromFuture => "receipt_from_future",
        }
    }
}
