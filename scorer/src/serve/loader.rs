//! The thread that looks at the model file and prepares what it holds, beside the threads that serve.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::mpsc::Sender;

use super::{
    prepare::{Candidate, Preparer},
    seen::{QUIET, Seen, Stamp, Step},
};
use crate::{
    config::ServeArgs,
    model::{self, ModelError, Reason},
};

/// What the loader tells.
pub enum News {
    /// A model may be put into service.
    Prepared {
        /// The model.
        candidate: Box<Candidate>,
        /// When the loader began to read it.
        begun: Instant,
    },
    /// The file holds no model that may serve.
    Rejected {
        /// Of the file, where it could be read.
        sha256: Option<String>,
        /// Why.
        error: ModelError,
    },
    /// After a file that was rejected, the one that serves is back.
    Restored,
}

/// What came of reading the file.
enum Found {
    /// Nothing that is worth telling.
    Nothing,
    /// It changed meanwhile.
    Unsettled,
    News(News),
}

/// Looks at the model file and prepares what it holds.
pub struct Loader {
    arguments: ServeArgs,
    preparer: Preparer,
    seen: Seen,
    /// SHA-256 of what serves.
    serving: Option<String>,
    /// Whether the file is not the one that serves.
    is_rejected: bool,
    /// SHA-256 of what was rejected last: it is not tried again.
    rejected: Option<String>,
}

impl Loader {
    /// A loader that makes engines for so many threads.
    pub fn new(arguments: &ServeArgs, threads: usize) -> Self {
        Self {
            arguments: arguments.clone(),
            preparer: Preparer::new(arguments, threads),
            seen: Seen::default(),
            serving: None,
            is_rejected: false,
            rejected: None,
        }
    }

    /// Tells what the file holds; with `--reload` again whenever it has changed, until nobody listens. Looks at once when it
    /// is asked to. Blocking.
    pub fn run(mut self, news: &Sender<News>, asked: &Receiver<()>) {
        let first = loop {
            match self.read() {
                Found::News(first) => break first,
                Found::Nothing | Found::Unsettled => thread::sleep(QUIET),
            }
        };
        if news.blocking_send(first).is_err() {
            return;
        }
        let Some(every) = self.arguments.reload else {
            return;
        };
        let every = (!every.is_zero()).then_some(every);
        let mut pause = every;
        while let Some(is_asked) = wait(asked, pause) {
            pause = match self.look(is_asked) {
                Looked::Same => every,
                Looked::Again(soon) => Some(soon),
                Looked::News(told) => {
                    if news.blocking_send(told).is_err() {
                        return;
                    }
                    every
                }
            };
        }
    }

    fn look(&mut self, is_asked: bool) -> Looked {
        if is_asked && self.is_rejected {
            // What stood in the way may have passed: a trial that ran out of time, for example.
            self.rejected = None;
            self.seen.forget();
        }
        let stamp = Stamp::of(&self.arguments.model);
        match self.seen.look(stamp, Instant::now(), SystemTime::now()) {
            Step::Same => Looked::Same,
            Step::Wait(time) => Looked::Again(time),
            Step::Read => match self.read() {
                Found::Nothing => Looked::Same,
                Found::Unsettled => Looked::Again(QUIET),
                Found::News(news) => Looked::News(news),
            },
        }
    }

    fn read(&mut self) -> Found {
        let begun = Instant::now();
        let stamp = Stamp::of(&self.arguments.model);
        let content = model::read(&self.arguments.model);
        if self.has_changed_since(stamp) {
            return Found::Unsettled;
        }
        self.seen.judged(stamp);
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => return self.reject(None, error),
        };
        let sha256 = model::sha256(&bytes);
        if self.serving.as_ref() == Some(&sha256) {
            if !self.is_rejected {
                return Found::Nothing;
            }
            (self.is_rejected, self.rejected) = (false, None);
            return Found::News(News::Restored);
        }
        if self.rejected.as_ref() == Some(&sha256) {
            return Found::Nothing;
        }
        match self.prepare(bytes) {
            Ok(candidate) => {
                self.serving = Some(sha256);
                (self.is_rejected, self.rejected) = (false, None);
                let candidate = Box::new(candidate);
                Found::News(News::Prepared { candidate, begun })
            }
            // The child may have found another file than we have.
            Err(_) if self.has_changed_since(stamp) => Found::Unsettled,
            Err(error) => self.reject(Some(sha256), error),
        }
    }

    fn prepare(&mut self, bytes: Vec<u8>) -> Result<Candidate, ModelError> {
        let prepared = catch_unwind(AssertUnwindSafe(|| self.preparer.prepare(bytes)));
        prepared.unwrap_or_else(|_| {
            let message = "the verification of the model crashed";
            Err(ModelError::new(Reason::NotOnnx, message))
        })
    }

    fn reject(&mut self, sha256: Option<String>, error: ModelError) -> Found {
        (self.is_rejected, self.rejected) = (true, sha256.clone());
        Found::News(News::Rejected { sha256, error })
    }

    fn has_changed_since(&self, stamp: Stamp) -> bool {
        Stamp::of(&self.arguments.model) != stamp
    }
}

/// What a look leads to.
enum Looked {
    Same,
    /// Look again after this time.
    Again(Duration),
    News(News),
}

/// Waits until it is time to look, or until somebody asks for it: whether somebody did. None when nobody will any more.
fn wait(asked: &Receiver<()>, pause: Option<Duration>) -> Option<bool> {
    let waited = match pause {
        Some(pause) => asked.recv_timeout(pause),
        None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match waited {
        Ok(()) => Some(true),
        Err(RecvTimeoutError::Timeout) => Some(false),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}
