//! The body of the response that opens a WebSocket: it runs the connection, and hands the HTTP server what the client gets.
//! When the client disconnects, the server drops it, and with it the response that is in progress.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::FutureExt as _;

use super::outbox::Outbox;
use super::session::Session;

pub(super) struct SocketBody {
    outbox: Outbox,
    /// `None` once the connection has ended.
    running: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl SocketBody {
    pub(super) fn new(session: Session) -> Self {
        let outbox = session.outbox();
        let running = AssertUnwindSafe(session.run()).catch_unwind();
        let last = outbox.clone();
        let running = running.map(move |ended| {
            if ended.is_err() {
                log::error!("a WebSocket connection panicked; the line before says where");
                last.panicked();
            }
        });
        Self { outbox, running: Some(Box::pin(running)) }
    }
}

impl MessageBody for SocketBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        if let Some(running) = &mut this.running
            && running.as_mut().poll(task).is_ready()
        {
            this.running = None;
        }
        // A part of the connection that waits for room in the outbox runs again when the server asks for more, as it does after
        // each piece.
        match this.outbox.take() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None if this.running.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
