//! Answers in the order in which they were given.
//!
//! There are more of them than a processor's cache holds, and most are never asked for again. So a new one is written
//! behind the last, the oldest is forgotten by moving the front, and the only thing that is looked up by id is an index of
//! four bytes for each answer, which does stay in the cache.

use std::{collections::VecDeque, hash::BuildHasher as _, time::Instant};

use bytes::Bytes;
use hashbrown::{HashTable, hash_table::Entry};

use super::{Digest, mix::Mix};

/// Bytes that an answer takes beside a text and the room that growing leaves: its note, and its places in the index.
pub const OVERHEAD: usize = 96;

/// What is known of an answer.
#[derive(Clone, Copy)]
pub struct Note {
    pub digest: Digest,
    expires: Instant,
    id: i64,
    /// Where its text begins, counted from the first text ever.
    start: u64,
    length: u32,
}

/// Answers, the oldest first. An id is in it once at most.
pub struct Ring {
    mix: Mix,
    notes: VecDeque<Note>,
    /// The texts of all notes, one behind the other.
    texts: VecDeque<u8>,
    /// The low half of each note's number.
    index: HashTable<u32>,
    /// The number of the oldest note: how many were forgotten.
    first: u64,
    /// Where the oldest note's text begins.
    start: u64,
}

impl Ring {
    pub fn new(mix: Mix) -> Self {
        Self {
            mix,
            notes: VecDeque::new(),
            texts: VecDeque::new(),
            index: HashTable::new(),
            first: 0,
            start: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.notes.len()
    }

    /// What all of it takes, at most.
    pub fn bytes(&self) -> usize {
        OVERHEAD * self.notes.len() + self.texts.len() + self.texts.len() / 4
    }

    /// What is reserved for it.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.notes.capacity() * size_of::<Note>() + self.texts.capacity() + self.index.allocation_size()
    }

    pub fn oldest_expires(&self) -> Option<Instant> {
        self.notes.front().map(|note| note.expires)
    }

    pub fn find(&self, id: i64) -> Option<&Note> {
        let (notes, first) = (&self.notes, self.first);
        let is_it = |low: &u32| note(notes, first, *low).is_some_and(|note| note.id == id);
        let low = self.index.find(self.mix.hash_one(id), is_it)?;
        note(notes, first, *low)
    }

    /// The text of a note of this ring.
    pub fn text(&self, note: &Note) -> Bytes {
        let from = (note.start - self.start) as usize;
        let text = self.texts.range(from..from + note.length as usize);
        text.copied().collect()
    }

    /// Adds an answer. One that is there under this id already stays, and so does one of 4 GiB stay out.
    pub fn push(&mut self, id: i64, digest: Digest, expires: Instant, text: &[u8]) {
        let Ok(length) = u32::try_from(text.len()) else {
            return;
        };
        let (mix, notes, first) = (self.mix, &self.notes, self.first);
        let is_it = |low: &u32| note(notes, first, *low).is_some_and(|note| note.id == id);
        let hash = |low: &u32| note(notes, first, *low).map_or(0, |note| mix.hash_one(note.id));
        let Entry::Vacant(place) = self.index.entry(mix.hash_one(id), is_it, hash) else {
            return;
        };
        place.insert((first + notes.len() as u64) as u32);
        make_room(&mut self.notes, 1);
        make_room(&mut self.texts, text.len());
        self.notes.push_back(Note {
            digest,
            expires,
            id,
            start: self.start + self.texts.len() as u64,
            length,
        });
        self.texts.extend(text);
    }

    /// Forgets the oldest.
    pub fn pop(&mut self) {
        let Some(oldest) = self.notes.pop_front() else {
            return;
        };
        let low = self.first as u32;
        if let Ok(place) = self
            .index
            .find_entry(self.mix.hash_one(oldest.id), |other| *other == low)
        {
            place.remove();
        }
        self.texts.drain(..oldest.length as usize);
        self.first += 1;
        self.start += u64::from(oldest.length);
    }
}

/// The note whose number ends so. There are never so many that two do.
fn note(notes: &VecDeque<Note>, first: u64, low: u32) -> Option<&Note> {
    notes.get(low.wrapping_sub(first as u32) as usize)
}

/// Room for more, by a quarter at a time: what is reserved counts as used.
fn make_room<T>(queue: &mut VecDeque<T>, more: usize) {
    if queue.capacity() - queue.len() < more {
        queue.reserve_exact(more.max(queue.len() / 4));
    }
}
