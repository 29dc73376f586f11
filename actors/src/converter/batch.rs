//! Bytes that belong together: the pieces of an upstream that are converted at once, and the client bytes that go out at once.

use bytes::{Bytes, BytesMut};

/// One block is handed on as it is; several are joined.
#[derive(Debug, Default)]
pub struct Batch {
    single: Option<Bytes>,
    joined: BytesMut,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn take(&mut self) -> Bytes {
        match self.single.take() {
            Some(single) => single,
            None => self.joined.split().freeze(),
        }
    }

    /// Forgets all but the first bytes.
    pub fn truncate(&mut self, length: usize) {
        match &mut self.single {
            // A slice would keep the whole of what was read in memory.
            Some(_) if length == 0 => self.single = None,
            Some(single) => single.truncate(length),
            None => self.joined.truncate(length),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.single.as_ref().map_or(&self.joined, Bytes::as_ref)
    }

    pub(super) fn add(&mut self, block: Bytes) {
        if block.is_empty() {
            return;
        }
        if self.is_empty() {
            self.single = Some(block);
        } else {
            self.buffer().extend_from_slice(&block);
        }
    }

    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        if let Some(single) = self.single.take() {
            self.joined.extend_from_slice(&single);
        }
        &mut self.joined
    }
}

/// Pieces of an upstream's body, on their way into one block.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn add(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push(piece);
    }

    /// The pieces as one block of exactly their size; the only piece itself.
    pub(super) fn take(&mut self) -> Bytes {
        let length = std::mem::take(&mut self.length);
        if let [_] = self.pieces[..] {
            return self.pieces.pop().unwrap_or_default();
        }
        let mut block = BytesMut::with_capacity(length);
        for piece in self.pieces.drain(..) {
            block.extend_from_slice(&piece);
        }
        block.freeze()
    }
}
