//! Decodes the chunked transfer coding (RFC 9112, section 7.1) in place.

use super::ReplyError;

/// The longest line of a chunk size with its extension, and the longest trailer section, in bytes.
const LONGEST_LINE: usize = 16 << 10;
/// The most digits of a chunk size: sixteen fill a `u64`, and fifteen cannot overflow.
const MOST_DIGITS: u8 = 15;

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
