//! Models that pods of one node share: `DIR/sha256/ab/abcd…`. Nothing in it is believed: every use hashes the bytes again
//! while it copies them, so a damaged or forged file is found, dropped and fetched anew.
//!
//! Any number of pods may use it at once: files appear by rename, and one that is removed while another pod reads it stays
//! readable for that pod. A cache that cannot be used never stops a fetch.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    error::{FetchError, FetchReason},
    resume::Partial,
    target::{self, Target},
};

const UNFINISHED: &str = ".fetch-";
/// An unfinished file of this age belongs to a pod that is gone.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A directory of verified files.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    limit: u64,
}

impl Cache {
    /// A cache of at most `limit` bytes in `directory`.
    pub fn new(directory: &Path, limit: u64) -> Self {
        Self {
            root: directory.join("sha256"),
            limit,
        }
    }

    /// Copies the file with this digest, if it is there and right. Errors are those of the place that is written to.
    pub fn copy(&self, sha256: &str, partial: &mut Partial) -> Result<bool, FetchError> {
        let path = self.path(sha256);
        // No link, no pipe: opening one could lead anywhere or hang.
        if !path.symlink_metadata().is_ok_and(|m| m.is_file()) {
            return Ok(false);
        }
        let size = path.metadata().map_or(0, |m| m.len());
        if partial.target.announce(Some(size)).is_err() {
            return Ok(false);
        }
        let copied = target::copy(&path, &mut partial.target);
        match copied.and_then(|()| partial.target.check(sha256)) {
            Ok(()) => {
                // Its last use, for those who make room.
                let touched = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                if let Err(error) = touched {
                    tracing::debug!(%error, "the cache's file keeps its time");
                }
                tracing::info!(sha256, "taken from the node's cache");
                Ok(true)
            }
            Err(error) if error.reason == FetchReason::WriteFailed => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the cache's file is unusable and dropped; fetching it anew");
                let _ = fs::remove_file(&path);
                partial.restart()?;
                Ok(false)
            }
        }
    }

    /// Adds a verified file, making room for it. What goes wrong is logged: the file is in place already.
    pub fn add(&self, sha256: &str, file: &Path) {
        if self.path(sha256).exists() {
            return;
        }
        if let Err(problem) = self.try_add(sha256, file) {
            tracing::warn!(problem, cache = %self.root.display(), "the model is not in the node's cache");
        }
    }

    fn try_add(&self, sha256: &str, file: &Path) -> Result<(), String> {
        let show = |error: io::Error| error.to_string();
        let size = fs::metadata(file).map_err(show)?.len();
        if size > self.limit {
            return Err(format!("it has {size} bytes, the cache {}", self.limit));
        }
        let path = self.path(sha256);
        let folder = path.parent().unwrap_or(&self.root);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(show)?;
        self.make_room(size).map_err(show)?;
        let mut target = Target::create(&path, self.limit).map_err(|e| e.to_string())?;
        target::copy(file, &mut target).map_err(|e| e.to_string())?;
        target.finish(sha256).map_err(|e| e.to_string())
    }

    /// Removes what was not used for longest, until `size` more bytes fit.
    fn make_room(&self, size: u64) -> io::Result<()> {
        let mut files = self.files()?;
        files.sort_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.size).sum();
        let now = SystemTime::now();
        for file in files {
            let age = now.duration_since(file.used).unwrap_or_default();
            let abandoned = file.unfinished && age > ABANDONED;
            if abandoned || (!file.unfinished && total + size > self.limit) {
                match fs::remove_file(&file.path) {
                    Ok(()) => {}
                    // Another pod makes room too.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                total = total.saturating_sub(file.size);
            }
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<Entry>> {
        let mut found = vec![];
        for folder in fs::read_dir(&self.root)? {
            let Ok(list) = fs::read_dir(folder?.path()) else {
                continue;
            };
            for file in list {
                let file = file?;
                // Gone by now: another pod made room.
                let Ok(meta) = file.metadata() else { continue };
                found.push(Entry {
                    unfinished: file.file_name().to_string_lossy().starts_with(UNFINISHED),
                    path: file.path(),
                    size: meta.len(),
                    used: meta.modified()?,
                });
            }
        }
        Ok(found)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        let folder = sha256.get(..2).unwrap_or_default();
        self.root.join(folder).join(sha256)
    }
}

struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
    unfinished: bool,
}

#[cfg(test)]
mod tests;
