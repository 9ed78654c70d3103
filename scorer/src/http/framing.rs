//! A strict look at how HTTP/1.1 requests are framed, before hyper reads them.
//!
//! hyper is lenient where the standard allows it: a line may end in a bare line feed, and `Transfer-Encoding` wins over
//! `Content-Length`. A proxy in front that reads such a request differently would take one request for two. Here all of that
//! is refused, and so are folded lines, repeated lengths and encodings other than `chunked`.

use memchr::memchr;

/// Bytes of one line; hyper allows no larger head.
const MAX_LINE: usize = 16 * 1024;

/// What makes a request ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// A line ends without a carriage return.
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    /// A line begins with a blank.
    #[error("a header line is folded")]
    Folded,
    /// Content-Length is no number, or is there twice.
    #[error("Content-Length is not one number")]
    Length,
    /// Transfer-Encoding is not `chunked`, or is there twice or beside a Content-Length.
    #[error("Transfer-Encoding is not chunked alone")]
    Encoding,
    /// A chunk has no size.
    #[error("the size of a chunk is not a number")]
    Chunk,
    /// A line does not end.
    #[error("a line is too long")]
    Long,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before a request line.
    Start,
    /// After a request line, up to an empty line.
    Fields,
    /// So many bytes of a body.
    Body(u64),
    /// The line with the size of a chunk.
    Size,
    /// So many bytes of a chunk, its line end included.
    Chunk(u64),
    /// After the last chunk, up to an empty line.
    Trailers,
}

/// Follows the bytes of one connection from request to request.
#[derive(Debug)]
pub struct Framing {
    part: Part,
    length: Option<u64>,
    chunked: bool,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
}

impl Framing {
    /// Before the first request.
    pub fn new() -> Self {
        Self {
            part: Part::Start,
            length: None,
            chunked: false,
            unfinished: Vec::new(),
        }
    }

    /// Looks at the next bytes of the connection.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Body(left) => self.skip(left, bytes, Part::Body, Part::Start),
                Part::Chunk(left) => self.skip(left, bytes, Part::Chunk, Part::Size),
                Part::Start | Part::Fields | Part::Size | Part::Trailers => self.take_line(bytes)?,
            };
        }
        Ok(())
    }

    fn skip<'a>(&mut self, left: u64, bytes: &'a [u8], within: fn(u64) -> Part, after: Part) -> &'a [u8] {
        let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - here as u64;
        self.part = if left == 0 { after } else { within(left) };
        &bytes[here..]
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Ambiguous> {
        let Some(end) = memchr(b'\n', bytes) else {
            if self.unfinished.len() + bytes.len() > MAX_LINE {
                return Err(Ambiguous::Long);
            }
            self.unfinished.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let (line, rest) = bytes.split_at(end + 1);
        if self.unfinished.is_empty() {
            self.line(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.unfinished);
            whole.extend_from_slice(line);
            self.line(&whole)?;
            whole.clear();
            self.unfinished = whole;
        }
        Ok(rest)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let line = line.strip_suffix(b"\r\n").ok_or(Ambiguous::BareLineFeed)?;
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Ambiguous::Folded);
        }
        match self.part {
            Part::Start if line.is_empty() => {}
            Part::Start => {
                (self.length, self.chunked) = (None, false);
                self.part = Part::Fields;
            }
            Part::Fields if line.is_empty() => self.part = self.body()?,
            Part::Fields => self.field(line)?,
            Part::Size => {
                self.part = match chunk_size(line)? {
                    0 => Part::Trailers,
                    size => Part::Chunk(size.saturating_add(2)),
                }
            }
            Part::Trailers if line.is_empty() => self.part = Part::Start,
            Part::Trailers | Part::Body(_) | Part::Chunk(_) => {}
        }
        Ok(())
    }

    fn body(&self) -> Result<Part, Ambiguous> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Ambiguous::Encoding),
            (true, None) => Ok(Part::Size),
            (false, None | Some(0)) => Ok(Part::Start),
            (false, Some(length)) => Ok(Part::Body(length)),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        if let Some(value) = value_of(line, b"content-length:") {
            if self.length.is_some() {
                return Err(Ambiguous::Length);
            }
            self.length = Some(decimal(value).ok_or(Ambiguous::Length)?);
        } else if let Some(value) = value_of(line, b"transfer-encoding:") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous::Encoding);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

/// The value of the line, when it is this header's.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    })
}

fn chunk_size(line: &[u8]) -> Result<u64, Ambiguous> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits).map_err(|_| Ambiguous::Chunk)?;
    if !(1..=15).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Ambiguous::Chunk);
    }
    u64::from_str_radix(text, 16).map_err(|_| Ambiguous::Chunk)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na\nb\nc\
        GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n\
        POST / HTTP/1.1\r\ntransfer-encoding:  Chunked \r\n\r\n4;x=y\r\n\n\n\n\n\r\n0\r\nx: y\r\n\r\n\
        POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";

    fn outcome(text: &str) -> Result<(), Ambiguous> {
        Framing::new().follow(text.as_bytes())
    }

    #[test]
    fn several_well_framed_requests_pass_and_their_bodies_do_not_matter() {
        let mut framing = Framing::new();
        framing.follow(GOOD.as_bytes()).unwrap();
        assert_eq!(framing.part, Part::Start);
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        let start = "POST / HTTP/1.1\r\n";
        let table = [
            ("GET / HTTP/1.1\n", Ambiguous::BareLineFeed),
            ("POST / HTTP/1.1\r\nHost: x\n", Ambiguous::BareLineFeed),
            ("POST / HTTP/1.1\r\nHost: x\r\n folded\r\n", Ambiguous::Folded),
            ("POST / HTTP/1.1\r\n\tHost: x\r\n", Ambiguous::Folded),
            (" GET / HTTP/1.1\r\n", Ambiguous::Folded),
        ];
        for (text, expected) in table {
            assert_eq!(outcome(text), Err(expected), "{text:?}");
        }
        let fields = [
            (
                "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                Ambiguous::Encoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                Ambiguous::Encoding,
            ),
            (
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                Ambiguous::Encoding,
            ),
            ("transfer-encoding: gzip, chunked\r\n", Ambiguous::Encoding),
            ("transfer-encoding: identity\r\n", Ambiguous::Encoding),
            ("content-length: 5\r\ncontent-length: 5\r\n", Ambiguous::Length),
            ("content-length: 5, 5\r\n", Ambiguous::Length),
            ("content-length: +5\r\n", Ambiguous::Length),
            ("content-length: -1\r\n", Ambiguous::Length),
            ("content-length: 0x5\r\n", Ambiguous::Length),
            ("content-length:\r\n", Ambiguous::Length),
            ("content-length: 9999999999999999999\r\n", Ambiguous::Length),
            ("transfer-encoding: chunked\r\n\r\nx\r\n", Ambiguous::Chunk),
            ("transfer-encoding: chunked\r\n\r\n-1\r\n", Ambiguous::Chunk),
            ("transfer-encoding: chunked\r\n\r\n5 \r\n", Ambiguous::Chunk),
            ("transfer-encoding: chunked\r\n\r\n\r\n", Ambiguous::Chunk),
            ("transfer-encoding: chunked\r\n\r\n5\n", Ambiguous::BareLineFeed),
        ];
        for (text, expected) in fields {
            assert_eq!(outcome(&format!("{start}{text}")), Err(expected), "{text:?}");
        }
        let long = format!("{start}x: {}", "y".repeat(MAX_LINE));
        assert_eq!(outcome(&long), Err(Ambiguous::Long));
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(cuts in prop::collection::vec(0..GOOD.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut framing, mut from) = (Framing::new(), 0);
            for cut in cuts.into_iter().chain([GOOD.len()]) {
                prop_assert_eq!(framing.follow(&GOOD.as_bytes()[from..cut]), Ok(()));
                from = cut;
            }
            prop_assert_eq!(framing.part, Part::Start);
        }

        #[test]
        fn any_bytes_are_followed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Framing::new().follow(&bytes);
        }
    }
}
