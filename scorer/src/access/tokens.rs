//! Tokens of clients, as they lie in a mounted Secret: a file for each client, a line for each token.
//!
//! A line is `scope[,scope] sha256:HEX`. The tokens themselves are nowhere: whoever reads the Secret cannot call with it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Scope;

/// Tokens of all clients together.
const MAX_TOKENS: usize = 10_000;

/// Largest file of a client.
const MAX_FILE: u64 = 64 * 1024;

/// Why the tokens cannot be used. Never says what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens: {place} {problem}")]
pub struct TokenError {
    place: String,
    problem: String,
}

impl TokenError {
    fn new(place: impl ToString, problem: impl ToString) -> Self {
        Self {
            place: place.to_string(),
            problem: problem.to_string(),
        }
    }

    fn in_file(path: &Path, problem: impl ToString) -> Self {
        Self::new(path.display(), problem)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether a scope is in it.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut scopes = Self::default();
        for name in text.split(',') {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
            let scope = scope.ok_or("has a scope that is none of predict, feedback, admin")?;
            scopes.0 |= 1 << scope as u8;
        }
        Ok(scopes)
    }
}

type Hash = [u8; 32];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    hash: Hash,
    client: Arc<str>,
    scopes: Scopes,
}

/// All tokens, by the first bytes of their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(HashMap<[u8; 8], Token>);

impl Tokens {
    /// Reads a directory. Names that begin with a dot are Kubernetes' own.
    pub fn read(folder: &Path) -> Result<Self, TokenError> {
        let entries = fs::read_dir(folder)
            .map_err(|error| TokenError::in_file(folder, format!("cannot be read: {error}")))?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let entry =
                entry.map_err(|error| TokenError::in_file(folder, format!("cannot be read: {error}")))?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                paths.push(entry.path());
            }
        }
        paths.sort();
        let mut tokens = Self::default();
        for path in &paths {
            tokens.add_file(path)?;
        }
        Ok(tokens)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), TokenError> {
        let wrong = |problem: &str| TokenError::in_file(path, problem);
        let unreadable = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
        let about = fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() || about.len() > MAX_FILE {
            return Err(wrong("is not a file of at most 64 KiB"));
        }
        let text = fs::read(path).map_err(unreadable)?;
        let text = std::str::from_utf8(&text).map_err(|_| wrong("is not text"))?;
        let client = path.file_name().and_then(|name| name.to_str());
        let client: Arc<str> = client.ok_or_else(|| wrong("has a name that is not text"))?.into();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add_line(line, &client)
                    .map_err(|problem| wrong(&format!("line {} {problem}", number + 1)))?;
            }
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str, client: &Arc<str>) -> Result<(), String> {
        let form = "is not of the form `scope[,scope] sha256:HEX`; make one with `fraudops-scorer token`";
        let (scopes, hash) = line.split_once(char::is_whitespace).ok_or(form)?;
        let hash = hash
            .trim()
            .strip_prefix("sha256:")
            .and_then(parse_hash)
            .ok_or(form)?;
        let token = Token {
            hash,
            client: Arc::clone(client),
            scopes: Scopes::parse(scopes)?,
        };
        if self.0.len() == MAX_TOKENS {
            return Err(format!(
                "is one more than the {MAX_TOKENS} tokens that are allowed"
            ));
        }
        match self.0.insert(prefix(&hash), token) {
            None => Ok(()),
            Some(other) => Err(format!("has a token that `{}` has already", other.client)),
        }
    }

    /// Whether nobody has a token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is, and what for. The first bytes of a hash find it, so how long that takes says nothing about a
    /// token that was not found, and the whole hash is compared in constant time.
    pub fn find(&self, token: &[u8]) -> Option<(Arc<str>, Scopes)> {
        let hash: Hash = Sha256::digest(token).into();
        let found = self.0.get(&prefix(&hash))?;
        let same = bool::from(found.hash.ct_eq(&hash));
        same.then(|| (Arc::clone(&found.client), found.scopes))
    }
}

fn prefix(hash: &Hash) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash[..8]);
    prefix
}

fn parse_hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16);
        *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `secret`, as sha256sum prints it.
    const OF_SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn read(files: &[(&str, &str)]) -> Result<Tokens, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Tokens::read(folder.path())
    }

    #[test]
    fn a_token_has_a_client_and_scopes() {
        let file = format!(
            "# 2026-11\npredict,feedback  sha256:{OF_SECRET}\r\n\nadmin sha256:{}\n",
            "0f".repeat(32)
        );
        let tokens = read(&[("shop", &file), ("..data", "nonsense")]).unwrap();
        let (client, scopes) = tokens.find(b"secret").unwrap();
        assert_eq!(&*client, "shop");
        assert_eq!(Scope::ALL.map(|scope| scopes.has(scope)), [true, true, false]);
        for other in [&b"Secret"[..], b"secret ", b"", OF_SECRET.as_bytes()] {
            assert!(tokens.find(other).is_none());
        }
    }

    #[test]
    fn the_whole_hash_counts() {
        let alike = format!("{}{}", &OF_SECRET[..62], "00");
        let tokens = read(&[("shop", &format!("predict sha256:{alike}"))]).unwrap();
        assert!(tokens.find(b"secret").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_place_and_never_by_content() {
        let good = format!("predict sha256:{OF_SECRET}");
        for (files, words) in [
            (
                vec![("shop", "predict hunter2")],
                "shop line 1 is not of the form",
            ),
            (vec![("shop", "hunter2")], "line 1 is not of the form"),
            (
                vec![("shop", "predict sha256:hunter2")],
                "line 1 is not of the form",
            ),
            (
                vec![("shop", &*format!("\nhunter2 sha256:{OF_SECRET}"))],
                "line 2 has a scope",
            ),
            (
                vec![("a", &*good), ("b", &good)],
                "b line 1 has a token that `a` has already",
            ),
        ] {
            let message = read(&files).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
            assert!(
                !message.contains("hunter2") && !message.contains(&OF_SECRET[..8]),
                "{message}"
            );
        }
        assert!(read(&[("shop", &"#".repeat(70_000))]).is_err());
        let absent = Tokens::read(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(absent.contains("no/such/folder cannot be read"), "{absent}");
    }
}
