//! A compressed body, decoded.

use std::pin::Pin;
use std::task::{Context as Task, Poll};

use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use vandamme_protocol::content_coding::{ContentCoding, Decoder};

use super::UpstreamBody;

/// After so many bytes of content the thread is given to other tasks: a few bytes can stand for gigabytes, and a
/// decoder that has them never has to wait for a socket.
const BURST: usize = 256 << 10;

struct DecodedBody {
    encoded: UpstreamBody,
    decoder: Decoder,
    /// Bytes of content since this was last pending.
    burst: usize,
    is_over: bool,
}

/// The content of `body`, which is the body itself where there is no coding. A body that ends before its coding does, or
/// goes on behind it, ends with an error.
pub fn content(body: UpstreamBody, coding: Option<ContentCoding>) -> UpstreamBody {
    match coding {
        None => body,
        Some(coding) => {
            let decoder = Decoder::new(coding);
            Box::pin(DecodedBody { encoded: body, decoder, burst: 0, is_over: false })
        }
    }
}

impl DecodedBody {
    fn poll_content(&mut self, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        loop {
            match self.decoder.decode() {
                Ok(Some(block)) => {
                    self.burst += block.len();
                    return Poll::Ready(Some(Ok(block)));
                }
                Ok(None) => {}
                Err(_damaged) => return Poll::Ready(Some(Err(PayloadError::EncodingCorrupted))),
            }
            match self.encoded.as_mut().poll_next(task) {
                Poll::Ready(Some(Ok(piece))) => self.decoder.push(piece),
                Poll::Ready(None) => {
                    let end = self.decoder.finish();
                    return Poll::Ready(end.err().map(|_| Err(PayloadError::EncodingCorrupted)));
                }
                still @ (Poll::Pending | Poll::Ready(Some(Err(_)))) => return still,
            }
        }
    }
}

impl Stream for DecodedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if this.burst > BURST {
            this.burst = 0;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let content = this.poll_content(task);
        match &content {
            Poll::Pending => this.burst = 0,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_)) | None) => this.is_over = true,
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::StreamExt as _;
    use futures_util::stream;
    use futures_util::task::noop_waker;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn body(pieces: Vec<Result<Bytes, PayloadError>>) -> UpstreamBody {
        content(Box::pin(stream::iter(pieces)), Some(ContentCoding::Gzip))
    }

    #[actix_rt::test]
    async fn content_comes_out_and_an_end_that_is_missing_is_an_error() {
        let encoded = gzip(b"hello");
        let (front, back) = encoded.split_at(12);
        let pieces = [front, back].map(|piece| Ok(Bytes::copy_from_slice(piece)));

        let whole: Vec<_> = body(pieces.into()).collect().await;
        assert!(whole.iter().all(Result::is_ok), "{whole:?}");
        let whole: Vec<u8> = whole.into_iter().flat_map(|block| block.unwrap()).collect();
        assert_eq!(whole, b"hello");

        let cut: Vec<_> = body(vec![Ok(Bytes::copy_from_slice(front))]).collect().await;
        assert!(matches!(cut.last(), Some(Err(PayloadError::EncodingCorrupted))), "{cut:?}");
        let broken: Vec<_> = body(vec![Err(PayloadError::Overflow)]).collect().await;
        assert!(matches!(broken[..], [Err(PayloadError::Overflow)]), "{broken:?}");
    }

    #[test]
    fn a_body_that_never_waits_gives_way_to_other_tasks() {
        let mut body = body(vec![Ok(gzip(&vec![0; 4 << 20]).into())]);
        let waker = noop_waker();
        let mut task = Task::from_waker(&waker);
        let (mut pauses, mut length) = (0, 0);
        loop {
            match body.as_mut().poll_next(&mut task) {
                Poll::Pending => pauses += 1,
                Poll::Ready(Some(block)) => length += block.unwrap().len(),
                Poll::Ready(None) => break,
            }
        }
        assert_eq!(length, 4 << 20);
        assert!((8..=16).contains(&pauses), "{pauses}");
    }
}
