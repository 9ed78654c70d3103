//! Lines on their way to stderr: they wait for a thread of its own, so that nobody waits for a reader that has stopped.

use std::{
    collections::VecDeque,
    fmt, io, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use crate::metrics::{Collect, Exposition};

/// Bytes that wait at most; what comes on top is lost.
const ROOM: usize = 256 * 1024;

/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// Writes lines in their order, or counts them as lost. Never blocks whoever has a line.
#[derive(Default)]
pub struct Lossy {
    queue: Mutex<Queue>,
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Some lines are being written.
    busy: bool,
}

impl fmt::Debug for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lossy")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl Lossy {
    /// Starts the thread that writes. Without one all lines are lost in the end, and counted.
    pub fn start(to: impl io::Write + Send + 'static) -> Arc<Self> {
        let lossy = Arc::<Self>::default();
        let writing = Arc::clone(&lossy);
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writing.write(to));
        lossy
    }

    /// Takes a line, if there is room.
    pub fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.bytes + line.len() > ROOM {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    /// Waits until everything is written, or for a second.
    pub fn flush(&self) {
        let waiting = |queue: &mut Queue| queue.busy || !queue.lines.is_empty();
        drop(self.changed.wait_timeout_while(self.queue(), LAST, waiting));
    }

    /// Lines that nobody will see.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut to: impl io::Write) {
        loop {
            let waiting = self
                .changed
                .wait_while(self.queue(), |queue| queue.lines.is_empty());
            let mut queue = waiting.unwrap_or_else(PoisonError::into_inner);
            queue.busy = true;
            let lines = mem::take(&mut queue.lines);
            drop(queue);
            for line in &lines {
                if to.write_all(line).is_err() {
                    self.lost.fetch_add(1, Relaxed);
                }
                // Room for others as soon as it is there.
                self.queue().bytes -= line.len();
            }
            self.queue().busy = false;
            self.changed.notify_all();
        }
    }
}

impl Collect for Lossy {
    fn collect(&self, out: &mut Exposition) {
        let help = "Lines of the program's own log that could not be written.";
        out.counter("fraud_log_lines_lost", help).sample(&[], self.lost());
    }
}

/// What the log is formatted into.
pub struct Lines(pub Arc<Lossy>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        time::Instant,
    };

    use super::*;

    #[test]
    fn lines_arrive_in_their_order_and_are_waited_for_at_the_end() {
        let (reader, writer) = io::pipe().unwrap();
        let lossy = Lossy::start(writer);
        for number in 0..1000 {
            writeln!(Lines(Arc::clone(&lossy)), "{number}").unwrap();
        }
        lossy.flush();
        let read = BufReader::new(reader).lines().take(1000).map(Result::unwrap);
        assert!(read.eq((0..1000).map(|number| number.to_string())));
        assert_eq!(lossy.lost(), 0);
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_what_is_lost_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let lossy = Lossy::start(writer);
        let line = [b'x'; 1024];
        let begun = Instant::now();
        for _ in 0..4096 {
            lossy.push(&line);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let lost = lossy.lost();
        assert!(lost > 3000, "{lost}: more waits than there is room for");
        lossy.flush();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // Read again, it goes on.
        thread::spawn(move || BufReader::new(reader).lines().for_each(drop));
        let begun = Instant::now();
        while lossy.queue().bytes > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            lossy.flush();
        }
        lossy.push(b"\n");
        assert_eq!(lossy.lost(), lost);
    }

    #[test]
    fn a_closed_reader_costs_lines_and_nothing_else() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let lossy = Lossy::start(writer);
        lossy.push(b"nobody reads this\n");
        lossy.flush();
        assert_eq!(lossy.lost(), 1);
    }
}
