//! The body of an upstream request, as the HTTP client reads it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use vandamme_protocol::request::Pieces;

/// The largest slice of a body. awc copies each slice into its write buffer and writes it with one system call. Most
/// requests of agents fit into one slice; glibc maps and unmaps a buffer from 128 KiB on.
const SLICE: usize = 120 << 10;

/// A body that is sent in slices.
pub(super) struct Slices {
    length: usize,
    pieces: std::vec::IntoIter<Bytes>,
    /// The rest of the current piece.
    rest: Bytes,
}

impl Slices {
    pub(super) fn new(body: Pieces) -> Self {
        Self { length: body.length(), pieces: body.into_iter(), rest: Bytes::new() }
    }
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        if self.length == 0 { BodySize::None } else { BodySize::Sized(self.length as u64) }
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            let Some(piece) = this.pieces.next() else { return Poll::Ready(None) };
            this.rest = piece;
        }
        let slice = this.rest.split_to(this.rest.len().min(SLICE));
        Poll::Ready(Some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use vandamme_protocol::request;

    use super::*;

    #[test]
    fn a_body_is_sent_whole_in_slices() {
        let body = Bytes::from(format!("{{\"model\":\"m\",\"a\":\"{}\"}}", "a".repeat(SLICE)));
        let edited = request::head(&body).unwrap().with_model(&body, "other");
        let expected = edited.clone().joined();
        let mut slices = Slices::new(edited);
        assert_eq!(slices.size(), BodySize::Sized(expected.len() as u64));
        let mut sent = vec![];
        let waker = futures_util::task::noop_waker();

        while let Poll::Ready(Some(Ok(slice))) =
            Pin::new(&mut slices).poll_next(&mut Context::from_waker(&waker))
        {
            assert!(!slice.is_empty() && slice.len() <= SLICE);
            sent.extend_from_slice(&slice);
        }

        assert_eq!(sent, expected);
    }
}
