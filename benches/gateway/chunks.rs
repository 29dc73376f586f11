//! Reads the body of an HTTP/1.1 reply with either framing.

use bytes::{Buf as _, BytesMut};

use crate::Trouble;

/// The part of a body that has not arrived yet.
pub(crate) enum Framing {
    Length(usize),
    Chunks(Within),
}

/// The position of the reader in a chunked body.
pub(crate) enum Within {
    Size,
    Chunk(usize),
    /// The line end after a chunk.
    ChunkEnd,
    /// The line end after the last one.
    Trailer,
    Over,
}

impl Framing {
    pub(crate) fn of_head(head: &[u8]) -> Result<Self, Trouble> {
        let head = std::str::from_utf8(head)?.to_ascii_lowercase();
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            return Ok(Self::Chunks(Within::Size));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        Ok(Self::Length(length.ok_or("a reply without length and chunks")?.trim().parse()?))
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunks(Within::Over))
    }

    /// Passes on the bytes of the body in `read`, and removes them from it.
    pub(crate) fn take(&mut self, read: &mut BytesMut, mut sink: impl FnMut(&[u8])) -> Result<(), Trouble> {
        match self {
            Self::Length(left) => {
                let there = read.len().min(*left);
                sink(&read[..there]);
                read.advance(there);
                *left -= there;
            }
            Self::Chunks(within) => while within.step(read, &mut sink)? {},
        }
        Ok(())
    }
}

impl Within {
    /// Whether more can be done before the next read.
    fn step(&mut self, read: &mut BytesMut, sink: &mut impl FnMut(&[u8])) -> Result<bool, Trouble> {
        *self = match *self {
            Self::Size => {
                let Some(end) = memchr::memchr(b'\n', read) else { return Ok(false) };
                let line = std::str::from_utf8(&read[..end])?.trim_end();
                let size = usize::from_str_radix(line, 16)?;
                read.advance(end + 1);
                if size == 0 { Self::Trailer } else { Self::Chunk(size) }
            }
            Self::Chunk(0) => Self::ChunkEnd,
            Self::Chunk(left) => {
                let there = read.len().min(left);
                sink(&read[..there]);
                read.advance(there);
                if there == 0 {
                    return Ok(false);
                }
                Self::Chunk(left - there)
            }
            Self::ChunkEnd | Self::Trailer => {
                if read.len() < 2 {
                    return Ok(false);
                }
                if !read.starts_with(b"\r\n") {
                    return Err("a chunk that does not end where it should".into());
                }
                read.advance(2);
                if matches!(self, Self::Trailer) { Self::Over } else { Self::Size }
            }
            Self::Over => return Ok(false),
        };
        Ok(true)
    }
}
