//! The body of a streamed reply as frames of Bedrock. It holds nothing back and reads nothing ahead.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::{Bytes, BytesMut};
use vandamme_protocol::cloud::eventstream::EventStreamEncoder;

pub(super) struct FramedBody {
    events: BoxBody,
    encoder: EventStreamEncoder,
}

impl FramedBody {
    pub(super) fn new(events: BoxBody) -> Self {
        Self { events, encoder: EventStreamEncoder::default() }
    }
}

impl MessageBody for FramedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        loop {
            let events = match Pin::new(&mut this.events).poll_next(task) {
                Poll::Ready(Some(Ok(events))) => events,
                ended @ (Poll::Ready(Some(Err(_)) | None) | Poll::Pending) => return ended,
            };
            let mut frames = BytesMut::new();
            this.encoder.push(&events, &mut frames);
            if !frames.is_empty() {
                return Poll::Ready(Some(Ok(frames.freeze())));
            }
        }
    }
}
