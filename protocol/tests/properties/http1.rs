//! What holds of every HTTP/1.1 reply: its slicing changes nothing, and the reader never reads past its end.

use bytes::BytesMut;
use vandamme_protocol::http1::{ReplyError, ReplyReader};

/// What a connection carried, as the HTTP client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) reusable: bool,
    pub(crate) excess: bool,
}

/// Reads a reply that comes in these pieces; then, if `closes`, the connection closes.
pub(crate) fn read(pieces: &[&[u8]], closes: bool) -> Result<Read, ReplyError> {
    let mut reader = ReplyReader::default();
    let (mut input, mut head, mut body) = (BytesMut::new(), BytesMut::new(), vec![]);
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let mut bytes = BytesMut::from(*piece);
        if reader.in_head() {
            input.extend_from_slice(piece);
            if !reader.head(&mut input, &mut head)? || input.is_empty() {
                continue;
            }
            bytes = input.split();
        }
        let length = reader.body(&mut bytes)?;
        body.extend_from_slice(&bytes[..length]);
    }
    if closes {
        reader.closed()?;
    }
    let (head, ended) = (head.to_vec(), reader.ended());
    Ok(Read { head, body, ended, reusable: reader.reusable(), excess: reader.has_excess() })
}

/// Checks that these bytes read the same in one piece, in pieces of `size`, and byte by byte.
pub(crate) fn check(bytes: &[u8], size: usize) {
    for closes in [false, true] {
        let whole = read(&[bytes], closes);
        for size in [1, size.max(1)] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let sliced = read(&pieces, closes);
            match (&whole, &sliced) {
                // Which of two faults comes first may depend on the pieces.
                (Err(_), Err(_)) => {}
                _ => assert_eq!(whole, sliced, "in pieces of {size}"),
            }
        }
        let Ok(whole) = whole else { continue };
        assert!(!(whole.reusable && closes), "a closed connection is reused");
        assert!(!(whole.reusable && !whole.ended), "an unfinished reply leaves its connection to others");
        assert!(!(whole.reusable && whole.excess), "a connection with excess bytes is reused");
        assert!(whole.body.len() <= bytes.len());
        if whole.reusable {
            // Whatever follows belongs to nobody.
            let longer = [bytes, b"x"].concat();
            let read = read(&[&longer], false).expect("the reply itself is as it was");
            assert!(read.excess && !read.reusable && read.body == whole.body);
        }
    }
}
