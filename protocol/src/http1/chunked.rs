//! Decodes the chunked transfer coding (RFC 9112, section 7.1) in place.

use super::ReplyError;

/// The longest line of a chunk size with its extension, and the longest trailer section, in bytes.
const LONGEST_LINE: usize = 16 << 10;
/// The most digits of a chunk size: sixteen fill a `u64`, and fifteen cannot overflow.
const MOST_DIGITS: u8 = 15;
/// The most digits of the size of a chunk of usual length.
const SIMPLE_DIGITS: usize = 8;

/// The decoder state between two pieces of input.
#[derive(Debug, Default)]
pub(super) struct ChunkDecoder {
    state: ChunkDecoderState,
}

#[derive(Debug)]
enum ChunkDecoderState {
    Size {
        size: u64,
        digits: u8,
    },
    /// After the digits of the size, up to the line's CR. Counts the bytes read so far.
    Extension {
        size: u64,
        length: usize,
    },
    /// Before the LF of the size line.
    SizeLf {
        size: u64,
    },
    Data {
        missing: u64,
    },
    DataCr,
    DataLf,
    /// In a line of the trailer section. Counts the bytes of the section; `line` counts those of this line.
    Trailer {
        length: usize,
        line: usize,
    },
    TrailerLf {
        length: usize,
        line: usize,
    },
    End,
}

impl Default for ChunkDecoderState {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

/// The result of decoding one piece of input.
pub(super) struct DecodedPiece {
    /// Bytes of the body, now at the front of the input.
    pub(super) length: usize,
    /// Bytes of the input that belong to the reply.
    pub(super) read: usize,
    pub(super) ended: bool,
}

/// The line between two chunks, if it is as simple as nearly always: reading it byte by byte takes three times as long.
struct NextChunk {
    size: u64,
    /// The bytes up to the data.
    line: usize,
}

impl NextChunk {
    /// Reads the end of a chunk and the size of the next one from the front of `bytes`. `None` if the line is incomplete or
    /// has an extension, many digits, or an error, and for the last chunk.
    fn of(bytes: &[u8]) -> Option<Self> {
        let [b'\r', b'\n', line @ ..] = bytes else { return None };
        let (mut size, mut digits) = (0, 0);
        while let Some(digit) = char::from(*line.get(digits)?).to_digit(16) {
            size = size << 4 | u64::from(digit);
            digits += 1;
            if digits > SIMPLE_DIGITS {
                return None;
            }
        }
        let is_simple = size > 0 && matches!(line[digits..], [b'\r', b'\n', ..]);
        is_simple.then_some(Self { size, line: digits + 4 })
    }
}

impl ChunkDecoder {
    /// Moves the data of the chunks to the front of `bytes`.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<DecodedPiece, ReplyError> {
        let (mut read, mut length) = (0, 0);
        while read < bytes.len() {
            if let ChunkDecoderState::Data { missing } = &mut self.state {
                let available = bytes.len() - read;
                let taken = usize::try_from(*missing).map_or(available, |missing| missing.min(available));
                bytes.copy_within(read..read + taken, length);
                read += taken;
                length += taken;
                *missing -= taken as u64;
                if *missing == 0 {
                    self.state = ChunkDecoderState::DataCr;
                }
                continue;
            }
            if matches!(self.state, ChunkDecoderState::DataCr)
                && let Some(next) = NextChunk::of(&bytes[read..])
            {
                read += next.line;
                self.state = ChunkDecoderState::Data { missing: next.size };
                continue;
            }
            self.step(bytes[read])?;
            read += 1;
            if matches!(self.state, ChunkDecoderState::End) {
                break;
            }
        }
        Ok(DecodedPiece { length, read, ended: matches!(self.state, ChunkDecoderState::End) })
    }

    /// Consumes one byte outside of chunk data.
    fn step(&mut self, byte: u8) -> Result<(), ReplyError> {
        self.state = match (&self.state, byte) {
            (&ChunkDecoderState::Size { size, digits }, _) => Self::size(size, digits, byte)?,
            (&ChunkDecoderState::Extension { size, .. }, b'\r') => ChunkDecoderState::SizeLf { size },
            (&ChunkDecoderState::Extension { size, length }, _) if byte != b'\n' && length < LONGEST_LINE => {
                ChunkDecoderState::Extension { size, length: length + 1 }
            }
            (ChunkDecoderState::SizeLf { size: 0 }, b'\n') => {
                ChunkDecoderState::Trailer { length: 0, line: 0 }
            }
            (&ChunkDecoderState::SizeLf { size }, b'\n') => ChunkDecoderState::Data { missing: size },
            (ChunkDecoderState::DataCr, b'\r') => ChunkDecoderState::DataLf,
            (ChunkDecoderState::DataLf, b'\n') => ChunkDecoderState::default(),
            (&ChunkDecoderState::Trailer { length, line }, b'\r') => {
                ChunkDecoderState::TrailerLf { length, line }
            }
            (&ChunkDecoderState::Trailer { length, line }, _) if byte != b'\n' && length < LONGEST_LINE => {
                ChunkDecoderState::Trailer { length: length + 1, line: line + 1 }
            }
            (ChunkDecoderState::TrailerLf { line: 0, .. }, b'\n') => ChunkDecoderState::End,
            (&ChunkDecoderState::TrailerLf { length, .. }, b'\n') => {
                ChunkDecoderState::Trailer { length: length + 1, line: 0 }
            }
            _ => return Err(ReplyError::Chunks),
        };
        Ok(())
    }

    fn size(size: u64, digits: u8, byte: u8) -> Result<ChunkDecoderState, ReplyError> {
        let digit = char::from(byte).to_digit(16);
        match (digit, byte) {
            (Some(digit), _) if digits < MOST_DIGITS => {
                Ok(ChunkDecoderState::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (None, b'\r') if digits > 0 => Ok(ChunkDecoderState::SizeLf { size }),
            (None, b';' | b' ' | b'\t') if digits > 0 => Ok(ChunkDecoderState::Extension { size, length: 0 }),
            _ => Err(ReplyError::Chunks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_lines_are_read_at_once_and_others_byte_by_byte() {
        let of = |bytes: &str| NextChunk::of(bytes.as_bytes()).map(|next| (next.size, next.line));
        assert_eq!(of("\r\n5\r\nhello"), Some((5, 5)));
        assert_eq!(of("\r\nffFF0000\r\n"), Some((0xffff_0000, 12)));
        for other in
            ["", "\r", "\r\n", "\r\n5", "\r\n5\r", "\r\n0\r\n", "\r\n5;a\r\n", "\r\n000000005\r\n", "5\r\n"]
        {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
