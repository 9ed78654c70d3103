//! Whether the model file is another one, and whether it may be read already. A look at the file system gives a [`Stamp`];
//! what follows from it is decided here, without a clock and without a file.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// A file that has been as it is for so long is not being written.
pub const QUIET: Duration = Duration::from_millis(500);

/// What tells one state of a file from another without reading it, also behind the links of a mounted ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// There is a file.
    File {
        /// Device and inode.
        place: (u64, u64),
        /// Bytes.
        size: u64,
        /// When its content changed: seconds and nanoseconds of Unix time.
        modified: (i64, i64),
        /// When anything about it changed.
        changed: (i64, i64),
    },
    /// There is none that could be looked at.
    Nothing(io::ErrorKind),
}

impl Stamp {
    /// Looks at the file, behind all links.
    pub fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) => Self::File {
                place: (found.dev(), found.ino()),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            Err(error) => Self::Nothing(error.kind()),
        }
    }

    /// Whether the content has been what it is for long enough. False where the clock that wrote the time is ahead of ours:
    /// then only looking again can tell.
    fn has_rested(self, wall: SystemTime) -> bool {
        let Self::File {
            modified: (seconds, nanos),
            ..
        } = self
        else {
            return false; // between two files that are exchanged by hand there is none for a moment
        };
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return true; // before 1970
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        wall.duration_since(modified).is_ok_and(|age| age >= QUIET)
    }
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing has changed.
    Same,
    /// Something has, and may go on changing: look again after this time.
    Wait(Duration),
    /// Read it.
    Read,
}

/// What was seen of the file before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    judged: Option<Stamp>,
    /// A state that is not known to be the last one, and since when it stands.
    moving: Option<(Stamp, Instant)>,
}

impl Seen {
    /// Decides after a look at `now`, which is `wall` by the calendar.
    pub fn look(&mut self, stamp: Stamp, now: Instant, wall: SystemTime) -> Step {
        if self.judged == Some(stamp) {
            self.moving = None;
            return Step::Same;
        }
        match self.moving {
            Some((before, since)) if before == stamp => {
                match QUIET.checked_sub(now.saturating_duration_since(since)) {
                    Some(left) if !left.is_zero() => Step::Wait(left),
                    Some(_) | None => Step::Read,
                }
            }
            Some(_) | None if stamp.has_rested(wall) => Step::Read,
            Some(_) | None => {
                self.moving = Some((stamp, now));
                Step::Wait(QUIET)
            }
        }
    }

    /// This state was read, for better or worse: it is not read again until it changes.
    pub fn judged(&mut self, stamp: Stamp) {
        *self = Self {
            judged: Some(stamp),
            moving: None,
        };
    }

    /// Whatever is there is to be read.
    pub fn forget(&mut self) {
        self.judged = None;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn file(inode: u64, modified: i64) -> Stamp {
        Stamp::File {
            place: (1, inode),
            size: 10,
            modified: (modified, 0),
            changed: (modified, 0),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_file_that_rested_is_read_at_once_and_once() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.look(file(1, 100), now, at(200)), Step::Read);
        seen.judged(file(1, 100));
        assert_eq!(seen.look(file(1, 100), now, at(200)), Step::Same);
        assert_eq!(
            seen.look(file(2, 100), now, at(200)),
            Step::Read,
            "another file in its place, as old as it"
        );
        seen.judged(file(2, 100));
        seen.forget();
        assert_eq!(seen.look(file(2, 100), now, at(200)), Step::Read);
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone_until_it_rests() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            let stamp = file(1, 1000 + second as i64);
            assert_eq!(seen.look(stamp, now, at(1000 + second)), Step::Wait(QUIET));
        }
        let (last, now) = (file(1, 1009), start + Duration::from_secs(9));
        assert_eq!(seen.look(last, now + QUIET / 2, at(1009)), Step::Wait(QUIET / 2));
        assert_eq!(seen.look(last, now + QUIET, at(1009)), Step::Read);
    }

    #[test]
    fn a_clock_that_is_ahead_delays_and_does_not_prevent() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let ahead = file(1, 5000);
        assert_eq!(seen.look(ahead, now, at(1000)), Step::Wait(QUIET));
        assert_eq!(seen.look(ahead, now + QUIET, at(1000)), Step::Read);
    }

    #[test]
    fn a_file_that_is_gone_for_a_moment_is_not_missed() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        seen.judged(file(1, 100));
        let nothing = Stamp::Nothing(io::ErrorKind::NotFound);
        assert_eq!(seen.look(nothing, now, at(200)), Step::Wait(QUIET));
        assert_eq!(seen.look(file(1, 100), now, at(200)), Step::Same);
        assert_eq!(seen.look(nothing, now + QUIET, at(201)), Step::Wait(QUIET));
        assert_eq!(seen.look(nothing, now + 2 * QUIET, at(201)), Step::Read);
    }

    #[test]
    fn a_link_that_points_elsewhere_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for name in ["a", "b"] {
            fs::create_dir(place(name)).unwrap();
            fs::write(place(name).join("model"), "x").unwrap();
        }
        symlink("a", place("..data")).unwrap();
        symlink("..data/model", place("model")).unwrap();
        let first = Stamp::of(&place("model"));
        assert_eq!(first, Stamp::of(&place("a/model")));
        symlink("b", place("..new")).unwrap();
        fs::rename(place("..new"), place("..data")).unwrap();
        assert_eq!(Stamp::of(&place("model")), Stamp::of(&place("b/model")));
        assert_ne!(Stamp::of(&place("model")), first);
        assert_eq!(Stamp::of(&place("none")), Stamp::Nothing(io::ErrorKind::NotFound));
    }
}
