//! The body of a streamed reply: as it comes from the converter, or with an end that the gateway completes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use vandamme_actors::converter::ReplyBody;

/// The body of a streamed reply.
pub(crate) enum ReplyStream {
    Plain(ReplyBody),
    /// The gateway adds something to its end.
    Completed(Box<dyn CompletedBody>),
}

/// A body around that of a converter.
pub(crate) trait CompletedBody {
    /// The next bytes; `None` at the end.
    fn poll_bytes(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

impl ReplyStream {
    /// The same as [`MessageBody::poll_next`], for a body that contains this one.
    pub(crate) fn poll_bytes(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        match self {
            Self::Plain(body) => body.poll_bytes(task),
            Self::Completed(body) => body.poll_bytes(task).map(|bytes| bytes.map(Ok)),
        }
    }
}

impl MessageBody for ReplyStream {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.get_mut().poll_bytes(task)
    }
}
