//! The sealed part of a receipt, little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 1 | bits 0 and 1: decision; bit 2: there is a score; bit 3: there is a transaction id |
//! | 1 | 1 | zero |
//! | 2 | 2 | number of features |
//! | 4 | 4 | version hash |
//! | 8 | 8 | Unix time in milliseconds |
//! | 16 | 8 | customer |
//! | 24 | 8 | transaction; zero when there is none |
//! | 32 | 4 | score; zero when there is none |
//! | 36 | 4 each | features |

use std::borrow::Cow;

use super::{Receipt, VersionHash};
use crate::decision::Decision;

/// Features that a receipt can hold.
pub const MAX_FEATURES: usize = 1024;
/// Bytes before the features.
pub const HEAD: usize = 36;

const HAS_SCORE: u8 = 1 << 2;
const HAS_TRANSACTION: u8 = 1 << 3;

/// Bytes that a receipt with so many features takes.
pub fn length(features: usize) -> usize {
    HEAD + 4 * features
}

/// Writes the receipt into `out`, which has its [`length`].
///
/// # Panics
/// With more than [`MAX_FEATURES`] features, which no request schema has, or with an `out` of another length.
pub fn encode(receipt: &Receipt<'_>, out: &mut [u8]) {
    let features = receipt.row.len();
    assert!(
        features <= MAX_FEATURES,
        "a request schema has at most 1024 inputs"
    );
    assert_eq!(out.len(), length(features));
    let mut flags = receipt.decision as u8;
    flags |= if receipt.score.is_some() { HAS_SCORE } else { 0 };
    flags |= if receipt.transaction.is_some() {
        HAS_TRANSACTION
    } else {
        0
    };
    let (head, rest) = out.split_at_mut(HEAD);
    head[..2].copy_from_slice(&[flags, 0]);
    head[2..4].copy_from_slice(&(features as u16).to_le_bytes());
    head[4..8].copy_from_slice(&receipt.version.0);
    head[8..16].copy_from_slice(&receipt.time.to_le_bytes());
    head[16..24].copy_from_slice(&receipt.customer.to_le_bytes());
    head[24..32].copy_from_slice(&receipt.transaction.unwrap_or_default().to_le_bytes());
    head[32..36].copy_from_slice(&receipt.score.unwrap_or_default().to_le_bytes());
    for (place, value) in rest.as_chunks_mut::<4>().0.iter_mut().zip(receipt.row.iter()) {
        *place = value.to_le_bytes();
    }
}

/// Reads what [`encode`] wrote; none for anything else.
pub fn decode(bytes: &[u8]) -> Option<Receipt<'static>> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let flags = head[0];
    let features = usize::from(u16::from_le_bytes([head[2], head[3]]));
    let known = flags & !(3 | HAS_SCORE | HAS_TRANSACTION) == 0 && head[1] == 0;
    if !known || features > MAX_FEATURES || rest.len() != 4 * features {
        return None;
    }
    let eight = |at: usize| head[at..].first_chunk::<8>().copied();
    let four = |at: usize| head[at..].first_chunk::<4>().copied();
    let (customer, transaction) = (i64::from_le_bytes(eight(16)?), i64::from_le_bytes(eight(24)?));
    let (values, _) = rest.as_chunks::<4>();
    Some(Receipt {
        row: Cow::Owned(values.iter().map(|v| f32::from_le_bytes(*v)).collect()),
        score: (flags & HAS_SCORE != 0).then_some(f32::from_le_bytes(four(32)?)),
        version: VersionHash(four(4)?),
        decision: *Decision::ALL.get(usize::from(flags & 3))?,
        time: u64::from_le_bytes(eight(8)?),
        transaction: (flags & HAS_TRANSACTION != 0).then_some(transaction),
        customer,
    })
}
