//! Properties of every HTTP/1.1 reply: splitting changes nothing, and the reader never reads past its end.

use bytes::BytesMut;
use vandamme_protocol::http1::{ReplyError, ReplyReader};

/// The data of a connection, as the HTTP client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) reusable: bool,
    pub(crate) excess: bool,
}

/// The state of the connection after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Open,
    Closed,
}

/// Reads a reply in these pieces.
pub(crate) fn read(pieces: &[&[u8]], then: Then) -> Result<Read, ReplyError> {
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
    if then == Then::Closed {
        reader.closed()?;
    }
    let (head, ended) = (head.to_vec(), reader.ended());
    Ok(Read { head, body, ended, reusable: reader.reusable(), excess: reader.has_excess() })
}

/// Checks that the result is the same in one piece, in pieces of `size`, and byte by byte.
pub(crate) fn check(bytes: &[u8], size: usize) {
    for then in [Then::Open, Then::Closed] {
        let whole = read(&[bytes], then);
        for size in [1, size.max(1)] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let sliced = read(&pieces, then);
            match (&whole, &sliced) {
                // The order of two faults may depend on the pieces.
                (Err(_), Err(_)) => {}
                _ => assert_eq!(whole, sliced, "in pieces of {size}"),
            }
        }
        let Ok(whole) = whole else { continue };
        assert!(!(whole.reusable && then == Then::Closed), "a closed connection is reused");
        assert!(whole.ended || !whole.reusable, "an unfinished reply leaves its connection to others");
        assert!(!(whole.reusable && whole.excess), "a connection with excess bytes is reused");
        assert!(whole.body.len() <= bytes.len());
        if whole.reusable {
            // Later bytes belong to no reply.
            let longer = [bytes, b"x"].concat();
            let read = read(&[&longer], Then::Open).expect("the reply itself is as it was");
            assert!(read.excess && !read.reusable && read.body == whole.body);
        }
    }
}
