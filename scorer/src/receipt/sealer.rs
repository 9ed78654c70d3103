//! Seals and opens receipts with the keys of a directory that may change at any time.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore as _;
use xaes_256_gcm::{
    Nonce, Tag,
    aead::{AeadInOut, inout::InOutBuf},
};

use super::{
    KeyError, Receipt, ReceiptError, ReceiptId,
    keyring::{Keyring, tag},
    layout::{self, HEAD, MAX_FEATURES},
};

/// How old a receipt may be unless somebody says otherwise: chargebacks come within half a year.
pub const MAX_AGE: Duration = Duration::from_secs(180 * 24 * 3600);
/// How far the clocks of two nodes may be apart.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

const FORMAT: u8 = 1;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Bytes before the sealed part.
const FRONT: usize = 1 + 4 + 4 + NONCE;
/// Receipts of up to 64 features are made without an allocation.
const SMALL: usize = FRONT + HEAD + 4 * 64 + TAG;
/// Longest text that is looked at.
const MAX_TEXT: usize = (FRONT + HEAD + 4 * MAX_FEATURES + TAG).div_ceil(3) * 4;

/// Whose receipts these are: a FraudModel. One of another name or namespace does not accept them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Namespace of the FraudModel.
    pub namespace: String,
    /// Name of the FraudModel.
    pub model: String,
}

/// Seals and opens receipts. Shared by all threads.
pub struct Sealer {
    scope: Scope,
    scope_tag: [u8; 4],
    dir: PathBuf,
    max_age: Duration,
    keys: ArcSwap<Keyring>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("scope", &self.scope)
            .field("dir", &self.dir)
            .field("keys", &self.keys.load())
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// Reads the keys of `dir`: a file's name is the key's id, its content 32 bytes as base64. The name that sorts last
    /// seals, all of them open.
    ///
    /// # Errors
    /// [`KeyError`] with the file that is wrong, never its content.
    pub fn from_dir(dir: &Path, scope: Scope) -> Result<Self, KeyError> {
        let keys = Keyring::read(dir, &scope)?;
        Ok(Self {
            scope_tag: tag("fraudops receipt scope", &[&scope.namespace, &scope.model]),
            scope,
            dir: dir.to_owned(),
            max_age: MAX_AGE,
            keys: ArcSwap::from_pointee(keys),
        })
    }

    /// Another limit of age than [`MAX_AGE`].
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// The sealed receipt, as text.
    pub fn seal(&self, receipt: &Receipt<'_>) -> String {
        let mut text = String::new();
        self.seal_into(receipt, &mut text);
        text
    }

    /// Appends the sealed receipt to `out`: letters, digits, `-` and `_` only.
    pub fn seal_into(&self, receipt: &Receipt<'_>, out: &mut String) {
        let keys = self.keys.load();
        let key = keys.newest();
        let mut nonce = [0; NONCE];
        // A generator of this thread, seeded from the system and seeded anew as it goes.
        rand::rng().fill_bytes(&mut nonce);
        let length = FRONT + layout::length(receipt.row.len()) + TAG;
        let (mut small, mut large) = ([0; SMALL], Vec::new());
        let bytes = match small.get_mut(..length) {
            Some(bytes) => bytes,
            None => {
                large.resize(length, 0);
                large.as_mut_slice()
            }
        };
        bytes[0] = FORMAT;
        bytes[1..5].copy_from_slice(&self.scope_tag);
        bytes[5..9].copy_from_slice(&key.tag);
        bytes[9..FRONT].copy_from_slice(&nonce);
        let (sealed, tag) = bytes[FRONT..].split_at_mut(length - FRONT - TAG);
        layout::encode(receipt, sealed);
        let made =
            key.cipher
                .encrypt_inout_detached(&Nonce::from(nonce), &key.associated, InOutBuf::from(sealed));
        tag.copy_from_slice(&made.expect("a receipt is far shorter than the cipher's limit of 64 GiB"));
        base64_simd::URL_SAFE_NO_PAD.encode_append(&*bytes, out); // each answer has a receipt
    }

    /// Opens a receipt at `now`, in milliseconds of Unix time.
    ///
    /// # Errors
    /// [`ReceiptError`]. What was forged is never told apart from what was damaged.
    pub fn open(&self, text: &str, now: u64) -> Result<(ReceiptId, Receipt<'static>), ReceiptError> {
        if text.len() > MAX_TEXT {
            return Err(ReceiptError::Malformed);
        }
        let mut bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| ReceiptError::Malformed)?;
        let (front, sealed) = bytes
            .split_first_chunk_mut::<FRONT>()
            .ok_or(ReceiptError::Malformed)?;
        let (sealed, tag) = sealed
            .split_last_chunk_mut::<TAG>()
            .ok_or(ReceiptError::Malformed)?;
        if front[0] != FORMAT {
            return Err(ReceiptError::Malformed);
        }
        if front[1..5] != self.scope_tag {
            return Err(ReceiptError::Foreign);
        }
        let keys = self.keys.load();
        let key = keys
            .by_tag([front[5], front[6], front[7], front[8]])
            .ok_or(ReceiptError::UnknownKey)?;
        let nonce: [u8; NONCE] = front[9..].try_into().map_err(|_| ReceiptError::Malformed)?;
        let opened = key.cipher.decrypt_inout_detached(
            &Nonce::from(nonce),
            &key.associated,
            InOutBuf::from(&mut *sealed),
            &Tag::from(*tag),
        );
        opened.map_err(|_| ReceiptError::Forged)?;
        let receipt = layout::decode(sealed).ok_or(ReceiptError::Malformed)?;
        self.check_age(receipt.time, now)?;
        let mut id = [0; 16];
        id.copy_from_slice(&nonce[..16]);
        Ok((ReceiptId(id), receipt))
    }

    fn check_age(&self, time: u64, now: u64) -> Result<(), ReceiptError> {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        if time > now.saturating_add(millis(MAX_SKEW)) {
            Err(ReceiptError::FromFuture)
        } else if now.saturating_sub(time) > millis(self.max_age) {
            Err(ReceiptError::Expired)
        } else {
            Ok(())
        }
    }

    /// Reads the directory again; whether the keys are other ones now. Whoever seals at that moment uses the old or the new
    /// key, both whole.
    ///
    /// # Errors
    /// [`KeyError`]; then the keys stay as they were.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let keys = Keyring::read(&self.dir, &self.scope)?;
        if keys.is_same(&self.keys.load()) {
            return Ok(false);
        }
        self.keys.store(Arc::new(keys));
        Ok(true)
    }

    /// The key that seals now.
    pub fn newest_key(&self) -> String {
        self.keys.load().newest().id.clone()
    }

    /// Looks at the directory every so often, for ever. Each trouble is told once.
    pub async fn follow(&self, every: Duration) {
        let mut told = None;
        loop {
            tokio::time::sleep(every).await;
            match self.reload() {
                Ok(changed) => {
                    told = None;
                    if changed {
                        tracing::info!(key = self.newest_key(), "receipt keys changed");
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "receipt keys stay as they were");
                        told = Some(text);
                    }
                }
            }
        }
    }
}
