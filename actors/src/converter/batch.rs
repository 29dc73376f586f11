//! Client bytes that go out together.

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
