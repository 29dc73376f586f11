//! Finds where a request ends in the bytes of a connection (RFC 9112, section 6), as the HTTP server finds it.
//!
//! If the two could differ, the request is [`Body::Unframed`]: the server refuses it and closes the connection.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{Header, Status};

use super::Interim;

/// The number of headers that the HTTP server accepts.
const HEADERS: usize = 96;

/// What a connection's bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More bytes are needed.
    Partial,
    Complete {
        request: RequestFraming,
        interim: Interim,
    },
    /// The HTTP server refuses this and closes the connection.
    Invalid,
}

/// The part of one request that has not arrived yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestFraming {
    head: usize,
    body: RequestBodyLength,
}

#[derive(Debug, PartialEq, Eq)]
enum RequestBodyLength {
    /// The number of missing bytes.
    Length(u64),
    Chunked(ChunkPosition),
    /// Everything that follows on the connection.
    Unframed,
}

/// Parses a head, and replaces with blanks what the HTTP server must not see: at `upgrade: websocket` it stops parsing HTTP, which
/// it may do only where a WebSocket can be opened, and it answers `expect: 100-continue` before the request has been checked.
pub(super) fn head(bytes: &mut [u8]) -> Head {
    let mut ignored = Vec::new();
    let (length, body, expects_continue) = {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Head::Partial,
            Err(_) => return Head::Invalid,
        };
        let mut fields = HeadFields::default();
        for header in request.headers.iter() {
            fields.note(header);
        }
        let expects_continue = fields.expect.is_some() && request.version == Some(1);
        let start = bytes.as_ptr() as usize;
        let place = |value: &[u8]| {
            let offset = value.as_ptr() as usize - start;
            offset..offset + value.len()
        };
        let mut body = fields.body(request.method, request.version);
        if body == RequestBodyLength::Length(0) && fields.asks_for_websocket(&request) {
            body = RequestBodyLength::Unframed;
        } else {
            ignored.extend(fields.upgrade.iter().map(|value| place(value)));
        }
        ignored.extend(fields.expect.filter(|_| expects_continue).map(place));
        (length, body, expects_continue)
    };
    for range in ignored {
        blank(bytes, range);
    }
    let waits = expects_continue && body != RequestBodyLength::Length(0);
    let interim = if waits { Interim::Expected } else { Interim::None };
    Head::Complete { request: RequestFraming { head: length, body }, interim }
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    if let Some(value) = bytes.get_mut(range) {
        value.fill(b' ');
    }
}

/// The header fields that decide where a request ends, or which protocol follows it.
#[derive(Default)]
struct HeadFields<'h> {
    length: HeadField<'h>,
    coding: HeadField<'h>,
    /// Values of `upgrade`, and the token `upgrade` in `connection`.
    upgrade: Vec<&'h [u8]>,
    expect: Option<&'h [u8]>,
}

/// A field that is allowed once in a head.
#[derive(Clone, Copy, Default)]
enum HeadField<'h> {
    #[default]
    Absent,
    Once(&'h [u8]),
    Repeated,
}

impl<'h> HeadField<'h> {
    fn note(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }
}

impl<'h> HeadFields<'h> {
    fn note(&mut self, header: &Header<'h>) {
        let (name, value) = (header.name, header.value);
        // Comparing lengths first is cheap, and most fields are none of these.
        match name.len() {
            6 if name.eq_ignore_ascii_case("expect") => {
                let mut items = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                if items.any(|item| item.eq_ignore_ascii_case(b"100-continue")) {
                    self.expect = Some(value);
                }
            }
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade.push(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                let tokens = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                self.upgrade.extend(tokens.filter(|token| token.eq_ignore_ascii_case(b"upgrade")));
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.length.note(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.coding.note(value),
            _ => {}
        }
    }

    /// Whether this is a request for a WebSocket, on the one path that has them.
    fn asks_for_websocket(&self, request: &httparse::Request<'_, '_>) -> bool {
        let has =
            |word: &[u8]| self.upgrade.iter().any(|value| value.trim_ascii().eq_ignore_ascii_case(word));
        request.method == Some("GET")
            && request.version == Some(1)
            && has(b"websocket")
            && has(b"upgrade")
            && self.expect.is_none()
            && request.path.is_some_and(is_websocket_path)
    }

    fn body(&self, method: Option<&str>, version: Option<u8>) -> RequestBodyLength {
        if method == Some("CONNECT") {
            return RequestBodyLength::Unframed;
        }
        match (self.length, self.coding) {
            (HeadField::Absent, HeadField::Absent) => RequestBodyLength::Length(0),
            (HeadField::Once(length), HeadField::Absent) => {
                decimal(length).map_or(RequestBodyLength::Unframed, RequestBodyLength::Length)
            }
            (HeadField::Absent, HeadField::Once(coding))
                if version == Some(1) && coding.trim_ascii().eq_ignore_ascii_case(b"chunked") =>
            {
                RequestBodyLength::Chunked(ChunkPosition::SizeFirst)
            }
            // Neither is allowed twice, nor both together.
            (_, HeadField::Once(_) | HeadField::Repeated) | (HeadField::Repeated, HeadField::Absent) => {
                RequestBodyLength::Unframed
            }
        }
    }
}

/// Whether this path means `/v1/responses`, as `src/api/unmatched.rs` understands paths.
fn is_websocket_path(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut segments =
        path.split('/').filter(|segment| !segment.is_empty()).skip_while(|segment| *segment == "v1");
    segments.next() == Some("responses") && segments.next().is_none()
}

/// Parses a number that consists of digits only.
fn decimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl RequestFraming {
    /// A request whose end cannot be determined.
    pub(super) fn unframed() -> Self {
        Self { head: 0, body: RequestBodyLength::Unframed }
    }

    /// Returns how many of these bytes, the next ones of the connection, belong to this request.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let of_head = self.head.min(bytes.len());
        self.head -= of_head;
        let rest = bytes.get(of_head..).unwrap_or_default();
        of_head + if self.head == 0 { self.body.take(rest) } else { 0 }
    }

    /// Whether the request has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.head == 0
            && matches!(
                self.body,
                RequestBodyLength::Length(0) | RequestBodyLength::Chunked(ChunkPosition::End)
            )
    }
}

impl RequestBodyLength {
    fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                taken
            }
            Self::Chunked(chunked) => match chunked.take(bytes) {
                Some(taken) => taken,
                None => {
                    *self = Self::Unframed;
                    bytes.len()
                }
            },
            Self::Unframed => bytes.len(),
        }
    }
}

/// The next element of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkPosition {
    SizeFirst,
    Size(u64),
    /// Blanks after the size.
    Blank(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// A trailer field, or the end of the body.
    TrailerFirst,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl ChunkPosition {
    /// Returns how many of these bytes belong to the body, or `None` if this is not a valid chunked body.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken) {
            match *self {
                Self::End => break,
                Self::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - taken);
                    let left = left - here as u64;
                    *self = if left == 0 { Self::DataCr } else { Self::Data(left) };
                    taken += here;
                }
                Self::SizeFirst
                | Self::Size(_)
                | Self::Blank(_)
                | Self::Extension(_)
                | Self::SizeLf(_)
                | Self::DataCr
                | Self::DataLf
                | Self::TrailerFirst
                | Self::Trailer
                | Self::TrailerLf
                | Self::EndLf => {
                    *self = self.after(byte)?;
                    taken += 1;
                }
            }
        }
        Some(taken)
    }

    fn after(self, byte: u8) -> Option<Self> {
        let digit = || char::from(byte).to_digit(16).map(u64::from);
        Some(match (self, byte) {
            (Self::SizeFirst, _) => Self::Size(digit()?),
            (Self::Size(size) | Self::Blank(size), b' ' | b'\t') => Self::Blank(size),
            (Self::Size(size) | Self::Blank(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::Blank(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size), _) => Self::Size(size.checked_mul(16)?.checked_add(digit()?)?),
            (Self::Extension(_), 0x00..=0x08 | 0x0a..=0x1f | 0x7f) => return None,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeLf(0), b'\n') => Self::TrailerFirst,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::SizeFirst,
            (Self::TrailerFirst | Self::Trailer, b'\r') => {
                if self == Self::Trailer {
                    Self::TrailerLf
                } else {
                    Self::EndLf
                }
            }
            (Self::TrailerFirst | Self::Trailer, _) => Self::Trailer,
            (Self::TrailerLf, b'\n') => Self::TrailerFirst,
            (Self::EndLf, b'\n') => Self::End,
            (
                Self::Blank(_)
                | Self::SizeLf(_)
                | Self::DataCr
                | Self::DataLf
                | Self::TrailerLf
                | Self::EndLf
                | Self::Data(_)
                | Self::End,
                _,
            ) => return None,
        })
    }
}

#[cfg(test)]
mod tests;
