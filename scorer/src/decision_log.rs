//! The decision log: one JSON line for each decision that somebody may have to account for.
//!
//! Every block and review is logged, approvals are sampled. A serving thread writes its lines into a buffer of its own and
//! goes on; one thread for all of them takes the buffers, replaces ids by pseudonyms, and writes. Where that cannot keep up
//! lines are dropped and counted: a request never waits for its log. Features and plain ids are never written.

mod buffer;
mod entry;
mod line;
mod options;
mod pseudonym;
mod sample;
mod sink;
mod writer;

use std::{
    cell::RefCell,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, SystemTime},
};

pub use entry::{Entry, Role, Served};
pub use options::{Destination, Options};

use buffer::Buffer;
use pseudonym::Key;
use sample::Sample;
use sink::{Rotated, Sink, Stream};

use crate::metrics::{Collect, Exposition};

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Why the log cannot be written. All of it is found before the process serves.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or made.
    #[error("the decision log {path} cannot be opened: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Standard output is not there.
    #[error("standard output cannot take the decision log: {0}")]
    Stdout(io::Error),
    /// The key cannot be used.
    #[error("the decision log's key {path} {problem}: it must hold 32 bytes or more as base64")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No thread can be started.
    #[error("the decision log has no thread: {0}")]
    Thread(io::Error),
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    buffer_full: AtomicU64,
    write_failed: AtomicU64,
}

impl Collect for Counts {
    fn collect(&self, out: &mut Exposition) {
        out.counter(
            "fraud_decision_log_lines",
            "Lines of the decision log that were written.",
        )
        .sample(&[], self.written.load(Relaxed));
        let help = "Lines of the decision log that were lost, by why.";
        out.counter("fraud_decision_log_dropped", help)
            .sample(&[("reason", "buffer_full")], self.buffer_full.load(Relaxed))
            .sample(&[("reason", "write_failed")], self.write_failed.load(Relaxed));
    }
}

/// What the recorders and the writer share.
struct Shared {
    sample: Sample,
    key: Option<Key>,
    next: AtomicU64,
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    alarm: writer::Alarm,
    counts: Arc<Counts>,
}

/// The log of this process.
pub struct DecisionLog {
    running: Option<(Arc<Shared>, Mutex<Receiver<()>>)>,
    counts: Arc<Counts>,
}

impl DecisionLog {
    /// Opens what the options name, and starts the writer.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let sink: Box<dyn Sink> = match &options.to {
            Destination::Off => {
                return Ok(Self {
                    running: None,
                    counts: Arc::default(),
                });
            }
            Destination::Stdout => Box::new(Stream::stdout().map_err(OpenError::Stdout)?),
            Destination::File(path) => {
                let file = Rotated::open(path, options.max_bytes, options.old_files);
                Box::new(file.map_err(|error| OpenError::File {
                    path: path.clone(),
                    error,
                })?)
            }
        };
        let key = options.key.as_deref().map(Key::read).transpose()?;
        Self::start(sink, key, options.approvals)
    }

    fn start(sink: Box<dyn Sink>, key: Option<Key>, approvals: f64) -> Result<Self, OpenError> {
        let counts = Arc::<Counts>::default();
        let shared = Arc::new(Shared {
            sample: Sample::new(approvals, key.as_ref().map_or(0, Key::seed)),
            key,
            next: AtomicU64::new(1),
            buffers: Mutex::default(),
            alarm: writer::Alarm::default(),
            counts: Arc::clone(&counts),
        });
        let done = writer::start(Arc::clone(&shared), sink).map_err(OpenError::Thread)?;
        Ok(Self {
            running: Some((shared, Mutex::new(done))),
            counts,
        })
    }

    /// What a serving thread logs with.
    pub fn recorder(&self) -> Recorder {
        let Some((shared, _)) = &self.running else {
            return Recorder(None);
        };
        let buffer = Arc::<Mutex<Buffer>>::default();
        shared
            .buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&buffer));
        Recorder(Some(Recording {
            shared: Arc::clone(shared),
            buffer,
            aside: RefCell::default(),
        }))
    }

    /// Counters of what became of the lines; also of a log that is off, so that the series exist.
    pub fn counts(&self) -> Arc<dyn Collect> {
        Arc::clone(&self.counts) as Arc<dyn Collect>
    }

    /// Writes what is left, for at most a second: whoever reads the log may have stopped. Blocks. Recorders that are dropped
    /// before have nothing left to lose.
    pub fn close(&self) {
        let Some((shared, done)) = &self.running else {
            return;
        };
        shared.alarm.stop();
        let done = done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last lines of the decision log could not be written in time");
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        if let Some((shared, _)) = &self.running {
            shared.alarm.stop();
        }
    }
}

/// Logs the decisions of one thread.
pub struct Recorder(Option<Recording>);

struct Recording {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<Buffer>>,
    /// Lines of the moments in which the writer took the buffer.
    aside: RefCell<Buffer>,
}

impl Recorder {
    /// Logs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether this decision would be logged: what only the log needs can be left undone otherwise.
    pub fn wants(&self, entry: &Entry<'_>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|recording| recording.shared.sample.has(entry))
    }

    /// Logs a decision, if it is to be logged. Never waits.
    pub fn record(&self, entry: &Entry<'_>) {
        if let Some(recording) = &self.0
            && recording.shared.sample.has(entry)
        {
            recording.write(entry);
        }
    }
}

impl Recording {
    #[inline(never)]
    fn write(&self, entry: &Entry<'_>) {
        // Numbered before it can get lost: a gap tells of a lost line.
        let number = self.shared.next.fetch_add(1, Relaxed);
        let now = SystemTime::now();
        let with_ids = self.shared.key.is_some();
        let mut aside = self.aside.borrow_mut();
        let (kept, filled) = match self.buffer.try_lock() {
            Ok(mut buffer) => {
                buffer.append(&mut aside);
                (
                    buffer.add(|line| line::write(line, number, now, entry, with_ids)),
                    buffer.is_half_full(),
                )
            }
            Err(TryLockError::WouldBlock) => (
                aside.add(|line| line::write(line, number, now, entry, with_ids)),
                true,
            ),
            Err(TryLockError::Poisoned(_)) => (false, true),
        };
        if !kept {
            self.shared.counts.buffer_full.fetch_add(1, Relaxed);
        }
        if filled {
            self.shared.alarm.ring();
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.append(&mut self.aside.borrow_mut());
    }
}

#[cfg(test)]
mod tests;
