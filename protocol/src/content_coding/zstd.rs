//! Zstandard (RFC 8878): concatenated frames with windows of at most 8 MiB (RFC 9659).
//!
//! The library releases content when it leaves the window, and the rest at the end of the frame. Events of a stream in
//! this coding therefore arrive later than necessary, but complete.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{BLOCK, Damaged, Decode};

const WINDOW: u64 = 8 << 20;
const MAGIC: u32 = 0xFD2F_B528;
/// The size of the magic number and the length of a skippable frame, in bytes.
const SKIPPED_HEAD: usize = 8;
const BLOCK_HEAD: usize = 3;
const CHECKSUM: usize = 4;
/// The largest block, compressed or not, in bytes.
const LARGEST_BLOCK: usize = 128 << 10;

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// An incomplete header or block.
    part: Vec<u8>,
    state: FrameState,
    has_checksum: bool,
}

/// What the decoder expects next.
#[derive(Clone, Copy)]
enum FrameState {
    Frame,
    Skipped {
        left: usize,
    },
    Block,
    /// The last block of a frame is decoded; part of its content has not been returned.
    Draining,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { decoder, part: Vec::new(), state: FrameState::Frame, has_checksum: false }
    }

    /// Fills `part` from `input` up to `wanted` bytes. Returns how many bytes were consumed.
    fn fill(&mut self, input: &[u8], wanted: usize) -> usize {
        let taken = wanted.saturating_sub(self.part.len()).min(input.len());
        self.part.extend_from_slice(&input[..taken]);
        taken
    }

    fn frame(&mut self, input: &[u8]) -> Result<usize, Damaged> {
        let taken = self.fill(input, frame_head(&self.part)?);
        // A longer part of the header can show that the header is longer.
        if self.part.len() < frame_head(&self.part)? {
            return Ok(taken);
        }
        if let Some(left) = skipped(&self.part) {
            self.state = if left == 0 { FrameState::Frame } else { FrameState::Skipped { left } };
        } else {
            self.has_checksum = self.part[4] & 0b100 != 0;
            self.decoder.reset(&self.part[..]).map_err(|_| Damaged)?;
            self.state = FrameState::Block;
        }
        self.part.clear();
        Ok(taken)
    }

    fn block(&mut self, input: &[u8]) -> Result<usize, Damaged> {
        let mut taken = self.fill(input, BLOCK_HEAD);
        let &[low, middle, high, ..] = &self.part[..] else { return Ok(taken) };
        let head = u32::from_le_bytes([low, middle, high, 0]);
        let is_last = head & 1 == 1;
        let is_repeated_byte = head >> 1 & 0b11 == 1;
        let size = usize::try_from(head >> 3).map_err(|_| Damaged)?;
        if size > LARGEST_BLOCK {
            return Err(Damaged);
        }
        let content = if is_repeated_byte { 1 } else { size };
        let behind = if is_last && self.has_checksum { CHECKSUM } else { 0 };
        let wanted = BLOCK_HEAD + content + behind;
        taken += self.fill(&input[taken..], wanted);
        if self.part.len() < wanted {
            return Ok(taken);
        }
        let one = BlockDecodingStrategy::UptoBlocks(1);
        self.decoder.decode_blocks(&self.part[..], one).map_err(|_| Damaged)?;
        self.part.clear();
        if is_last {
            self.state = FrameState::Draining;
        }
        Ok(taken)
    }

    /// Whether the frame's checksum matches, once all of its content has been returned.
    fn checksum_matches(&self) -> bool {
        let declared = self.decoder.get_checksum_from_data();
        declared.is_none() || declared == self.decoder.get_calculated_checksum()
    }
}

impl Decode for Zstd {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged> {
        if self.decoder.can_collect() > 0 {
            out.resize(BLOCK, 0);
            let written = self.decoder.read(out).map_err(|_| Damaged)?;
            out.truncate(written);
            return Ok(0);
        }
        match self.state {
            FrameState::Draining => {
                if !self.checksum_matches() {
                    return Err(Damaged);
                }
                self.state = FrameState::Frame;
                self.frame(input)
            }
            FrameState::Frame if input.is_empty() => Ok(0),
            FrameState::Frame => self.frame(input),
            FrameState::Skipped { left } => {
                let taken = left.min(input.len());
                self.state = if taken == left {
                    FrameState::Frame
                } else {
                    FrameState::Skipped { left: left - taken }
                };
                Ok(taken)
            }
            FrameState::Block => self.block(input),
        }
    }

    fn is_complete(&mut self) -> bool {
        let between = match self.state {
            FrameState::Frame => true,
            FrameState::Draining => self.decoder.can_collect() == 0 && self.checksum_matches(),
            FrameState::Skipped { .. } | FrameState::Block => false,
        };
        between && self.part.is_empty()
    }
}

/// Returns the minimum length of the frame header with this beginning.
fn frame_head(part: &[u8]) -> Result<usize, Damaged> {
    let Some(magic) = magic(part) else { return Ok(4) };
    if is_skipped(magic) {
        return Ok(SKIPPED_HEAD);
    }
    if magic != MAGIC {
        return Err(Damaged);
    }
    let Some(&descriptor) = part.get(4) else { return Ok(5) };
    let is_single_segment = descriptor & 0b10_0000 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0b11)];
    let size = match (descriptor >> 6, is_single_segment) {
        (0, false) => 0,
        (0, true) => 1,
        (power, _) => 1 << power,
    };
    Ok(5 + usize::from(!is_single_segment) + dictionary + size)
}

fn magic(part: &[u8]) -> Option<u32> {
    let &[a, b, c, d, ..] = part else { return None };
    Some(u32::from_le_bytes([a, b, c, d]))
}

fn is_skipped(magic: u32) -> bool {
    magic & 0xFFFF_FFF0 == 0x184D_2A50
}

/// Returns the size of the skippable frame.
fn skipped(head: &[u8]) -> Option<usize> {
    let size = magic(head).filter(|&magic| is_skipped(magic)).and_then(|_| magic(&head[4..]))?;
    usize::try_from(size).ok()
}
