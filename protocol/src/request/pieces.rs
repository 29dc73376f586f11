//! An edited body in pieces that have not been joined.

use std::mem::take;

use bytes::{Bytes, BytesMut};

use super::Splice;

/// The pieces of a body, in order: slices of the original and their replacements. The original is not copied.
#[derive(Clone, Debug)]
pub struct Pieces(Vec<Bytes>);

impl Pieces {
    /// Returns the body with these spans replaced. The spans must not overlap.
    pub(super) fn new(body: &Bytes, edits: &mut [Splice]) -> Self {
        edits.sort_by_key(|edit| edit.span.start);
        let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
        let mut from = 0;
        for Splice { span, text } in edits {
            pieces.extend([body.slice(from..span.start), Bytes::from(take(text))]);
            from = span.end;
        }
        pieces.push(body.slice(from..));
        Self(pieces)
    }

    /// The body of these pieces.
    pub(crate) fn of(pieces: Vec<Bytes>) -> Self {
        Self(pieces)
    }

    /// Returns the length of the body in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Joins the pieces. A single piece is not copied.
    #[must_use]
    pub fn joined(self) -> Bytes {
        if let [only] = &self.0[..] {
            return only.clone();
        }
        let mut joined = BytesMut::with_capacity(self.length());
        self.0.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    }
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        Self(vec![whole])
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
