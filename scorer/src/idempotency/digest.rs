//! What makes two requests the same: a keyed hash of what was parsed.

use std::{fmt, hash::Hasher as _};

use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::receipt::Scope;

/// Stands for the content of a request: 128 bits of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub(super) u128);

/// The key of the digests, and of the names under which answers are stored.
#[derive(Clone)]
pub struct DigestKey {
    content: [u8; 16],
    name: [u8; 16],
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

impl DigestKey {
    /// A key for one process.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self::from_bytes(&bytes)
    }

    /// The same key in every pod of a FraudModel that knows `secret`. Another secret is another key, and other names: nothing
    /// that was stored under the old one is found, or mistaken for a conflict.
    pub fn shared(scope: &Scope, secret: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let parts = [
            b"fraudops idempotency 1",
            scope.namespace.as_bytes(),
            scope.model.as_bytes(),
            secret,
        ];
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self::from_bytes(&hash.finalize().into())
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (mut content, mut name) = ([0; 16], [0; 16]);
        content.copy_from_slice(&bytes[..16]);
        name.copy_from_slice(&bytes[16..]);
        Self { content, name }
    }

    /// The digest of a request: its whole numbers and its row, as parsed, so that neither the order of the fields nor the
    /// way in which a number is written matters. 0 and -0 are the same, and so are all NaNs (a missing value).
    ///
    /// The row must be the caller's, before anything is put in for missing values: versions may put in different ones.
    pub fn digest(&self, integers: &[i64], row: &[f32]) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.content);
        hasher.write_u64(integers.len() as u64);
        hasher.write_u64(row.len() as u64);
        for value in integers {
            hasher.write_u64(value.cast_unsigned());
        }
        // Whole words are what the hash is fast with.
        for pair in row.chunks(2) {
            let high = pair.get(1).map_or(0, |value| canonical(*value));
            hasher.write_u64(u64::from(canonical(pair[0])) | u64::from(high) << 32);
        }
        Digest(hasher.finish128().as_u128())
    }

    /// The name under which the answer of transaction `id` is stored outside of the process. Does not give the id away.
    pub(super) fn name(&self, id: i64) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.name);
        hasher.write_u64(id.cast_unsigned());
        format!("fraudops:idempotency:{:032x}", hasher.finish128().as_u128())
    }
}

fn canonical(value: f32) -> u32 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(model: &str) -> Scope {
        Scope {
            namespace: "payments".to_owned(),
            model: model.to_owned(),
        }
    }

    #[test]
    fn what_means_the_same_has_the_same_digest() {
        let key = DigestKey::random();
        let nan = f32::from_bits(0x7fc0_1234);
        assert_eq!(
            key.digest(&[1, 2], &[0.0, f32::NAN]),
            key.digest(&[1, 2], &[-0.0, nan])
        );
        for (integers, row) in [
            (&[1, 3][..], &[0.0, f32::NAN][..]),
            (&[2, 1], &[0.0, f32::NAN]),
            (&[1], &[0.0, f32::NAN]),
            (&[1, 2], &[f32::NAN, 0.0]),
            (&[1, 2], &[0.0]),
            (&[1, 2], &[0.0, f32::NAN, 0.0]),
            (&[1, 2], &[1e-45, f32::NAN]),
        ] {
            assert_ne!(key.digest(&[1, 2], &[0.0, f32::NAN]), key.digest(integers, row));
        }
    }

    #[test]
    fn pods_with_the_same_secret_agree_and_others_do_not() {
        let of = |model: &str, secret: &[u8]| {
            let key = DigestKey::shared(&scope(model), secret);
            (key.digest(&[7], &[1.0]), key.name(7))
        };
        assert_eq!(of("a", b"s"), of("a", b"s"));
        for other in [of("b", b"s"), of("a", b"t")] {
            assert_ne!(of("a", b"s").0, other.0);
            assert_ne!(of("a", b"s").1, other.1);
        }
        assert_ne!(
            DigestKey::random().digest(&[7], &[1.0]),
            DigestKey::random().digest(&[7], &[1.0])
        );
        assert_eq!(of("a", b"s").1.len(), 53);
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", DigestKey::random()), "DigestKey");
    }
}
