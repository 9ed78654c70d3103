//! The thread that writes: it takes the buffers of all recorders, in turn, and is the only one that may have to wait.

use std::{
    io, mem,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Shared,
    buffer::Buffer,
    sink::{Lost, Sink},
};

/// How long a line may stay in a buffer while the writer is idle.
const PAUSE: Duration = Duration::from_millis(200);

/// How often lost lines are reported.
const REPORT: Duration = Duration::from_secs(60);

/// Wakes the writer.
#[derive(Default)]
pub struct Alarm {
    rung: AtomicBool,
    stopped: Mutex<bool>,
    change: Condvar,
}

impl Alarm {
    /// There is much to write. Cheap when it was said already.
    pub fn ring(&self) {
        if !self.rung.swap(true, Relaxed) {
            self.change.notify_one();
        }
    }

    /// There will be nothing more to write.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.change.notify_one();
    }

    /// Waits for one of them, at most for the pause. True when it is over.
    fn wait(&self) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |stopped: &mut bool| !*stopped && !self.rung.load(Relaxed);
        // A bell that rings between the question and the sleep costs one pause, and no lock for who rings it.
        let waited = self.change.wait_timeout_while(stopped, PAUSE, idle);
        let over = *waited.unwrap_or_else(PoisonError::into_inner).0;
        self.rung.store(false, Relaxed);
        over
    }
}

/// Starts the writer. The receiver hears when everything is written.
pub fn start(shared: Arc<Shared>, sink: Box<dyn Sink>) -> io::Result<Receiver<()>> {
    let (tell, done) = channel();
    let writer = Writer {
        shared,
        sink,
        spare: Buffer::default(),
        lost: 0,
        reported: None,
    };
    thread::Builder::new()
        .name("decision-log".to_owned())
        .spawn(move || {
            writer.run();
            let _ = tell.send(());
        })?;
    Ok(done)
}

struct Writer {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    /// Goes into the place of the buffer that is taken.
    spare: Buffer,
    lost: u64,
    reported: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let over = self.shared.alarm.wait();
            self.write_all();
            if over {
                self.report();
                return;
            }
        }
    }

    fn write_all(&mut self) {
        for buffer in self.buffers() {
            // Held for the exchange only: what follows may take long.
            mem::swap(
                &mut *buffer.lock().unwrap_or_else(PoisonError::into_inner),
                &mut self.spare,
            );
            self.write_spare();
        }
    }

    /// The buffers of all recorders. Those whose recorder is gone are taken for the last time.
    fn buffers(&self) -> Vec<Arc<Mutex<Buffer>>> {
        let mut buffers = self.shared.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let all = buffers.clone();
        // One here, one in `all`: the third would be the recorder's.
        buffers.retain(|buffer| Arc::strong_count(buffer) > 2);
        all
    }

    fn write_spare(&mut self) {
        let Buffer { bytes, ids, lines } = &mut self.spare;
        if *lines == 0 {
            return;
        }
        if let Some(key) = &self.shared.key {
            key.fill(bytes, ids);
        }
        let counts = &self.shared.counts;
        match self.sink.write_lines(bytes) {
            Ok(()) => {
                counts.written.fetch_add(*lines, Relaxed);
            }
            Err(Lost { lines: lost, error }) => {
                counts.written.fetch_add(*lines - lost, Relaxed);
                counts.write_failed.fetch_add(lost, Relaxed);
                self.lost += lost;
                if self.reported.is_none_or(|at| at.elapsed() >= REPORT) {
                    tracing::warn!(%error, lines = self.lost, "lines of the decision log were lost");
                    self.reported = Some(Instant::now());
                    self.lost = 0;
                }
            }
        }
        self.spare.clear();
    }

    fn report(&self) {
        if self.lost > 0 {
            tracing::warn!(lines = self.lost, "lines of the decision log were lost");
        }
    }
}
