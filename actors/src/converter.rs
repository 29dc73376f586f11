//! Converter: one streamed reply. It owns the upstream's body and one codec, and ends when the reply does.
//!
//! | message | from | answer |
//! |---|---|---|
//! | `EndReply` | shutdown, through [`end_replies_here`] | – |
//!
//! Its pump reads all that the upstream has ready, converts it and hands it on as one buffer, and only while the
//! client's channel has room: that is the backpressure. When a client disconnects, the channel's other end is dropped,
//! which stops the actor and closes the upstream connection. An operator's cancellation does the same, after
//! `event: error`. If the actor panics, the body sees the missing end and sends
//! `event: error`.

mod batch;
mod channel;
mod clock;
mod decoded;
mod early_end;
mod flow;
mod guards;
mod held_record;
mod hooks;
mod left_out;
mod outcome;
mod raw;
mod reading;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context};
use actix_http::error::PayloadError;
use actix_rt::time::Instant;
use bytes::Bytes;
use futures_util::Stream;
use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::fault::Fault;

pub use self::batch::Batch;
use self::batch::Pieces;
pub use self::channel::ReplyBody;
use self::channel::{ReplySender, channel};
use self::clock::{Clock, Due};
pub use self::decoded::content;
pub use self::early_end::end_replies_here;
pub use self::flow::{Flow, FlowProgress, Integrity};
use self::guards::ReplyGuards;
pub use self::held_record::HeldRecord;
pub use self::hooks::ReplyHooks;
pub use self::raw::{BrokenOff, MustEnd, RawBody, RawReply};
use crate::outcome::Outcome;
use crate::provider::Lease;
use crate::recorder::RequestRecorder;
use crate::settings::Limits;

/// The bytes sent in one piece before the channel's room is checked again.
const BATCH: usize = 16 << 10;
/// What the HTTP server holds of a reply beside the channel. It counts as a part of `client-channel`.
const WRITE_BUFFER: usize = 32 << 10;
/// An upstream's body.
pub type UpstreamBody = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// A reply whose first event is there.
pub struct Opened {
    pub upstream: UpstreamBody,
    pub flow: Flow,
    /// The first bytes for the client.
    pub first: Batch,
    /// They include the upstream's terminator.
    pub ended: bool,
    /// The reply has failed, and they include the error.
    pub failed: Option<ReplySummary>,
}

pub struct Converter {
    upstream: UpstreamBody,
    flow: Flow,
    pieces: Pieces,
    batch: Batch,
    client: ReplySender,
    clock: Clock,
    phase: ConverterPhase,
    guards: ReplyGuards,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConverterPhase {
    Streaming,
    /// The client has everything; what the upstream still sends is read so that its connection can be used again.
    Lingering,
    Over,
}

thread_local! {
    static HERE: RefCell<(u64, HashMap<u64, Addr<Converter>>)> = RefCell::default();
}

/// Starts a converter on this thread; the answer is the client's body.
pub fn start(opened: Opened, limits: &Limits, entry: RequestRecorder, lease: Lease) -> ReplyBody {
    if opened.flow.started() {
        entry.first_event();
    }
    start_with(opened, limits, ReplyGuards::new(entry, lease))
}

/// As [`start`], but the record of the ended reply is put into the returned [`HeldRecord`] instead of being written.
pub fn start_held(
    opened: Opened,
    limits: &Limits,
    entry: RequestRecorder,
    lease: Lease,
) -> (ReplyBody, HeldRecord) {
    if opened.flow.started() {
        entry.first_event();
    }
    let held = HeldRecord::default();
    (start_with(opened, limits, ReplyGuards::new(entry, lease).held_in(held.clone())), held)
}

fn start_with(opened: Opened, limits: &Limits, guards: ReplyGuards) -> ReplyBody {
    let bound = limits.client_channel.saturating_sub(WRITE_BUFFER).max(1);
    let (client, body) = channel(bound, opened.flow.api());
    let number = HERE.with_borrow_mut(|(next, _)| {
        *next += 1;
        *next
    });
    let mut converter = Converter {
        upstream: opened.upstream,
        flow: opened.flow,
        pieces: Pieces::default(),
        batch: opened.first,
        client,
        clock: Clock::new(limits),
        phase: ConverterPhase::Streaming,
        guards,
        number,
    };
    if let Some(summary) = opened.failed {
        let outcome = outcome::of_reply(&summary);
        converter.close(summary, outcome);
        converter.phase = ConverterPhase::Over;
    } else if opened.ended {
        converter.ended();
    } else if converter.flow.finishing() {
        converter.clock.linger();
    }
    converter.flush();
    let burst = AssertUnwindSafe(move || {
        converter.send_burst();
        converter
    });
    // After a panic the client still gets the first event, and the error that a lost converter leaves.
    let Ok(converter) = catch_unwind(burst) else { return body };
    let address = converter.start();
    HERE.with_borrow_mut(|(_, here)| here.insert(number, address));
    body
}

impl Converter {
    /// Drives the reply until it is over or has to wait.
    fn pump(&mut self, task: &mut Task<'_>) -> Poll<()> {
        while self.phase == ConverterPhase::Streaming {
            if self.client.client_gone() {
                self.abandon();
                break;
            }
            if self.guards.poll_cancelled(task) {
                self.cancel();
                break;
            }
            if self.client.poll_room(task).is_pending() {
                // Its buffer is as large as a batch, and the client may not read for long.
                self.batch = Batch::default();
                // A client that does not read is not the upstream's silence.
                self.clock.event_received();
                return self.look_at_clock(task);
            }
            let waits = self.fill(task).is_pending();
            self.flush();
            if waits && self.phase == ConverterPhase::Streaming {
                return self.look_at_clock(task);
            }
        }
        self.linger(task)
    }

    fn take(&mut self, chunk: Bytes) {
        #[cfg(any(test, feature = "faults"))]
        crate::faults::converter();
        let was_finishing = self.flow.finishing();
        match self.flow.take(chunk, &mut self.batch) {
            FlowProgress::More => {
                if !was_finishing && self.flow.finishing() {
                    self.clock.linger();
                }
            }
            FlowProgress::Ended => self.ended(),
            FlowProgress::Faulted(fault) => {
                let outcome = outcome::of_error(fault.kind);
                self.fail(fault, outcome);
            }
            FlowProgress::Oversized(fault) => self.fail(fault, Outcome::ReplyTooLarge),
        }
    }

    /// Whether the reply is complete although the upstream has not ended it.
    fn may_end(&self) -> bool {
        self.flow.finishing() && !self.flow.awaits_body()
    }

    /// The protocol's terminator has come: the client's reply is complete.
    fn ended(&mut self) {
        let summary = self.flow.end(&mut self.batch);
        let outcome = outcome::of_reply(&summary);
        self.close(summary, outcome);
    }

    fn upstream_ended(&mut self) {
        let summary = self.flow.end(&mut self.batch);
        let outcome = outcome::of_reply(&summary);
        self.close(summary, outcome);
        self.phase = ConverterPhase::Over;
    }

    fn fail(&mut self, fault: Fault, outcome: Outcome) {
        let summary = self.flow.fail(fault, &mut self.batch);
        // A reply that the gateway has cut at a stop sequence is complete.
        let outcome = if summary.fault.is_some() { outcome } else { outcome::of_reply(&summary) };
        self.close(summary, outcome);
        self.phase = ConverterPhase::Over;
    }

    fn abandon(&mut self) {
        let summary = self.flow.abandon();
        self.guards.cancelled(&summary, self.client.waiting());
        self.phase = ConverterPhase::Over;
    }

    fn close(&mut self, summary: ReplySummary, outcome: Outcome) {
        self.guards.ended(summary, outcome, self.batch.len());
        self.flush();
        self.client.end();
        self.phase = ConverterPhase::Lingering;
        self.clock.linger();
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.guards.sent(self.batch.len(), self.flow.counted());
        }
        while !self.batch.is_empty() {
            self.client.send(self.batch.take());
            self.clock.last_sent = Instant::now();
        }
    }

    fn look_at_clock(&mut self, task: &mut Task<'_>) -> Poll<()> {
        loop {
            match self.clock.poll(task) {
                Due::Nothing => return Poll::Pending,
                Due::Ping => self.ping(),
                // Everything but the formal end is there.
                Due::Idle | Due::Linger if self.may_end() => self.upstream_ended(),
                Due::Idle => self
                    .fail(Fault::timeout("the upstream has been silent for too long"), Outcome::BrokenReply),
                Due::Total => self.fail(Fault::timeout("the reply has taken too long"), Outcome::Answered),
                Due::Linger => self.fail(Fault::cut(), Outcome::BrokenReply),
            }
            if self.phase != ConverterPhase::Streaming {
                self.flush();
                return Poll::Ready(());
            }
        }
    }

    /// Says that we are still here, unless the client has not even read what it has.
    fn ping(&mut self) {
        if self.client.is_empty() {
            let ping = self.flow.api().keep_alive();
            self.guards.pinged(ping.len());
            self.client.send(Bytes::from_static(ping));
        }
    }

    fn linger(&mut self, task: &mut Task<'_>) -> Poll<()> {
        while self.phase == ConverterPhase::Lingering {
            match self.upstream.as_mut().poll_next(task) {
                Poll::Ready(Some(Ok(_))) if !matches!(self.clock.poll(task), Due::Linger) => {}
                Poll::Ready(_) => self.phase = ConverterPhase::Over,
                Poll::Pending => match self.clock.poll(task) {
                    Due::Linger | Due::Total | Due::Idle => self.phase = ConverterPhase::Over,
                    Due::Ping => {}
                    Due::Nothing => return Poll::Pending,
                },
            }
        }
        Poll::Ready(())
    }
}

impl Actor for Converter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.spawn(Pump);
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        let number = self.number;
        // The thread may be on its way down.
        let _ = HERE.try_with(|here| here.try_borrow_mut().map(|mut here| here.1.remove(&number)));
    }
}

/// The pump as an actix future.
struct Pump;

impl ActorFuture<Converter> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        converter: &mut Converter,
        context: &mut Context<Converter>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let done = loop {
            match converter.pump(task) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(()) if converter.phase == ConverterPhase::Over => break Poll::Ready(()),
                Poll::Ready(()) => {}
            }
        };
        if done.is_ready() {
            context.stop();
        }
        done
    }
}

#[cfg(test)]
mod tests;
