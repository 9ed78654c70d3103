//! The file on its way: written beside its final name, bounded, hashed as it comes, renamed at the end.

use std::{
    fs::{File, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::error::{FetchError, FetchReason, fail};

/// A file that is being written. Dropped before `finish`, it leaves nothing.
pub struct Target {
    file: NamedTempFile,
    to: PathBuf,
    digest: Sha256,
    written: u64,
    limit: u64,
}

impl Target {
    /// Opens a temporary file beside `to`.
    pub fn create(to: &Path, limit: u64) -> Result<Self, FetchError> {
        let directory = to
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".fetch-").tempfile_in(directory);
        let file = file.or_else(|error| write_failed(directory, &error))?;
        Ok(Self {
            file,
            to: to.to_owned(),
            digest: Sha256::new(),
            written: 0,
            limit,
        })
    }

    /// Fails when so many bytes will not be taken.
    pub fn announce(&self, length: Option<u64>) -> Result<(), FetchError> {
        match length {
            Some(length) if length > self.limit => too_large(self.limit),
            _ => Ok(()),
        }
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Forgets what was written.
    pub fn restart(&mut self) -> Result<(), FetchError> {
        self.digest = Sha256::new();
        self.written = 0;
        let file = self.file.as_file_mut();
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.or_else(|error| write_failed(&self.to, &error))
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return too_large(self.limit);
        }
        self.digest.update(bytes);
        self.file
            .write_all(bytes)
            .or_else(|error| write_failed(&self.to, &error))
    }

    /// Fails when the bytes so far have another digest.
    pub fn check(&self, sha256: &str) -> Result<(), FetchError> {
        let found = hex(self.digest.clone());
        if found == sha256 {
            return Ok(());
        }
        let message = format!(
            "the file has sha256 {found}, {sha256} is expected; {} bytes came",
            self.written
        );
        fail(FetchReason::DigestMismatch, message)
    }

    /// Checks the digest and puts the file in place, readable by everybody and writable by nobody.
    pub fn finish(self, sha256: &str) -> Result<(), FetchError> {
        self.check(sha256)?;
        let put = || {
            self.file
                .as_file()
                .set_permissions(Permissions::from_mode(0o444))?;
            self.file.as_file().sync_all()?;
            self.file.persist(&self.to).map_err(|error| error.error)?;
            let directory = self
                .to
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()
        };
        put().or_else(|error| write_failed(Path::new("the file"), &error))
    }
}

/// Copies a local file.
pub fn copy(from: &Path, target: &mut Target) -> Result<(), FetchError> {
    let unreadable = |error: io::Error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => FetchReason::NotFound,
            io::ErrorKind::PermissionDenied => FetchReason::Unauthorized,
            _ => FetchReason::Unreachable,
        };
        FetchError {
            reason,
            message: format!("{}: {error}", from.display()),
            transient: false,
        }
    };
    target.restart()?;
    let mut file = File::open(from).map_err(unreadable)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok(()),
            count => target.write(&buffer[..count])?,
        }
    }
}

/// Whether the file is there already, with this digest.
pub fn has_digest(path: &Path, sha256: &str, limit: u64) -> bool {
    let read = || -> io::Result<String> {
        let file = File::open(path)?;
        if file.metadata()?.len() > limit {
            return Ok(String::new());
        }
        let mut digest = Sha256::new();
        io::copy(&mut file.take(limit), &mut digest)?;
        Ok(hex(digest))
    };
    read().is_ok_and(|found| found == sha256)
}

/// 64 hex digits.
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn too_large<T>(limit: u64) -> Result<T, FetchError> {
    fail(
        FetchReason::TooLarge,
        format!("more than {limit} bytes; is this the .onnx file? (--max-bytes)"),
    )
}

fn write_failed<T>(place: &Path, error: &io::Error) -> Result<T, FetchError> {
    fail(
        FetchReason::WriteFailed,
        format!("{} cannot be written: {error}", place.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> Vec<String> {
        let list = std::fs::read_dir(directory).unwrap();
        list.map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_finished_file_is_read_only_and_alone() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("model.onnx");
        for _ in 0..2 {
            let mut target = Target::create(&to, 5).unwrap();
            target.write(b"hel").unwrap();
            target.write(b"lo").unwrap();
            let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
            target.finish(digest).unwrap();
            assert_eq!(entries(directory.path()), ["model.onnx"]);
            assert_eq!(
                std::fs::metadata(&to).unwrap().permissions().mode() & 0o777,
                0o444
            );
            assert!(has_digest(&to, digest, 5) && !has_digest(&to, digest, 4));
        }
    }

    #[test]
    fn a_restart_forgets_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("model.onnx");
        let mut target = Target::create(&to, 5).unwrap();
        target.write(b"wrong").unwrap();
        target.restart().unwrap();
        target.write(b"hello").unwrap();
        let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        target.finish(digest).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
    }

    #[test]
    fn nothing_is_left_of_a_file_that_failed() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("model.onnx");
        let mut target = Target::create(&to, 5).unwrap();
        assert_eq!(
            target.announce(Some(6)).unwrap_err().reason,
            FetchReason::TooLarge
        );
        assert_eq!(target.write(b"longer").unwrap_err().reason, FetchReason::TooLarge);
        drop(target);
        let mut target = Target::create(&to, 5).unwrap();
        target.write(b"x").unwrap();
        assert_eq!(
            target.finish("00").unwrap_err().reason,
            FetchReason::DigestMismatch
        );
        assert!(entries(directory.path()).is_empty());
        let missing = Target::create(&directory.path().join("no/where"), 5)
            .err()
            .unwrap();
        assert_eq!(missing.reason, FetchReason::WriteFailed);
    }
}
