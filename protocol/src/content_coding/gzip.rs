//! gzip, including several concatenated members (RFC 1952, 2.2).

use std::io::Write as _;

use flate2::write::MultiGzDecoder;

use super::{Damaged, Decode};

/// How many bytes each step consumes. The library writes all decoded bytes, up to a thousand times as many, before it
/// returns.
const SLICE: usize = 32;

pub(super) struct Gzip {
    decoder: MultiGzDecoder<Vec<u8>>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()) }
    }
}

impl Decode for Gzip {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged> {
        let mut taken = 0;
        while self.decoder.get_ref().len() < super::BLOCK && taken < input.len() {
            let slice = &input[taken..input.len().min(taken + SLICE)];
            taken += self.decoder.write(slice).map_err(|_| Damaged)?;
        }
        if taken == input.len() {
            // Flush, so that content which can be decoded now is not delayed.
            self.decoder.flush().map_err(|_| Damaged)?;
        }
        std::mem::swap(self.decoder.get_mut(), out);
        Ok(taken)
    }

    fn is_complete(&mut self) -> bool {
        self.decoder.try_finish().is_ok()
    }
}
