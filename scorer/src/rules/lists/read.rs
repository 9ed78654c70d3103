//! The files of one list: what is there, and what it says.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::Ids;

/// Most entries of one list.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Largest files of one list together.
const MAX_BYTES: u64 = 32 << 20;
/// Most files of one list.
const MAX_FILES: usize = 1000;

/// How often files that change while they are read are read again.
const ATTEMPTS: usize = 5;

/// What tells one state of the files from another, without reading them. A ConfigMap is replaced by a new target of
/// `..data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    data: Option<PathBuf>,
    files: Vec<FileSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileSignature {
    name: OsString,
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Files that give no list.
#[derive(Debug)]
pub struct Unread {
    /// What was there, when that could be seen: it is not read again until it changes.
    pub seen: Option<Signature>,
    /// What is wrong with it. Never repeats an entry: it may be a card number.
    pub problem: String,
}

/// The entries, when the files are others than `seen`.
pub fn changed(directory: &Path, seen: Option<&Signature>) -> Result<Option<(Signature, Ids)>, Unread> {
    let absent = |error: io::Error| Unread {
        seen: None,
        problem: format!("its directory cannot be read: {error}"),
    };
    for _ in 0..ATTEMPTS {
        let now = signature(directory).map_err(absent)?;
        if seen == Some(&now) {
            return Ok(None);
        }
        let ids = entries(directory, &now);
        // Replaced in the middle: what was read may be half of each.
        if signature(directory).map_err(absent)? != now {
            continue;
        }
        return match ids {
            Ok(ids) => Ok(Some((now, ids))),
            Err(problem) => Err(Unread {
                seen: Some(now),
                problem,
            }),
        };
    }
    Err(Unread {
        seen: None,
        problem: "its files change while they are read: replace them at once, by a symbolic link or a rename"
            .into(),
    })
}

fn signature(directory: &Path) -> io::Result<Signature> {
    let mut files = vec![];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        // What the kubelet puts beside the files, and what editors and other tools hide.
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let metadata = fs::metadata(entry.path())?;
        if !metadata.is_file() {
            continue;
        }
        files.push(FileSignature {
            name,
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let data = fs::read_link(directory.join("..data")).ok();
    Ok(Signature { data, files })
}

fn entries(directory: &Path, signature: &Signature) -> Result<Ids, String> {
    if signature.files.len() > MAX_FILES {
        return Err(format!(
            "it has {} files, more than {MAX_FILES}",
            signature.files.len()
        ));
    }
    let bytes: u64 = signature.files.iter().map(|file| file.length).sum();
    if bytes > MAX_BYTES {
        return Err(format!("its files have {bytes} bytes, more than {MAX_BYTES}"));
    }
    let mut ids = Ids::default();
    for file in &signature.files {
        let name = file.name.to_string_lossy();
        let mut text = Vec::with_capacity(usize::try_from(file.length).unwrap_or_default());
        let read =
            File::open(directory.join(&file.name)).and_then(|f| f.take(MAX_BYTES).read_to_end(&mut text));
        read.map_err(|error| format!("file {name} cannot be read: {error}"))?;
        add(&mut ids, &text).map_err(|problem| format!("file {name}, {problem}"))?;
    }
    Ok(ids)
}

/// One whole number a line; `#` and what follows it is a comment.
pub fn add(ids: &mut Ids, text: &[u8]) -> Result<(), String> {
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let entry = line
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let id = std::str::from_utf8(entry).ok().and_then(|text| text.parse().ok());
        let id = id.ok_or_else(|| {
            format!("line {number} is no whole number of 64 bits: write one id a line, comments after '#'")
        })?;
        ids.insert(id);
        if ids.len() > MAX_ENTRIES {
            return Err(format!(
                "line {number}: the list has more than {MAX_ENTRIES} entries"
            ));
        }
    }
    Ok(())
}
