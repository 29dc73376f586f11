//! HTTP/1.1 for both ends of a test: heads, and bodies piece by piece as they arrive.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

/// The head of a request or a reply, exactly as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) first: String,
    /// In the order of arrival, with names as written.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { first, headers }
    }

    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The number of headers of this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count()
    }

    /// The second word of the first line: the target of a request, the status of a reply.
    pub(crate) fn second_word(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }
}

/// How the end of a body is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The number of missing bytes.
    Length(usize),
    Chunked,
    UntilClose,
}

impl Framing {
    /// A request without either header has no body.
    pub(crate) fn of_request(head: &Head) -> Self {
        Self::declared(head).unwrap_or(Self::Length(0))
    }

    pub(crate) fn of_reply(head: &Head) -> Self {
        Self::declared(head).unwrap_or(Self::UntilClose)
    }

    fn declared(head: &Head) -> Option<Self> {
        if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Some(Self::Chunked);
        }
        head.header("content-length").and_then(|value| value.parse().ok()).map(Self::Length)
    }
}

/// The reading half of a connection, with bytes that were read ahead.
pub(crate) struct Wire {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new() }
    }

    /// The next head, or `None` if the peer closed before its first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let raw: Vec<u8> = self.held.drain(..end + 4).collect();
                return Ok(Some(Head::parse(&raw)));
            }
            if self.fill()? == 0 {
                return if self.held.is_empty() { Ok(None) } else { Err(cut()) };
            }
        }
    }

    /// The next piece of the body as it arrived, or `None` at its proper end. A truncated body is an error.
    pub(crate) fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                self.fill_if_empty()?;
                let taken: Vec<u8> = self.held.drain(..self.held.len().min(*left)).collect();
                *left -= taken.len();
                if taken.is_empty() { Err(cut()) } else { Ok(Some(taken)) }
            }
            Framing::UntilClose => {
                self.fill_if_empty()?;
                let taken = std::mem::take(&mut self.held);
                Ok((!taken.is_empty()).then_some(taken))
            }
            Framing::Chunked => {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    *framing = Framing::Length(0);
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }

    /// The whole body that belongs to the last head.
    pub(crate) fn body(&mut self, mut framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing)? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("chunk size {line:?}")))?;
        while self.held.len() < size + 2 {
            self.fill_or_cut()?;
        }
        let chunk = self.held.drain(..size).collect();
        self.held.drain(..2);
        Ok(chunk)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n") {
                let line: Vec<u8> = self.held.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill_or_cut()?;
        }
    }

    fn fill_if_empty(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            self.fill()?;
        }
        Ok(())
    }

    fn fill_or_cut(&mut self) -> io::Result<()> {
        if self.fill()? == 0 { Err(cut()) } else { Ok(()) }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        // A machine that suspends its processes interrupts reads with a timeout, even without signal handlers.
        let read = loop {
            match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.held.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the peer closed in the middle")
}

pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
