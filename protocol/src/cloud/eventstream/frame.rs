//! One frame: its headers, its payload and its checksums.

use bytes::{BufMut as _, BytesMut};
use thiserror::Error;

/// The lengths and the checksum before the headers.
const PRELUDE: usize = 12;
/// The checksum behind the payload.
const CHECKSUM: usize = 4;
/// The type of a header whose value is text.
const TEXT: u8 = 7;

/// Why frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EventStreamError {
    #[error("a frame has a wrong checksum")]
    Checksum,
    #[error("a frame has more than {0} bytes")]
    TooLarge(usize),
    #[error("a frame is malformed")]
    Malformed,
}

/// A frame that has arrived in full. The headers that Bedrock uses are texts; a frame without one has an empty text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// `:message-type`: `event`, `exception` or `error`.
    pub(super) message_type: &'a str,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub(super) kind: &'a str,
    /// `:error-message`
    pub(super) error_message: &'a str,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of these bytes, and its length; `None` if it has not arrived in full.
    pub(super) fn parse(bytes: &'a [u8], largest: usize) -> Result<Option<(Self, usize)>, EventStreamError> {
        let Some(prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
        let number = |at: usize| number(&prelude[at..]) as usize;
        // Before the lengths are believed: a body that is no eventstream names gigabytes.
        if crc32fast::hash(&prelude[..8]) as usize != number(8) {
            return Err(EventStreamError::Checksum);
        }
        let (length, headers) = (number(0), number(4));
        if length > largest {
            return Err(EventStreamError::TooLarge(largest));
        }
        let payload_end = length.checked_sub(CHECKSUM).ok_or(EventStreamError::Malformed)?;
        let headers_end = PRELUDE + headers;
        if headers_end > payload_end {
            return Err(EventStreamError::Malformed);
        }
        let Some(whole) = bytes.get(..length) else { return Ok(None) };
        if crc32fast::hash(&whole[..payload_end]) != self::number(&whole[payload_end..]) {
            return Err(EventStreamError::Checksum);
        }
        let mut frame = Self { payload: &whole[headers_end..payload_end], ..Self::default() };
        frame.read_headers(&whole[PRELUDE..headers_end])?;
        Ok(Some((frame, length)))
    }

    fn read_headers(&mut self, mut rest: &'a [u8]) -> Result<(), EventStreamError> {
        while !rest.is_empty() {
            let name_length = usize::from(take(&mut rest, 1)?[0]);
            let name = take(&mut rest, name_length)?;
            let kind = take(&mut rest, 1)?[0];
            let length = match kind {
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                5 | 8 => 8,
                9 => 16,
                6 | TEXT => {
                    let length = take(&mut rest, 2)?;
                    usize::from(u16::from_be_bytes([length[0], length[1]]))
                }
                _ => return Err(EventStreamError::Malformed),
            };
            let value = take(&mut rest, length)?;
            let known = match name {
                b":message-type" => &mut self.message_type,
                b":event-type" | b":exception-type" | b":error-code" => &mut self.kind,
                b":error-message" => &mut self.error_message,
                _ => continue,
            };
            if kind == TEXT {
                *known = std::str::from_utf8(value).map_err(|_| EventStreamError::Malformed)?;
            }
        }
        Ok(())
    }
}

/// Appends a frame with text headers. Names and values are our own and short.
pub(super) fn write(headers: &[(&str, &str)], payload: &[&[u8]], to: &mut BytesMut) {
    let headers_length: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let payload_length: usize = payload.iter().map(|part| part.len()).sum();
    let length = PRELUDE + headers_length + payload_length + CHECKSUM;
    let start = to.len();
    to.reserve(length);
    to.put_u32(length as u32);
    to.put_u32(headers_length as u32);
    let prelude = crc32fast::hash(&to[start..]);
    to.put_u32(prelude);
    for (name, value) in headers {
        to.put_u8(name.len() as u8);
        to.put_slice(name.as_bytes());
        to.put_u8(TEXT);
        to.put_u16(value.len() as u16);
        to.put_slice(value.as_bytes());
    }
    payload.iter().for_each(|part| to.put_slice(part));
    let checksum = crc32fast::hash(&to[start..]);
    to.put_u32(checksum);
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], EventStreamError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(EventStreamError::Malformed)?;
    *rest = left;
    Ok(taken)
}

/// The number in the first four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
