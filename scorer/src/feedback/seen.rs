//! Which receipts were labelled, and how: about the newest million, in 17 bytes each.
//!
//! A fixed table of buckets with 16 places each. The id of a receipt is random already, so some of its bits choose the
//! bucket; a full bucket gives up its oldest entry. No hashing, no allocation after the start, and pages of the table that
//! no id fell into take no memory.

use crate::receipt::ReceiptId;

const WAYS: usize = 16;
const BUCKETS: usize = 1 << 16;

/// What is remembered of a receipt. Never zero: zero is an empty place.
pub type Note = std::num::NonZeroU8;

/// The table.
pub struct Seen {
    ids: Vec<[u8; 16]>,
    notes: Vec<u8>,
    /// Entries that were given up.
    pub evicted: u64,
}

impl Seen {
    /// An empty table for about a million receipts.
    pub fn new() -> Self {
        Self::with_buckets(BUCKETS)
    }

    /// `buckets` is a power of two.
    fn with_buckets(buckets: usize) -> Self {
        Self {
            ids: vec![[0; 16]; buckets * WAYS],
            notes: vec![0; buckets * WAYS],
            evicted: 0,
        }
    }

    fn bucket(&self, ReceiptId(id): ReceiptId) -> std::ops::Range<usize> {
        let bits = u32::from_le_bytes([id[0], id[1], id[2], id[3]]) as usize;
        let start = (bits % (self.ids.len() / WAYS)) * WAYS;
        start..start + WAYS
    }

    fn position(&self, id: ReceiptId) -> Option<usize> {
        self.bucket(id)
            .find(|&at| self.notes[at] != 0 && self.ids[at] == id.0)
    }

    /// What is remembered of this receipt.
    pub fn get(&self, id: ReceiptId) -> Option<Note> {
        self.position(id).and_then(|at| Note::new(self.notes[at]))
    }

    /// Remembers `note`. What was remembered of it before is replaced, and keeps its age.
    pub fn put(&mut self, id: ReceiptId, note: Note) {
        if let Some(at) = self.position(id) {
            self.notes[at] = note.get();
            return;
        }
        let bucket = self.bucket(id);
        self.evicted += u64::from(self.notes[bucket.end - 1] != 0);
        // The newest is first: everything moves on by one place.
        self.ids
            .copy_within(bucket.start..bucket.end - 1, bucket.start + 1);
        self.notes
            .copy_within(bucket.start..bucket.end - 1, bucket.start + 1);
        self.ids[bucket.start] = id.0;
        self.notes[bucket.start] = note.get();
    }

    /// Clears these bits of every note; `bits` must leave at least one bit set in each.
    pub fn clear(&mut self, bits: u8) {
        // Empty places are not written to: their pages take no memory yet.
        for note in self.notes.iter_mut().filter(|note| **note != 0) {
            *note &= !bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use rand::RngCore as _;

    use super::*;

    fn note(value: u8) -> Note {
        Note::new(value).unwrap()
    }

    fn id(n: u64) -> ReceiptId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&n.to_le_bytes());
        ReceiptId(bytes)
    }

    #[test]
    fn a_full_bucket_gives_up_its_oldest_entry() {
        let mut seen = Seen::with_buckets(1);
        for n in 0..16 {
            seen.put(id(n), note(1));
        }
        seen.put(id(0), note(2));
        assert_eq!((seen.get(id(0)), seen.evicted), (Some(note(2)), 0));
        seen.put(id(16), note(1));
        assert_eq!((seen.get(id(0)), seen.evicted), (None, 1));
        assert_eq!(
            (seen.get(id(1)), seen.get(id(16))),
            (Some(note(1)), Some(note(1)))
        );
    }

    #[test]
    fn half_a_million_random_receipts_are_nearly_all_remembered() {
        let mut seen = Seen::new();
        let mut bytes = [0; 16];
        for _ in 0..500_000 {
            rand::rng().fill_bytes(&mut bytes);
            seen.put(ReceiptId(bytes), note(9));
        }
        assert!(seen.evicted < 5_000, "{}", seen.evicted);
        assert_eq!(seen.get(ReceiptId(bytes)), Some(note(9)));
    }

    #[test]
    fn cleared_bits_are_gone_from_all() {
        let mut seen = Seen::with_buckets(2);
        seen.put(id(1), note(0b1001));
        seen.put(id(2), note(0b0001));
        seen.clear(0b1000);
        assert_eq!((seen.get(id(1)), seen.get(id(2))), (Some(note(1)), Some(note(1))));
        assert_eq!(seen.get(id(3)), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_while_nothing_is_given_up(puts in prop::collection::vec((0_u64..12, 1_u8..), 0..60)) {
            let (mut seen, mut map) = (Seen::with_buckets(1), HashMap::new());
            for (n, value) in puts {
                prop_assert_eq!(seen.get(id(n)).map(Note::get), map.insert(n, value));
                seen.put(id(n), note(value));
            }
            prop_assert_eq!(seen.evicted, 0);
        }
    }
}
