//! The thread that looks after the files of lists.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::Lists;

/// How often the files are looked at. Reading a million entries takes well under a second, so a change is in effect
/// within 10 s with a wide margin.
pub const POLL: Duration = Duration::from_secs(2);

/// Reloads lists until it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts a thread that reloads `lists`, looking every `period`. Serving threads never wait for it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(lists: Arc<Lists>, period: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("lists".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(period) {
                lists.refresh();
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
