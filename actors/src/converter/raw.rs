//! A reply that is no stream of events, such as audio: its bytes go to the client as they come.
//!
//! It needs no converter: nothing is converted, and nothing can be put between its bytes. The HTTP server polls the body when the
//! client can take more, and only then is the upstream read.

use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_rt::time::{Instant, Sleep, sleep_until};
use bytes::Bytes;
use thiserror::Error;
use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::vocabulary::{ErrorKind, Usage};

use super::UpstreamBody;
use super::guards::ReplyGuards;
use crate::ledger::CANCELLED_MESSAGE;
use crate::outcome::Outcome;
use crate::provider::Lease;
use crate::recorder::RequestRecorder;
use crate::settings::Limits;

/// A reply whose first bytes are there.
pub struct RawReply {
    pub first: Bytes,
    pub rest: UpstreamBody,
}

/// Resolves when all replies must end because the gateway shuts down.
pub type MustEnd = Pin<Box<dyn Future<Output = ()>>>;

/// The body has no end: the connection to the client is closed, so that it cannot take the reply for complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the reply broke off")]
pub struct BrokenOff;

/// The client's body.
pub struct RawBody {
    first: Bytes,
    rest: UpstreamBody,
    must_end: MustEnd,
    state: RawState,
    guards: ReplyGuards,
    deadlines: Deadlines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RawState {
    Running,
    /// The reply has failed, and the client has not been told.
    Failed,
    Over,
}

/// The bounds on the upstream's silence and on the whole reply.
struct Deadlines {
    timer: Pin<Box<Sleep>>,
    idle: Option<Duration>,
    end: Option<Instant>,
    /// Since when the upstream is waited for. A client that does not read is not the upstream's silence.
    waiting_since: Option<Instant>,
}

impl RawBody {
    /// Starts the reply. It is recorded when it ends or is dropped.
    pub fn start(
        reply: RawReply,
        limits: &Limits,
        entry: RequestRecorder,
        lease: Lease,
        must_end: MustEnd,
    ) -> Self {
        entry.first_event();
        let RawReply { first, rest } = reply;
        Self {
            first,
            rest,
            must_end,
            state: RawState::Running,
            guards: ReplyGuards::new(entry, lease),
            deadlines: Deadlines::new(limits),
        }
    }

    fn pass(&mut self, chunk: Bytes) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        self.deadlines.waiting_since = None;
        self.guards.sent(chunk.len(), (Usage::default(), 0));
        Poll::Ready(Some(Ok(chunk)))
    }

    fn complete(&mut self) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        self.state = RawState::Over;
        self.guards.ended(ReplySummary::default(), Outcome::Answered, 0);
        Poll::Ready(None)
    }

    /// Ends the reply. The HTTP server drops what it has not written when a body fails, so it gets one more turn.
    fn fail(
        &mut self,
        fault: Fault,
        outcome: Outcome,
        task: &Task<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        self.state = RawState::Failed;
        self.guards.ended(ReplySummary { fault: Some(fault), ..ReplySummary::default() }, outcome, 0);
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the reply if an operator or the end of the gateway requires it.
    fn poll_ended(&mut self, task: &mut Task<'_>) -> Option<Fault> {
        let fault =
            |status, message: &str| Fault { kind: ErrorKind::Api, status, message: message.to_owned() };
        if self.guards.poll_cancelled(task) {
            return Some(fault(499, CANCELLED_MESSAGE));
        }
        let must_end = self.must_end.as_mut().poll(task).is_ready();
        must_end.then(|| fault(503, "the gateway is shutting down"))
    }

    fn poll_upstream(&mut self, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            match self.rest.as_mut().poll_next(task) {
                Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => {}
                Poll::Ready(Some(Ok(chunk))) => return self.pass(chunk),
                Poll::Ready(Some(Err(_broken))) => {
                    return self.fail(Fault::cut(), Outcome::BrokenReply, task);
                }
                Poll::Ready(None) => return self.complete(),
                Poll::Pending => break,
            }
        }
        match self.deadlines.poll(task) {
            None => Poll::Pending,
            Some((fault, outcome)) => self.fail(fault, outcome, task),
        }
    }
}

impl Deadlines {
    fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(sleep_until(now)),
            idle: limits.idle_timeout,
            end: limits.total_timeout.map(|total| now + total),
            waiting_since: None,
        }
    }

    /// The bound that is reached. Otherwise the task is woken when the next one is.
    fn poll(&mut self, task: &mut Task<'_>) -> Option<(Fault, Outcome)> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        let idle = self.idle.map(|idle| since + idle);
        if self.end.is_some_and(|end| end <= now) {
            return Some((Fault::timeout("the reply has taken too long"), Outcome::Answered));
        }
        if idle.is_some_and(|idle| idle <= now) {
            let fault = Fault::timeout("the upstream has been silent for too long");
            return Some((fault, Outcome::BrokenReply));
        }
        if let Some(next) = idle.into_iter().chain(self.end).min() {
            self.timer.as_mut().reset(next);
            // It is due later, so this only registers the task.
            let _ = self.timer.as_mut().poll(task);
        }
        None
    }
}

impl MessageBody for RawBody {
    type Error = BrokenOff;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let this = self.get_mut();
        match this.state {
            RawState::Running => {}
            RawState::Failed => {
                this.state = RawState::Over;
                return Poll::Ready(Some(Err(BrokenOff)));
            }
            RawState::Over => return Poll::Ready(None),
        }
        if let Some(fault) = this.poll_ended(task) {
            return this.fail(fault, Outcome::Cancelled, task);
        }
        if !this.first.is_empty() {
            let first = std::mem::take(&mut this.first);
            return this.pass(first);
        }
        this.poll_upstream(task)
    }
}

impl Drop for RawBody {
    fn drop(&mut self) {
        if self.state == RawState::Running {
            self.guards.cancelled(&ReplySummary::default(), 0);
        }
    }
}
