//! Brotli (RFC 7932), without the extension to windows of up to a gigabyte.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{BLOCK, Damaged, Decode};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Brotli {
    state: Box<State>,
    is_complete: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let new = StandardAlloc::default;
        Self { state: Box::new(State::new_strict(new(), new(), new())), is_complete: false }
    }
}

impl Decode for Brotli {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged> {
        if self.is_complete {
            return if input.is_empty() { Ok(0) } else { Err(Damaged) };
        }
        out.resize(BLOCK, 0);
        let (mut left, mut taken) = (input.len(), 0);
        let (mut room, mut written, mut total) = (BLOCK, 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            input,
            &mut room,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        out.truncate(written);
        match result {
            BrotliResult::ResultFailure => Err(Damaged),
            BrotliResult::ResultSuccess => {
                self.is_complete = true;
                Ok(taken)
            }
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(taken),
        }
    }

    fn is_complete(&mut self) -> bool {
        self.is_complete
    }
}
