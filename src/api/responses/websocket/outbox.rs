//! The frames that wait to be sent.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_http::ws::{CloseCode, CloseReason, OpCode, Parser};
use actix_web::rt::time::sleep;
use bytes::{Bytes, BytesMut};

/// Shared by the parts of a connection that send.
#[derive(Clone, Default)]
pub(super) struct Outbox(Rc<RefCell<Unsent>>);

#[derive(Default)]
struct Unsent {
    bytes: BytesMut,
    /// A frame has been written since the last heartbeat.
    wrote: bool,
}

impl Outbox {
    /// A frame of text.
    pub(super) fn text(&self, text: &[u8]) {
        self.frame(text, OpCode::Text);
    }

    pub(super) fn ping(&self) {
        self.frame(b"", OpCode::Ping);
    }

    /// The answer to a ping. A client that does not read the earlier ones gets none (RFC 6455, section 5.5.3).
    pub(super) fn pong(&self, data: &[u8], most: usize) {
        if !self.is_full(most) {
            self.frame(data, OpCode::Pong);
        }
    }

    /// The last frame.
    pub(super) fn close(&self, reason: Option<CloseReason>) {
        Parser::write_close(&mut self.0.borrow_mut().bytes, reason, false);
    }

    /// The connection ends by a fault of the gateway.
    pub(super) fn panicked(&self) {
        self.close(Some(CloseReason::from((CloseCode::Error, "internal gateway error"))));
    }

    /// Whether so many bytes wait.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.0.borrow().bytes.len() >= most
    }

    /// Resolves when fewer bytes wait. Nothing wakes its task: [`SocketBody`](super::socket_body::SocketBody) polls it again.
    pub(super) async fn room(&self, most: usize) {
        poll_fn(|_| if self.is_full(most) { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// All frames that wait.
    pub(super) fn take(&self) -> Option<Bytes> {
        let mut unsent = self.0.borrow_mut();
        (!unsent.bytes.is_empty()).then(|| unsent.bytes.split().freeze())
    }

    /// Sends a ping after each interval without a frame, so that no proxy takes the connection for dead. Does not return.
    pub(super) async fn heartbeat(&self, interval: Duration) {
        loop {
            sleep(interval).await;
            if !std::mem::take(&mut self.0.borrow_mut().wrote) {
                self.ping();
                self.0.borrow_mut().wrote = false;
            }
        }
    }

    fn frame(&self, payload: &[u8], code: OpCode) {
        let mut unsent = self.0.borrow_mut();
        unsent.wrote = true;
        Parser::write_message(&mut unsent.bytes, payload, code, true, false);
    }
}
