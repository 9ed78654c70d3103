//! Counts labels once for each loaded version, and takes back what was corrected.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    item::{Item, Label, Refusal, Source},
    seen::{Note, Seen},
    tally::{Contribution, Tally},
};
use crate::{
    decision::Thresholds,
    receipt::{Receipt, ReceiptId, Sealer, VersionHash},
};

/// How far the clock of whoever labels may be ahead of ours, and of the scorer that answered.
const MAX_SKEW_MS: u64 = 5 * 60 * 1000;

/// Which place a version has in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// It answers.
    Answering,
    /// It is scored beside the one that answers.
    Companion,
}

impl Arm {
    /// Both, in the order of their slots.
    pub const ALL: [Self; 2] = [Self::Answering, Self::Companion];

    fn bit(self) -> u8 {
        1 << (4 + self as u8)
    }
}

/// A loaded version and what is counted for it.
#[derive(Debug)]
pub struct Version {
    /// Label `version` of its metrics.
    pub name: String,
    /// How receipts name it.
    pub hash: VersionHash,
    /// From which scores on it predicts fraud.
    pub thresholds: Thresholds,
    pub(super) counted: Tally,
    pub(super) corrected: Tally,
    pub(super) unscored: AtomicU64,
}

impl Version {
    /// A version without any label.
    pub fn new(name: String, hash: VersionHash, thresholds: Thresholds) -> Self {
        Self {
            name,
            hash,
            thresholds,
            counted: Tally::default(),
            corrected: Tally::default(),
            unscored: AtomicU64::new(0),
        }
    }

    /// The score that the receipt holds, if it is this version's.
    pub fn given(&self, receipt: &Receipt<'_>) -> Option<f32> {
        receipt.score.filter(|_| receipt.version == self.hash)
    }
}

/// An item whose receipt is good.
#[derive(Debug)]
pub struct Judged {
    /// Of the receipt.
    pub id: ReceiptId,
    /// What was answered.
    pub receipt: Receipt<'static>,
    label: Label,
    source: Source,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Counted for the first time.
    Counted,
    /// The receipt has this label already.
    Duplicate,
    /// The receipt had the other label, which is taken back.
    Corrected,
}

impl Outcome {
    /// All of them, in the order of their slots.
    pub const ALL: [Self; 3] = [Self::Counted, Self::Duplicate, Self::Corrected];

    /// As it is written in answers and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Duplicate => "duplicate",
            Self::Corrected => "corrected",
        }
    }
}

/// All that feedback keeps. Shared by all threads; not on the path of a prediction.
pub struct Ledger {
    inner: Mutex<Inner>,
    pub(super) outcomes: [AtomicU64; 3],
    pub(super) refusals: [AtomicU64; Refusal::CODES.len()],
}

struct Inner {
    seen: Seen,
    arms: [Option<Arc<Version>>; 2],
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("versions", &self.versions())
            .finish_non_exhaustive()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                seen: Seen::new(),
                arms: [None, None],
            }),
            outcomes: Default::default(),
            refusals: Default::default(),
        }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version takes this place, or none does. Labels that come again are counted for the new one.
    pub fn set(&self, arm: Arm, version: Option<Version>) {
        let mut inner = self.lock();
        inner.seen.clear(arm.bit());
        inner.arms[arm as usize] = version.map(Arc::new);
    }

    /// The loaded versions.
    pub fn versions(&self) -> [Option<Arc<Version>>; 2] {
        self.lock().arms.clone()
    }

    /// Receipts that were forgotten to make room.
    pub fn evicted(&self) -> u64 {
        self.lock().seen.evicted
    }

    /// Opens the receipt of an item at `now` (milliseconds of Unix time).
    ///
    /// # Errors
    /// [`Refusal`]; count it with [`Self::refused`].
    pub fn judge(&self, sealer: &Sealer, item: &Item<'_>, now: u64) -> Result<Judged, Refusal> {
        let (id, receipt) = sealer.open(&item.receipt, now)?;
        let time = u64::try_from(item.time.as_millisecond()).map_err(|_| Refusal::TimeBeforeTransaction)?;
        if time > now.saturating_add(MAX_SKEW_MS) {
            return Err(Refusal::TimeInFuture);
        }
        if time.saturating_add(MAX_SKEW_MS) < receipt.time {
            return Err(Refusal::TimeBeforeTransaction);
        }
        Ok(Judged {
            id,
            receipt,
            label: item.label,
            source: item.source,
        })
    }

    /// Counts an item that is not counted.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals[refusal.slot()].fetch_add(1, Relaxed);
    }

    /// Counts a label for every loaded version. `score` gives a version's score of the features where the receipt does not
    /// hold it; none when the version failed on them or is switched off: then the label is not counted for this version.
    ///
    /// `score` must give the same score for the same features, because a correction takes back what it gave before.
    pub fn apply(&self, judged: &Judged, score: &dyn Fn(&Version, &[f32]) -> Option<f32>) -> Outcome {
        // Scoring takes time: not under the lock.
        let scored = self.versions().map(|version| {
            version.map(|version| {
                let given = version.given(&judged.receipt);
                let found = given.or_else(|| score(&version, &judged.receipt.row));
                let found = found.filter(|score| (0.0..=1.0).contains(score));
                (version, found)
            })
        });
        let mut inner = self.lock();
        let before = inner.seen.get(judged.id).map(Memory::from_note);
        let mut memory = match before {
            Some(before) if before.label == judged.label => before, // the first source keeps it
            _ => Memory::of(judged, before.map_or(0, |before| before.arms)),
        };
        for (arm, scored) in Arm::ALL.into_iter().zip(&scored) {
            let current = inner.arms[arm as usize].as_ref();
            let Some((version, score)) = scored
                .as_ref()
                .filter(|s| current.is_some_and(|c| Arc::ptr_eq(c, &s.0)))
            else {
                continue; // none, or another one since
            };
            memory.count(arm, version, *score, before);
        }
        inner.seen.put(judged.id, memory.to_note());
        drop(inner);
        let outcome = match before {
            None => Outcome::Counted,
            Some(before) if before.label == judged.label => Outcome::Duplicate,
            Some(_) => Outcome::Corrected,
        };
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        outcome
    }
}

/// What is remembered of a labelled receipt, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    label: Label,
    source: Source,
    /// Bits of the arms that it was counted for.
    arms: u8,
}

/// Set in every note, so that none is zero.
const PRESENT: u8 = 1 << 3;

impl Memory {
    fn of(judged: &Judged, arms: u8) -> Self {
        Self {
            label: judged.label,
            source: judged.source,
            arms,
        }
    }

    fn from_note(note: Note) -> Self {
        let bits = note.get();
        Self {
            label: Label::ALL[usize::from(bits & 1)],
            source: Source::ALL[usize::from(bits >> 1 & 3)],
            arms: bits & Arm::ALL.map(Arm::bit).iter().sum::<u8>(),
        }
    }

    fn to_note(self) -> Note {
        let bits = self.label as u8 | (self.source as u8) << 1 | PRESENT | self.arms;
        Note::new(bits).unwrap_or(Note::MAX) // PRESENT is set
    }

    /// Counts this label for one version, and takes back what was counted `before`.
    fn count(&mut self, arm: Arm, version: &Version, score: Option<f32>, before: Option<Self>) {
        let earlier = before.filter(|before| before.arms & arm.bit() != 0);
        if earlier.is_some_and(|before| before.label == self.label) {
            return;
        }
        let Some(score) = score else {
            version.unscored.fetch_add(1, Relaxed);
            self.arms &= !arm.bit();
            return;
        };
        let contribution = |memory: &Self| Contribution {
            label: memory.label,
            source: memory.source,
            score,
        };
        if let Some(before) = earlier {
            version.corrected.add(version.thresholds, contribution(&before));
        }
        version.counted.add(version.thresholds, contribution(self));
        self.arms |= arm.bit();
    }
}

#[cfg(test)]
mod tests;
