//! Server-sent events: splits bytes in pieces of any size into complete events.
//!
//! A line can end with LF, CRLF or CR, also mixed; an event ends with a blank line. Whether a byte ends a blank line
//! depends on it and the two bytes before it only. Therefore the last boundary of a chunk is found from its end,
//! usually at once, and no byte is examined twice.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memrchr2_iter};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Splits a byte stream after its last complete event and holds back the unfinished one.
///
/// A CR that ends a blank line ends the event at once, although an LF may follow: a finished event is never delayed to
/// find out. That LF is then returned as a blank line of its own, which every reader ignores.
///
/// ```
/// use vandamme_protocol::sse::{Splitter, events};
///
/// let mut splitter = Splitter::new(1024);
/// splitter.push(b"event: ping\ndata: {}\n\ndata: {\"a\"");
/// let block = splitter.complete().expect("one event is complete");
/// let mut events = events(&block);
/// let event = events.next().expect("the event");
/// assert_eq!(event.name(), Some(&b"ping"[..]));
/// assert_eq!(event.data().as_deref(), Some(&b"{}"[..]));
/// assert!(events.next().is_none());
///
/// splitter.push(b":1}\n\n");
/// assert_eq!(&splitter.complete().expect("the other one")[..], b"data: {\"a\":1}\n\n");
/// ```
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    buffer: BytesMut,
    /// How many bytes of `buffer` are complete events that have not been returned yet.
    complete: usize,
    /// The last two bytes received, returned or not.
    before: [u8; 2],
}

impl Splitter {
    /// `limit` is the largest unfinished event to hold, in bytes; see [`Splitter::oversized`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), complete: 0, before: START }
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(end) = self.boundary(bytes) {
            self.complete = self.buffer.len() + end;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns everything up to the last event boundary as one block of complete events, byte-identical to the input;
    /// `None` if no event is complete.
    pub fn complete(&mut self) -> Option<Bytes> {
        let length = std::mem::take(&mut self.complete);
        (length > 0).then(|| self.buffer.split_to(length).freeze())
    }

    /// Combines [`Splitter::push`] and [`Splitter::complete`]. While nothing is held, the returned block is the chunk
    /// itself or its front, shared and not copied.
    pub fn pass(&mut self, chunk: Bytes) -> Option<Bytes> {
        if !self.buffer.is_empty() {
            self.push(&chunk);
            return self.complete();
        }
        let end = self.boundary(&chunk);
        self.buffer.extend_from_slice(&chunk[end.unwrap_or(0)..]);
        end.map(|end| chunk.slice(..end))
    }

    /// Returns the number of bytes of the unfinished event.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.complete
    }

    /// Whether the unfinished event exceeds the limit.
    #[must_use]
    pub fn oversized(&self) -> bool {
        self.held() > self.limit
    }

    /// Returns the rest after the end of the body, usually an event without its blank line, and resets the splitter. A
    /// codec may still read the rest; a passthrough drops it.
    pub fn rest(&mut self) -> Bytes {
        self.complete = 0;
        self.before = START;
        self.buffer.split().freeze()
    }

    /// Returns the end of the last blank line in the next bytes.
    fn boundary(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.before;
        self.before = match *bytes {
            [.., second, last] => [second, last],
            [only] => [before[1], only],
            [] => before,
        };
        memrchr2_iter(b'\r', b'\n', bytes).find(|&at| ends_blank_line(before, bytes, at)).map(|at| at + 1)
    }
}

/// The bytes assumed before the first one, as if a line had just ended.
const START: [u8; 2] = *b"\n\n";

/// Whether the CR or LF at `at` ends an empty line; `before` holds the two bytes before `bytes`.
fn ends_blank_line(before: [u8; 2], bytes: &[u8], at: usize) -> bool {
    let back = |steps: usize| if steps <= at { bytes[at - steps] } else { before[2 + at - steps] };
    match (bytes[at], back(1)) {
        (b'\n', b'\r') => is_line_end(back(2)),
        (_, previous) => is_line_end(previous),
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Returns the events of a block of complete events. An unterminated last event, which [`Splitter::rest`] can return,
/// is an event as well. Blank lines alone are not.
pub fn events(block: &[u8]) -> impl Iterator<Item = Event<'_>> {
    Events { rest: block }
}

struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let whole = self.rest;
        let blank = whole.iter().take_while(|&&byte| is_line_end(byte)).count();
        // A block does not know whether it is the first of its stream, so a byte order mark is skipped before any
        // event.
        let lines = &whole[blank..];
        let lines = lines.strip_prefix(BYTE_ORDER_MARK).unwrap_or(lines);
        if lines.is_empty() {
            self.rest = lines;
            return None;
        }
        let mut event = Event { raw: whole, lines, name: None, data: Data::Absent };
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, behind) = cut_line(rest);
            rest = behind;
            if line.is_empty() {
                break;
            }
            event.read(line);
        }
        event.raw = &whole[..whole.len() - rest.len()];
        event.lines = &lines[..lines.len() - rest.len()];
        self.rest = rest;
        Some(event)
    }
}

/// One event, borrowed from its block.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    raw: &'a [u8],
    /// `raw` starting at its first line.
    lines: &'a [u8],
    name: Option<&'a [u8]>,
    data: Data<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Data<'a> {
    Absent,
    Line(&'a [u8]),
    Lines,
}

impl<'a> Event<'a> {
    /// Returns the event as received, with its closing blank line and any blank lines before it.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the number of bytes of line ends before the first line: the LF of the previous event if a block was
    /// split between its CR and LF, and superfluous blank lines.
    #[must_use]
    pub fn leading_line_ends(&self) -> usize {
        self.raw.iter().take_while(|&&byte| is_line_end(byte)).count()
    }

    /// Returns the value of the last `event:` line.
    #[must_use]
    pub fn name(&self) -> Option<&'a [u8]> {
        self.name
    }

    /// Returns the `data:` lines joined with LF, borrowed if there is one line; `None` without any, as in a comment.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        match self.data {
            Data::Absent => None,
            Data::Line(line) => Some(Cow::Borrowed(line)),
            Data::Lines => Some(Cow::Owned(self.joined())),
        }
    }

    fn read(&mut self, line: &'a [u8]) {
        if let Some(data) = value_of(b"data", line) {
            self.data = match self.data {
                Data::Absent => Data::Line(data),
                Data::Line(_) | Data::Lines => Data::Lines,
            };
        } else if let Some(name) = value_of(b"event", line) {
            self.name = Some(name);
        }
    }

    fn joined(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.lines.len());
        let mut rest = self.lines;
        while !rest.is_empty() {
            let (line, behind) = cut_line(rest);
            rest = behind;
            if let Some(data) = value_of(b"data", line) {
                joined.extend_from_slice(data);
                joined.push(b'\n');
            }
        }
        joined.pop();
        joined
    }
}

/// Returns the first line without its end, and the text after its end.
fn cut_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    // Every event ends with such a line.
    if let [b'\n', behind @ ..] = bytes {
        return (&[], behind);
    }
    let Some(end) = memchr2(b'\r', b'\n', bytes) else { return (bytes, &[]) };
    let length = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
    (&bytes[..end], &bytes[end + length..])
}

/// Returns the value of a line of this field, without one space after the colon.
fn value_of<'a>(field: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(field)? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        [] => Some(&[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(block: &[u8]) -> Event<'_> {
        let mut events = events(block);
        let event = events.next().unwrap();
        assert!(events.next().is_none());
        event
    }

    #[test]
    fn a_chunk_that_ends_with_an_event_is_returned_uncopied() {
        let chunk = Bytes::from("data: a\n\ndata: b\n\n".to_owned());
        let block = Splitter::new(64).pass(chunk.clone()).unwrap();
        assert_eq!((block.as_ptr(), block.len()), (chunk.as_ptr(), chunk.len()));
    }

    #[test]
    fn the_front_of_a_chunk_is_returned_uncopied_and_its_tail_is_held() {
        let mut splitter = Splitter::new(64);
        let chunk = Bytes::from("data: a\n\ndata: b".to_owned());
        assert_eq!(splitter.pass(chunk.clone()).unwrap().as_ptr(), chunk.as_ptr());
        assert_eq!(splitter.held(), 7);
        assert_eq!(splitter.pass(Bytes::from_static(b"\n\n")).unwrap(), "data: b\n\n");
        assert_eq!(splitter.held(), 0);
    }

    #[test]
    fn only_the_unfinished_event_counts_against_the_limit() {
        let mut splitter = Splitter::new(8);
        splitter.push(b"data: much longer than that\n\ndata: ab");
        assert_eq!((splitter.held(), splitter.oversized()), (8, false));
        splitter.push(b"c");
        assert!(splitter.oversized());
        assert_eq!(splitter.complete().unwrap(), "data: much longer than that\n\n");
        assert_eq!((splitter.complete(), splitter.held()), (None, 9));
    }

    #[test]
    fn a_finished_event_does_not_wait_for_the_lf_after_its_cr() {
        let mut splitter = Splitter::new(64);
        splitter.push(b"data: a\r\n\r");
        assert_eq!(splitter.complete().unwrap(), "data: a\r\n\r");
        assert_eq!(splitter.pass(Bytes::from_static(b"\ndata")).unwrap(), "\n");
        assert_eq!(splitter.held(), 4);
        assert_eq!(events(b"\n").count(), 0);
    }

    #[test]
    fn the_rest_is_an_event_and_resets_the_splitter() {
        let mut splitter = Splitter::new(64);
        splitter.push(b"data: a");
        assert_eq!(only(&splitter.rest()).data().as_deref(), Some(&b"a"[..]));
        assert_eq!((splitter.held(), splitter.rest().len()), (0, 0));
    }

    #[test]
    fn one_data_line_is_borrowed_and_several_are_joined() {
        assert!(matches!(only(b"data: a: b\n\n").data(), Some(Cow::Borrowed(b"a: b"))));
        let event = only(b"data: a\r\nevent: e\rdata\ndata:  b\n\n");
        assert_eq!(event.data().as_deref(), Some(&b"a\n\n b"[..]));
        assert_eq!(event.name(), Some(&b"e"[..]));
    }

    #[test]
    fn the_last_name_counts_and_other_fields_are_none() {
        let event = only(b"event: a\nevents: x\nevent:b\nid: 1\n: c\n\n");
        assert_eq!((event.name(), event.data()), (Some(&b"b"[..]), None));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        assert_eq!(only(b"\xEF\xBB\xBFdata: a\n\n").data().as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn joined_lines_end_where_their_event_ends() {
        let mut events = events(b"data: a\ndata: b\n\ndata: c\n\n");
        assert_eq!(events.next().unwrap().data().as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(events.next().unwrap().raw(), b"data: c\n\n");
    }
}
