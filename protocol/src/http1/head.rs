//! Parses the head of a reply: the length of its body, and the head for the HTTP client.

use std::mem::MaybeUninit;

use bytes::BytesMut;

use super::ReplyError;

/// Space for the start of the rewritten head. Only a long reason phrase exceeds it.
const LONGEST_START: usize = 80;
/// The prefix of every reply. Earlier versions have no status line, later ones another framing.
pub(super) const PREFIX: &[u8] = b"HTTP/1.";
/// The most headers of a reply; the HTTP client reads no more (actix-http's `MAX_HEADERS`).
pub(super) const MOST_HEADERS: usize = 96;

/// A parsed head.
pub(super) enum Parsed {
    /// 1xx: another head follows.
    Interim,
    Final {
        status: u16,
        body: BodyEnd,
        reusable: bool,
        keep_alive: Option<u64>,
    },
}

/// How the end of a body is determined (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Returns the end of the head at the front of `input`, if it is complete. `searched` counts the bytes examined before.
pub(super) fn find_end(input: &[u8], searched: &mut usize) -> Option<usize> {
    // A line feed alone also ends a line (RFC 9112, section 2.2), and httparse accepts it.
    let from = searched.saturating_sub(3);
    for at in memchr::memchr_iter(b'\n', &input[from..]).map(|at| from + at) {
        let rest = &input[at + 1..];
        if rest.starts_with(b"\n") {
            return Some(at + 2);
        }
        if rest.starts_with(b"\r\n") {
            return Some(at + 3);
        }
    }
    *searched = input.len();
    None
}

/// Parses a complete head. Appends a final head to `output` in the form for the HTTP client: without framing headers, as
/// HTTP/1.0, whose bodies end with the connection. With a length, the client would put the connection into a pool of its
/// own, and find there that it has ended (2,000 instructions a request).
pub(super) fn parse(bytes: &[u8], output: &mut BytesMut) -> Result<Parsed, ReplyError> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    // The HTTP client uses the same setting, so both read the same headers.
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(ReplyError::Head),
        Err(httparse::Error::TooManyHeaders) => return Err(ReplyError::HeadTooLarge),
        Err(_) => return Err(ReplyError::Head),
    };
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err(ReplyError::Head);
    };
    if length != bytes.len() {
        return Err(ReplyError::Head);
    }
    match status {
        101 => return Err(ReplyError::Switched),
        100..=199 => return Ok(Parsed::Interim),
        200..=999 => {}
        _ => return Err(ReplyError::Head),
    }
    let framing = Framing::parse(response.headers, version)?;
    let (body, certain) = framing.body(status)?;
    write_head(&response, status, output);
    let reusable = certain && version == 1 && !framing.close && body != BodyEnd::UntilClose;
    Ok(Parsed::Final { status, body, reusable, keep_alive: framing.keep_alive })
}

/// What a header controls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FramingHeader {
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    /// Another header of the connection, which has no effect here.
    OtherOfConnection,
    PassedOn,
}

impl FramingHeader {
    fn from_name(name: &str) -> Self {
        // Compare the length first: it rules out most headers.
        let (known, field) = match name.len() {
            2 => ("te", Self::OtherOfConnection),
            7 if name.as_bytes()[0].eq_ignore_ascii_case(&b't') => ("trailer", Self::OtherOfConnection),
            7 => ("upgrade", Self::OtherOfConnection),
            10 if name.as_bytes()[0].eq_ignore_ascii_case(&b'c') => ("connection", Self::Connection),
            10 => ("keep-alive", Self::KeepAlive),
            14 => ("content-length", Self::ContentLength),
            16 => ("proxy-connection", Self::OtherOfConnection),
            17 => ("transfer-encoding", Self::TransferEncoding),
            _ => return Self::PassedOn,
        };
        if name.eq_ignore_ascii_case(known) { field } else { Self::PassedOn }
    }
}

/// The framing that the headers declare.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    /// The length is given more than once.
    repeated: bool,
    coding: Option<TransferCoding>,
    close: bool,
    keep_alive: Option<u64>,
    version: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TransferCoding {
    Chunked,
    /// No coding, in the notation of RFC 2616.
    Identity,
}

impl Framing {
    fn parse(headers: &[httparse::Header<'_>], version: u8) -> Result<Self, ReplyError> {
        let mut framing = Self { version, ..Self::default() };
        for header in headers {
            let value = header.value;
            match FramingHeader::from_name(header.name) {
                FramingHeader::ContentLength => framing.add_length(value)?,
                FramingHeader::TransferEncoding => framing.add_coding(value)?,
                FramingHeader::Connection => {
                    framing.close |= elements(value).any(|element| element.eq_ignore_ascii_case(b"close"));
                }
                FramingHeader::KeepAlive => framing.keep_alive = elements(value).find_map(keep_alive_timeout),
                FramingHeader::OtherOfConnection | FramingHeader::PassedOn => {}
            }
        }
        Ok(framing)
    }

    /// A list of equal lengths is one length (RFC 9110, section 8.6); anything else is an error.
    fn add_length(&mut self, value: &[u8]) -> Result<(), ReplyError> {
        for element in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let digits = !element.is_empty() && element.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(element).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            let length: u64 = length.ok_or(ReplyError::Length)?;
            self.repeated |= self.length.is_some();
            if self.length.replace(length).is_some_and(|before| before != length) {
                return Err(ReplyError::Length);
            }
        }
        Ok(())
    }

    fn add_coding(&mut self, value: &[u8]) -> Result<(), ReplyError> {
        for element in elements(value) {
            let coding = if element.eq_ignore_ascii_case(b"chunked") {
                TransferCoding::Chunked
            } else if element.eq_ignore_ascii_case(b"identity") {
                TransferCoding::Identity
            } else {
                return Err(ReplyError::TransferEncoding);
            };
            if self.coding.replace(coding).is_some() {
                return Err(ReplyError::TransferEncoding);
            }
        }
        // A header without a coding is an error.
        self.coding.map(|_| ()).ok_or(ReplyError::TransferEncoding)
    }

    /// Returns how the body of a reply with this status ends, and whether the framing is unambiguous.
    fn body(&self, status: u16) -> Result<(BodyEnd, bool), ReplyError> {
        if matches!(status, 204 | 304) {
            let empty = self.coding.is_none() && (status == 304 || self.length.unwrap_or(0) == 0);
            return Ok((BodyEnd::Length(0), empty && !self.repeated));
        }
        Ok(match (self.coding, self.length) {
            // The coding overrides the length, and the connection closes afterwards. It also closes if an HTTP/1.0
            // sender uses a coding, which that version lacks (RFC 9112, sections 6.1 and 6.3).
            (Some(TransferCoding::Chunked), length) => {
                (BodyEnd::Chunked, length.is_none() && self.version == 1)
            }
            (coding, Some(length)) => (BodyEnd::Length(length), coding.is_none() && !self.repeated),
            (_, None) => (BodyEnd::UntilClose, true),
        })
    }
}

/// Returns the elements of a comma-separated list.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

fn keep_alive_timeout(element: &[u8]) -> Option<u64> {
    let (name, value) = element.split_at_checked(b"timeout=".len())?;
    let value = name.eq_ignore_ascii_case(b"timeout=").then_some(value)?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn write_head(response: &httparse::Response<'_, '_>, status: u16, output: &mut BytesMut) {
    let mut code = itoa::Buffer::new();
    output.reserve(
        LONGEST_START + response.headers.iter().map(|h| h.name.len() + h.value.len() + 4).sum::<usize>(),
    );
    for part in ["HTTP/1.0 ", code.format(status), " ", response.reason.unwrap_or_default(), "\r\n"] {
        output.extend_from_slice(part.as_bytes());
    }
    for header in response
        .headers
        .iter()
        .filter(|header| FramingHeader::from_name(header.name) == FramingHeader::PassedOn)
    {
        for part in [header.name.as_bytes(), b": ", header.value, b"\r\n"] {
            output.extend_from_slice(part);
        }
    }
    output.extend_from_slice(b"\r\n");
}
