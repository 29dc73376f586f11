//! The way from a converter to its client: bounded by bytes, on one thread, without a lock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::body::{BodySize, MessageBody};
use bytes::{Bytes, BytesMut};
use vandamme_protocol::vocabulary::ErrorKind;

use crate::settings::Api;

/// What the HTTP server gets at once, bytes. It takes as much beyond what it holds of a reply.
const PIECE: usize = 16 << 10;

/// A channel in which at most `bound` bytes wait, except that one buffer always fits.
/// `api` is the client's, for the last word of a converter that dies.
pub(super) fn channel(bound: usize, api: Api) -> (ReplySender, ReplyBody) {
    let shared = Rc::new(RefCell::new(Shared { bound, open: true, ..Shared::default() }));
    (ReplySender(shared.clone()), ReplyBody { shared, api, closed: false })
}

#[derive(Default)]
struct Shared {
    queue: VecDeque<Bytes>,
    waiting: usize,
    bound: usize,
    end: Option<ChannelEnd>,
    receiver_gone: bool,
    /// The receiver has asked for more since it was last given something. One whose client does not take what it has does not
    /// ask, so that nothing more is read for it.
    open: bool,
    sender_waits: bool,
    sender_waker: Option<Waker>,
    receiver_waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelEnd {
    /// The reply is complete.
    Complete,
    /// The converter has panicked.
    Panicked,
}

pub(super) struct ReplySender(Rc<RefCell<Shared>>);

/// The reply as the HTTP server sends it. Dropping it stops the converter: the client has disconnected.
pub struct ReplyBody {
    shared: Rc<RefCell<Shared>>,
    api: Api,
    closed: bool,
}

impl ReplySender {
    /// Whether there is room; if not, `task` is woken when there is. It is also woken when the client leaves.
    pub(super) fn poll_room(&self, task: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.0.borrow_mut();
        match &mut shared.sender_waker {
            Some(waker) => waker.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
        shared.sender_waits = shared.waiting >= shared.bound || !shared.open;
        if shared.sender_waits { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Whether the client has been given all that was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().queue.is_empty()
    }

    /// The bytes that the client has not been given.
    pub(super) fn waiting(&self) -> usize {
        self.0.borrow().waiting
    }

    pub(super) fn client_gone(&self) -> bool {
        self.0.borrow().receiver_gone
    }

    pub(super) fn send(&self, bytes: Bytes) {
        let mut shared = self.0.borrow_mut();
        shared.waiting += bytes.len();
        shared.queue.push_back(bytes);
        shared.wake_receiver();
    }

    pub(super) fn end(&self) {
        self.0.borrow_mut().finish(ChannelEnd::Complete);
    }
}

impl Shared {
    /// The next buffer; without one, a request for more. Only a sender that waits for that is woken: another one would find
    /// nothing to do.
    fn take(&mut self) -> Option<Bytes> {
        let Some(first) = self.queue.front_mut() else {
            self.open = true;
            if std::mem::take(&mut self.sender_waits) {
                self.wake_sender();
            }
            return None;
        };
        let bytes = first.split_to(first.len().min(PIECE));
        if first.is_empty() {
            self.queue.pop_front();
        }
        self.open = false;
        self.waiting -= bytes.len();
        Some(bytes)
    }

    fn wake_sender(&mut self) {
        if let Some(waker) = self.sender_waker.take() {
            waker.wake();
        }
    }

    fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver_waker.take() {
            waker.wake();
        }
    }

    fn finish(&mut self, end: ChannelEnd) {
        self.end.get_or_insert(end);
        self.wake_receiver();
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        self.0.borrow_mut().finish(ChannelEnd::Panicked);
    }
}

impl ReplyBody {
    /// The same as [`MessageBody::poll_next`], for a body that contains this one.
    pub fn poll_bytes(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(bytes) = shared.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if self.closed {
            return Poll::Ready(None);
        }
        let Some(end) = shared.end else {
            shared.receiver_waker = Some(task.waker().clone());
            return Poll::Pending;
        };
        self.closed = true;
        Poll::Ready(match end {
            ChannelEnd::Complete => None,
            ChannelEnd::Panicked => {
                let mut event = BytesMut::new();
                self.api.error_event(
                    ErrorKind::Api,
                    "the gateway lost this reply by a fault of its own",
                    &mut event,
                );
                Some(Ok(event.freeze()))
            }
        })
    }
}

impl MessageBody for ReplyBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.get_mut().poll_bytes(task)
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.receiver_gone = true;
        shared.wake_sender();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;

    use super::*;

    fn with_task<T>(run: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let waker = noop_waker();
        run(&mut Context::from_waker(&waker))
    }

    fn next(body: &mut ReplyBody) -> Poll<Option<Result<Bytes, Infallible>>> {
        with_task(|task| body.poll_bytes(task))
    }

    #[test]
    fn a_full_channel_has_room_again_when_the_client_asks_for_more() {
        let (sender, mut body) = channel(4, Api::Messages);

        sender.send(Bytes::from_static(b"12345"));
        assert!(with_task(|task| sender.poll_room(task)).is_pending());
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
        assert!(with_task(|task| sender.poll_room(task)).is_pending(), "nobody has asked for more");
        assert!(next(&mut body).is_pending());

        assert!(with_task(|task| sender.poll_room(task)).is_ready());
    }

    #[test]
    fn a_converter_that_dies_leaves_an_error_event_after_the_bytes_it_sent() {
        let (sender, mut body) = channel(4, Api::Messages);
        sender.send(Bytes::from_static(b"x"));

        drop(sender);

        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(bytes))) if bytes == "x"));
        let Poll::Ready(Some(Ok(event))) = next(&mut body) else { panic!("no event") };
        assert!(event.starts_with(b"event: error\n"), "{event:?}");
        assert!(matches!(next(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn a_reply_that_was_sent_ends() {
        let (sender, mut said) = channel(4, Api::Messages);
        sender.end();
        assert!(matches!(next(&mut said), Poll::Ready(None)));
    }

    #[test]
    fn a_disconnect_of_the_client_is_noticed() {
        let (sender, body) = channel(4, Api::Messages);

        drop(body);

        assert!(sender.client_gone());
    }
}
