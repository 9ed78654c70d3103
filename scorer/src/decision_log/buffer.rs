//! Lines on their way from a serving thread to the writer.

use super::pseudonym::Id;

/// Bytes that one thread may have waiting; at about 500 bytes a line some 500 lines.
const CAPACITY: usize = 256 * 1024;

/// Whole lines, and where ids go in them.
#[derive(Debug, Default)]
pub struct Buffer {
    pub bytes: Vec<u8>,
    pub ids: Vec<Id>,
    pub lines: u64,
}

impl Buffer {
    /// Adds a line, unless there is no room for it.
    pub fn add(&mut self, write: impl FnOnce(&mut Self)) -> bool {
        let (bytes, ids) = (self.bytes.len(), self.ids.len());
        if bytes >= CAPACITY {
            return false;
        }
        write(self);
        if self.bytes.len() > CAPACITY {
            self.bytes.truncate(bytes);
            self.ids.truncate(ids);
            return false;
        }
        self.lines += 1;
        true
    }

    /// Takes the lines of another buffer, in front of what comes next. Two buffers may hold twice the capacity.
    pub fn append(&mut self, other: &mut Self) {
        if other.lines == 0 {
            return;
        }
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.ids.extend(other.ids.drain(..).map(|id| Id {
            at: id.at + start,
            ..id
        }));
        self.lines += std::mem::take(&mut other.lines);
    }

    /// Time to wake the writer.
    pub fn is_half_full(&self) -> bool {
        self.bytes.len() >= CAPACITY / 2
    }

    /// Makes room, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ids.clear();
        self.lines = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::pseudonym::Kind;

    fn line(size: usize) -> impl Fn(&mut Buffer) {
        move |buffer| {
            let at = buffer.bytes.len();
            buffer.ids.push(Id {
                at,
                kind: Kind::Customer,
                value: 1,
            });
            buffer.bytes.resize(at + size, b'x');
        }
    }

    #[test]
    fn a_full_buffer_takes_no_more_and_stays_as_it_is() {
        let mut buffer = Buffer::default();
        assert!(buffer.add(line(CAPACITY - 10)) && buffer.is_half_full());
        assert!(!buffer.add(line(11)));
        assert!(buffer.add(line(10)));
        assert!(!buffer.add(line(1)));
        assert_eq!(
            (buffer.bytes.len(), buffer.ids.len(), buffer.lines),
            (CAPACITY, 2, 2)
        );
    }

    #[test]
    fn appended_lines_take_their_ids_along() {
        let (mut first, mut second) = (Buffer::default(), Buffer::default());
        assert!(first.add(line(7)) && second.add(line(5)) && second.add(line(5)));
        first.append(&mut second);
        assert_eq!(first.ids.iter().map(|id| id.at).collect::<Vec<_>>(), [0, 7, 12]);
        assert_eq!((first.lines, second.lines, second.bytes.len()), (3, 0, 0));
    }
}
