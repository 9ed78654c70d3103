//! A quick hash of ids: one wide multiplication with a key of the process, so that nobody outside can choose ids that
//! collide.

use std::hash::{BuildHasher, Hasher};

/// The key.
#[derive(Clone, Copy)]
pub struct Mix {
    add: u64,
    multiply: u64,
}

impl Mix {
    /// Another one for each memory.
    pub fn random() -> Self {
        Self {
            add: rand::random(),
            multiply: rand::random::<u64>() | 1,
        }
    }
}

impl BuildHasher for Mix {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed {
            key: *self,
            state: self.add,
        }
    }
}

/// The hash of one id.
pub struct Mixed {
    key: Mix,
    state: u64,
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word) * u128::from(self.key.multiply);
        self.state = (wide as u64) ^ (wide >> 64) as u64;
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_in_a_row_are_spread_and_memories_differ() {
        let (a, b) = (Mix::random(), Mix::random());
        let hashes: HashSet<u64> = (0_i64..10_000).map(|id| a.hash_one(id)).collect();
        assert_eq!(hashes.len(), 10_000);
        // Both ends and the middle are used: none of them may be constant.
        for shift in [0, 32, 57] {
            let parts: HashSet<u64> = hashes.iter().map(|hash| hash >> shift & 15).collect();
            assert_eq!(parts.len(), 16, "bits from {shift} on");
        }
        assert_ne!(a.hash_one(7_i64), b.hash_one(7_i64));
        assert_eq!(a.hash_one(7_i64), a.hash_one(7_i64));
    }
}
