//! What holds of every body in every content coding, whatever its bytes are.

use bytes::Bytes;
use vandamme_protocol::content_coding::{BLOCK, ContentCoding, Damaged, Decoder};

pub(crate) const CODINGS: [ContentCoding; 4] =
    [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::Brotli, ContentCoding::Zstd];
/// Bytes of a few kilobytes can stand for gigabytes.
const ENOUGH: usize = 1 << 20;

/// What comes out of a body in these pieces, and whether it is complete and intact.
pub(crate) fn decoded<'p>(
    coding: ContentCoding,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<u8>, Result<(), Damaged>) {
    let (mut decoder, mut content) = (Decoder::new(coding), Vec::new());
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.decode() {
                Ok(Some(block)) => {
                    assert!(!block.is_empty() && block.len() <= 3 * BLOCK, "{} bytes", block.len());
                    content.extend_from_slice(&block);
                }
                Ok(None) => break,
                Err(damaged) => return (content, Err(damaged)),
            }
            if content.len() > ENOUGH {
                return (content, Err(Damaged));
            }
        }
    }
    let end = decoder.finish();
    (content, end)
}

/// Any bytes are the same content, complete or not, in whatever pieces they come.
pub(crate) fn check(bytes: &[u8], cut: usize) {
    for coding in CODINGS {
        let (whole, end) = decoded(coding, [bytes]);
        let (front, back) = bytes.split_at(cut.min(bytes.len()));
        for (content, sliced_end) in [decoded(coding, [front, back]), decoded(coding, bytes.chunks(1))] {
            assert_eq!(sliced_end, end, "{coding:?}");
            if end.is_ok() {
                assert_eq!(content, whole, "{coding:?}");
            }
        }
    }
}
