//! The keys of receipts, read from a directory: a Secret as Kubernetes mounts it.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use xaes_256_gcm::{Xaes256Gcm, aead::KeyInit};
use zeroize::Zeroizing;

use super::Scope;

/// Keys that a directory may hold.
const MAX_KEYS: usize = 32;
/// Bytes that the file of a key may have.
const MAX_FILE: u64 = 256;
const KEY_BYTES: usize = 32;

/// Why the keys cannot be used. The message names the file, never its content.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The directory cannot be read.
    #[error("receipt keys: cannot read the directory {}: {source}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has no file.
    #[error("receipt keys: {} has no key; put one file into it, 32 random bytes as base64 (`openssl rand -base64 32`)", .0.display())]
    Empty(PathBuf),
    /// It has too many.
    #[error("receipt keys: {} has more than {MAX_KEYS} keys; remove those that no receipt needs any more", .0.display())]
    TooMany(PathBuf),
    /// A file cannot be read.
    #[error("receipt key {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("receipt key {}: {problem}; write 32 random bytes as base64 (`openssl rand -base64 32`)", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two names have the same 32-bit tag.
    #[error("receipt keys {first} and {second} cannot be told apart: rename one of them")]
    Ambiguous {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
}

/// One key.
pub struct Key {
    /// File name.
    pub id: String,
    /// How receipts name it.
    pub tag: [u8; 4],
    /// What is authenticated beside the content: format, key id and FraudModel, as one hash.
    pub associated: [u8; 32],
    /// The cipher, keyed.
    pub cipher: Xaes256Gcm,
}

impl Key {
    fn new(scope: &Scope, id: String, secret: &[u8; KEY_BYTES]) -> Self {
        let mut hash = Sha256::new();
        for part in ["fraudops receipt 1", &id, &scope.namespace, &scope.model] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self {
            tag: tag("fraudops receipt key", &[&id]),
            id,
            associated: hash.finalize().into(),
            cipher: Xaes256Gcm::new(secret.into()),
        }
    }
}

/// Four bytes that stand for `parts`. They tell apart, they prove nothing.
pub fn tag(domain: &str, parts: &[&str]) -> [u8; 4] {
    let mut hash = Sha256::new();
    for part in [&[domain], parts].concat() {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// All keys of a directory, in the order of their names; at least one.
pub struct Keyring {
    keys: Vec<Key>,
    fingerprint: [u8; 32],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

impl Keyring {
    /// Reads a directory. Names that begin with a dot are none of ours: Kubernetes keeps its own there.
    pub fn read(dir: &Path, scope: &Scope) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut fingerprint = Sha256::new();
        for (id, file) in list(dir)? {
            let secret = read_key(&file)?;
            fingerprint.update((id.len() as u64).to_le_bytes());
            fingerprint.update(&id);
            fingerprint.update(secret.as_slice());
            let key = Key::new(scope, id, &secret);
            if let Some(twin) = keys.iter().find(|other| other.tag == key.tag) {
                return Err(KeyError::Ambiguous {
                    first: twin.id.clone(),
                    second: key.id,
                });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty(dir.to_owned()));
        }
        Ok(Self {
            keys,
            fingerprint: fingerprint.finalize().into(),
        })
    }

    /// The key that seals: its name sorts last.
    pub fn newest(&self) -> &Key {
        self.keys.last().expect("a keyring has at least one key")
    }

    /// The key with this tag.
    pub fn by_tag(&self, tag: [u8; 4]) -> Option<&Key> {
        self.keys.iter().find(|key| key.tag == tag)
    }

    /// Whether both hold the same keys under the same names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, KeyError> {
    let failed = |source| KeyError::Directory {
        dir: dir.to_owned(),
        source,
    };
    // A mounted Secret is one directory behind a link that is swapped: all files are to come from the same one.
    let root = fs::canonicalize(dir.join("..data")).unwrap_or_else(|_| dir.to_owned());
    let mut files = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let id = name.to_str().ok_or_else(|| KeyError::Content {
            file: entry.path(),
            problem: "its name is not UTF-8".to_owned(),
        })?;
        if id.starts_with('.') || entry.path().is_dir() {
            continue;
        }
        files.push((id.to_owned(), entry.path()));
        if files.len() > MAX_KEYS {
            return Err(KeyError::TooMany(dir.to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

fn read_key(file: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let unreadable = |source| KeyError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let content = |problem: String| KeyError::Content {
        file: file.to_owned(),
        problem,
    };
    let size = fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(content(format!("it has {size} bytes")));
    }
    let text = Zeroizing::new(fs::read(file).map_err(unreadable)?);
    let secret = decode(text.trim_ascii()).ok_or_else(|| content("it is not base64".to_owned()))?;
    let exact: &[u8; KEY_BYTES] = secret
        .as_slice()
        .try_into()
        .map_err(|_| content(format!("it holds {} bytes", secret.len())))?;
    Ok(Zeroizing::new(*exact))
}

/// Both alphabets, with padding or without.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engines = [&STANDARD, &URL_SAFE].map(|alphabet| GeneralPurpose::new(alphabet, config));
    engines
        .iter()
        .find_map(|engine| engine.decode(text).ok())
        .map(Zeroizing::new)
}
