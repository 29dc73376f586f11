//! One client's connection: sends requests, reads replies at full speed, and checks that they are complete.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use memchr::memmem::Finder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Trouble;
use crate::chunks::Framing;
use crate::replies::{BURST_EVENTS, LAST_WORDS, Shape};

/// What a complete reply contains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// This mark, this many times.
    pub(crate) marks: usize,
    mark: &'static str,
    /// And this text at the end.
    ending: &'static str,
    shortest: usize,
}

/// The times of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
}

pub(crate) struct Connection {
    stream: TcpStream,
    read: BytesMut,
}

impl Expected {
    pub(crate) fn of(shape: Shape) -> Self {
        let stream =
            |marks| Self { mark: "\"text_delta\"", marks, ending: "message_stop\"}\n\n", shortest: 0 };
        match shape {
            Shape::Whole => Self { mark: LAST_WORDS, marks: 1, ending: "}", shortest: 900 },
            Shape::Burst => stream(BURST_EVENTS),
            Shape::Paced { events, .. } => stream(events),
            Shape::Open => stream(1),
        }
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: BytesMut::new() })
    }

    /// Sends a request and reads the whole reply. Adds every mark that arrives to `seen`.
    pub(crate) async fn ask(
        &mut self,
        request: &[u8],
        (expected, seen): (Expected, &AtomicU64),
    ) -> Result<Timing, Trouble> {
        let began = Instant::now();
        let (mut tally, mut framing) = self.begin(request, (expected, seen)).await?;
        while !framing.is_over() {
            self.fill().await?;
            framing.take(&mut self.read, |slice| tally.take(slice))?;
        }
        tally.check()?;
        if !self.read.is_empty() {
            return Err("bytes after the end of a reply".into());
        }
        let first = tally.first.ok_or("a reply without its words")? - began;
        Ok(Timing { first, whole: began.elapsed() })
    }

    /// Sends a request and reads up to the first mark.
    pub(crate) async fn ask_for_first(
        &mut self,
        request: &[u8],
        (expected, seen): (Expected, &AtomicU64),
    ) -> Result<(), Trouble> {
        let (mut tally, mut framing) = self.begin(request, (expected, seen)).await?;
        while tally.first.is_none() {
            self.fill().await?;
            framing.take(&mut self.read, |slice| tally.take(slice))?;
        }
        if framing.is_over() { Err("a stream that was to stay open has ended".into()) } else { Ok(()) }
    }

    /// Reads the head, and the bytes of the body that arrive with it.
    async fn begin<'a>(
        &mut self,
        request: &[u8],
        (expected, seen): (Expected, &'a AtomicU64),
    ) -> Result<(Tally<'a>, Framing), Trouble> {
        self.stream.write_all(request).await?;
        let head = loop {
            self.fill().await?;
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.read.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("a reply that is not a 200: {}", String::from_utf8_lossy(&self.read)).into());
        }
        let mut framing = Framing::of_head(&self.read[..head])?;
        self.read.advance(head);
        let mut tally = Tally::new(expected, seen);
        framing.take(&mut self.read, |slice| tally.take(slice))?;
        Ok((tally, framing))
    }

    async fn fill(&mut self) -> Result<(), Trouble> {
        self.read.reserve(4096);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err("the connection was closed in mid-reply".into()),
            _ => Ok(()),
        }
    }
}

/// The part of a reply that has been seen.
struct Tally<'a> {
    expected: Expected,
    finder: Finder<'static>,
    seen: &'a AtomicU64,
    marks: usize,
    length: usize,
    first: Option<Instant>,
    /// The last bytes, in which a mark or the ending may have begun.
    tail: Vec<u8>,
}

impl<'a> Tally<'a> {
    fn new(expected: Expected, seen: &'a AtomicU64) -> Self {
        let finder = Finder::new(expected.mark);
        Self { expected, finder, seen, marks: 0, length: 0, first: None, tail: Vec::new() }
    }

    fn take(&mut self, slice: &[u8]) {
        self.length += slice.len();
        let (mark, before) = (self.expected.mark.len(), self.tail.len());
        self.tail.extend_from_slice(slice);
        // Counts only marks that end in the new slice.
        let from = before.saturating_sub(mark - 1);
        let found = self.finder.find_iter(&self.tail[from..]).count();
        if found > 0 {
            self.first.get_or_insert_with(Instant::now);
            self.marks += found;
            self.seen.fetch_add(found as u64, Ordering::Relaxed);
        }
        let kept = mark.max(self.expected.ending.len());
        self.tail.drain(..self.tail.len().saturating_sub(kept));
    }

    fn check(&self) -> Result<(), Trouble> {
        let Expected { marks, ending, shortest, .. } = self.expected;
        if self.marks == marks && self.tail.ends_with(ending.as_bytes()) && self.length >= shortest {
            return Ok(());
        }
        let tail = String::from_utf8_lossy(&self.tail);
        Err(format!(
            "a reply of {} bytes with {} of {marks} events that ends with {tail:?}",
            self.length, self.marks
        )
        .into())
    }
}
