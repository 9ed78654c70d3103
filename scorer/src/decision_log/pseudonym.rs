//! Ids as pseudonyms: HMAC-SHA256 under a key, the first 16 hexadecimal digits.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::OpenError;

const MIN_KEY_BYTES: usize = 32;
const DIGITS: usize = 16;

/// What an id belongs to. It is part of what is hashed: customer 5 and terminal 5 have different pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Transaction,
    Customer,
    Terminal,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Customer => "customer",
            Self::Terminal => "terminal",
        }
    }
}

/// An id, and where its pseudonym goes.
#[derive(Clone, Copy, Debug)]
pub struct Id {
    pub at: usize,
    pub kind: Kind,
    pub value: i64,
}

/// The key, ready for use.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Reads a file with at least 32 bytes as base64.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let problem = |problem: String| OpenError::Key {
            path: path.to_owned(),
            problem,
        };
        let text = fs::read_to_string(path).map_err(|error| problem(format!("cannot be read ({error})")))?;
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| problem("is not base64".to_owned()))?;
        if bytes.len() < MIN_KEY_BYTES {
            return Err(problem(format!("has {} bytes", bytes.len())));
        }
        Self::new(&bytes).ok_or_else(|| problem("cannot be used".to_owned()))
    }

    fn new(bytes: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(bytes).ok().map(Self)
    }

    /// A number that all who have this key share, and nobody else knows.
    pub fn seed(&self) -> u64 {
        u64::from_be_bytes(self.first_bytes("sample"))
    }

    /// Writes the pseudonyms into their places.
    pub fn fill(&self, bytes: &mut [u8], ids: &[Id]) {
        for id in ids {
            let pseudonym = self.pseudonym(id.kind, id.value);
            if let Some(place) = bytes.get_mut(id.at..id.at + DIGITS) {
                place.copy_from_slice(pseudonym.as_bytes());
            }
        }
    }

    fn pseudonym(&self, kind: Kind, value: i64) -> String {
        let number = u64::from_be_bytes(self.first_bytes(&format!("{}:{value}", kind.as_str())));
        format!("{number:016x}")
    }

    fn first_bytes(&self, text: &str) -> [u8; 8] {
        let mac = self.0.clone().chain_update(text).finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&mac[..8]);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_pseudonym_is_what_openssl_makes_of_kind_and_id() {
        // printf 'customer:596' | openssl dgst -sha256 -mac hmac -macopt hexkey:0707…07 | cut -c 1-16
        assert_eq!(key().pseudonym(Kind::Customer, 596), "89ddcccc94421c65");
        assert_ne!(
            key().pseudonym(Kind::Customer, 5),
            key().pseudonym(Kind::Terminal, 5)
        );
        assert_eq!(key().pseudonym(Kind::Transaction, i64::MIN).len(), DIGITS);
    }

    #[test]
    fn a_key_must_be_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let problem = |content: &str| {
            fs::write(&path, content).unwrap();
            Key::read(&path).err().map(|error| error.to_string())
        };
        assert_eq!(problem(&format!("{}\n", STANDARD.encode([7; 32]))), None);
        assert!(
            problem(&STANDARD.encode([7; 31]))
                .unwrap()
                .contains("has 31 bytes")
        );
        assert!(problem("%%%").unwrap().contains("is not base64"));
        let absent = Key::read(&folder.path().join("absent")).err().unwrap();
        assert!(absent.to_string().contains("cannot be read"), "{absent}");
    }
}
