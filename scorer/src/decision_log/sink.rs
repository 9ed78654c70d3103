//! Where lines end up: a stream, or a file that is rotated by size.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsFd as _,
        unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

/// Only the owner may read what was decided about whom.
const MODE: u32 = 0o600;

/// Lines that were not written.
#[derive(Debug)]
pub struct Lost {
    pub lines: u64,
    pub error: io::Error,
}

/// Takes whole lines.
pub trait Sink: Send {
    /// Writes them all, or says how many were lost. The next lines may find it working again.
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Lost>;
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// How many bytes got out, and what stopped the rest.
fn write_whole(to: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// A pipe, a terminal, a container runtime's log.
pub struct Stream<W> {
    to: W,
    /// The last thing written is part of a line.
    torn: bool,
}

impl Stream<File> {
    /// Standard output, without the buffer that Rust puts before it.
    pub fn stdout() -> io::Result<Self> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self::new(File::from(own)))
    }
}

impl<W: Write + Send> Stream<W> {
    pub fn new(to: W) -> Self {
        Self { to, torn: false }
    }
}

impl<W: Write + Send> Sink for Stream<W> {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if self.torn {
            // So that only the torn line is unreadable.
            write_whole(&mut self.to, b"\n").map_err(|(_, error)| Lost {
                lines: count(lines),
                error,
            })?;
            self.torn = false;
        }
        write_whole(&mut self.to, lines).map_err(|(written, error)| {
            self.torn = !lines[..written].is_empty() && lines[written - 1] != b'\n';
            Lost {
                lines: count(&lines[written..]),
                error,
            }
        })
    }
}

/// A file that becomes `FILE.1` at a size, which becomes `FILE.2`, and so on. No more than these are ever there.
pub struct Rotated {
    path: PathBuf,
    max_bytes: u64,
    old_files: u32,
    file: File,
    size: u64,
}

impl Rotated {
    pub fn open(path: &Path, max_bytes: u64, old_files: u32) -> io::Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            old_files,
            file,
            size,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.old_files).rev() {
            rename_if_there(&self.old(number), &self.old(number + 1))?;
        }
        rename_if_there(&self.path, &self.old(1))?;
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }

    fn old(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.size > 0 && self.size + lines.len() as u64 > self.max_bytes {
            self.rotate().map_err(|error| (0, error))?;
        }
        write_whole(&mut self.file, lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }
}

impl Sink for Rotated {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Lost> {
        self.append(lines).map_err(|(written, error)| {
            let whole = lines[..written].iter().rposition(|byte| *byte == b'\n');
            let whole = whole.map_or(0, |last| last + 1);
            self.size += whole as u64;
            // A torn line would spoil the next one.
            let _ = self.file.set_len(self.size);
            Lost {
                lines: count(&lines[whole..]),
                error,
            }
        })
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(MODE)
        .open(path)?;
    let about = file.metadata()?;
    // A device stays as it is.
    if !about.is_file() {
        return Ok((file, 0));
    }
    if about.permissions().mode() & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok((file, about.len()))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_rotated_by_size_and_no_more_than_promised_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut sink = Rotated::open(&path, 10, 2).unwrap();
        for line in ["aaaa\n", "bbbbbbbb\n", "cccccccc\n", "dd\n", "eeeeeeeeeeeeee\n"] {
            sink.write_lines(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("log"), read("log.1"), read("log.2")),
            ("eeeeeeeeeeeeee\n".into(), "dd\n".into(), "cccccccc\n".into())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        for name in ["log", "log.1", "log.2"] {
            assert_eq!(mode(&folder.path().join(name)), MODE, "{name}");
        }
    }

    #[test]
    fn a_file_goes_on_where_the_last_process_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for _ in 0..2 {
            Rotated::open(&path, 100, 1)
                .unwrap()
                .write_lines(b"line\n")
                .unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\nline\n");
        assert!(Rotated::open(&folder.path().join("no/such/folder"), 100, 1).is_err());
    }

    #[test]
    fn a_full_disk_loses_lines_and_nothing_else() {
        let mut sink = Rotated::open(Path::new("/dev/full"), 100, 1).unwrap();
        for _ in 0..2 {
            let lost = sink.write_lines(b"one\ntwo\n").unwrap_err();
            assert_eq!(
                (lost.lines, lost.error.kind()),
                (2, io::ErrorKind::StorageFull),
                "{lost:?}"
            );
        }
        assert_ne!(
            mode(Path::new("/dev/full")),
            MODE,
            "a device keeps its permissions"
        );
    }

    #[test]
    fn a_rotation_that_fails_keeps_the_disk_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Rotated::open(&path, 8, 1).unwrap();
        sink.write_lines(b"12345\n").unwrap();
        fs::create_dir_all(folder.path().join("log.1/full")).unwrap();
        assert_eq!(sink.write_lines(b"67890\n").unwrap_err().lines, 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "12345\n");
        fs::remove_dir_all(folder.path().join("log.1")).unwrap();
        sink.write_lines(b"67890\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "67890\n");
    }

    #[test]
    fn a_closed_pipe_loses_lines_and_nothing_else() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = Stream::new(writer);
        sink.write_lines(b"one\n").unwrap();
        drop(reader);
        let lost = sink.write_lines(b"two\nthree\n").unwrap_err();
        assert_eq!((lost.lines, lost.error.kind()), (2, io::ErrorKind::BrokenPipe));
    }

    /// Takes so many bytes at a time, then fails once.
    struct Fitful {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Fitful {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.room = usize::MAX;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next_one() {
        let mut sink = Stream::new(Fitful {
            taken: Vec::new(),
            room: 6,
        });
        assert_eq!(sink.write_lines(b"one\ntwo\nthree\n").unwrap_err().lines, 2);
        sink.write_lines(b"four\n").unwrap();
        assert_eq!(sink.to.taken, b"one\ntw\nfour\n");
    }
}
