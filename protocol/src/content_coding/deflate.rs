//! `deflate`: zlib's format (RFC 1950), or raw deflate (RFC 1951), which some servers send under that name.

use flate2::{Decompress, FlushDecompress, Status};

use super::{BLOCK, Damaged, Decode};

pub(super) enum Deflate {
    /// Waits for the first two bytes, which identify the format.
    Sniffing {
        first: Option<u8>,
    },
    Running(Decompress),
    Complete,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self::Sniffing { first: None }
    }

    /// Starts decoding with the first byte, which has been consumed already.
    fn begin(&mut self, first: u8, second: u8, out: &mut Vec<u8>) -> Result<(), Damaged> {
        let mut decompress = Decompress::new(is_zlib(first, second));
        out.reserve(BLOCK);
        let status = decompress.decompress_vec(&[first], out, FlushDecompress::None);
        status.map_err(|_| Damaged)?;
        *self = Self::Running(decompress);
        Ok(())
    }
}

/// Whether this is a zlib header: deflate, a window of at most 32 KiB, and a valid checksum over both bytes.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0F == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

impl Decode for Deflate {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged> {
        match self {
            Self::Sniffing { first } => match (*first, input) {
                (_, []) => Ok(0),
                (None, [byte, ..]) => {
                    *first = Some(*byte);
                    Ok(1)
                }
                (Some(byte), [second, ..]) => {
                    self.begin(byte, *second, out)?;
                    self.step(input, out)
                }
            },
            Self::Running(decompress) => {
                let before = decompress.total_in();
                out.reserve(BLOCK);
                let status = decompress.decompress_vec(input, out, FlushDecompress::None);
                let taken = decompress.total_in() - before;
                if status.map_err(|_| Damaged)? == Status::StreamEnd {
                    *self = Self::Complete;
                }
                usize::try_from(taken).map_err(|_| Damaged)
            }
            Self::Complete if input.is_empty() => Ok(0),
            Self::Complete => Err(Damaged),
        }
    }

    fn is_complete(&mut self) -> bool {
        matches!(self, Self::Complete)
    }
}
