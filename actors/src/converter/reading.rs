//! What a converter reads of its upstream at a time.

use std::task::{Context as Task, Poll, Waker};

use actix_http::error::PayloadError;
use vandamme_protocol::fault::Fault;

use super::{BATCH, Converter, ConverterPhase};
use crate::outcome::Outcome;

/// Why no more was read of the upstream for now.
enum ReadEnd {
    /// There is enough to convert.
    Enough,
    Waits,
    /// The body has ended. It must not be polled again.
    Ended(Result<(), PayloadError>),
}

/// What one poll of the upstream returned.
#[derive(Clone, Copy, Default)]
struct UpstreamRead {
    bytes: usize,
    /// An event or a comment was completed.
    has_event: bool,
}

impl Converter {
    /// Sends what the upstream has ready, so that it leaves with the head of the reply: one write instead of two.
    pub(super) fn send_burst(&mut self) {
        // The actor polls everything again as soon as it has started.
        let task = &mut Task::from_waker(Waker::noop());
        if self.phase == ConverterPhase::Streaming && self.client.poll_room(task).is_ready() {
            let _ = self.fill(task);
            self.flush();
        }
    }

    /// Takes what the upstream has ready, up to one batch.
    pub(super) fn fill(&mut self, task: &mut Task<'_>) -> Poll<()> {
        let mut read = UpstreamRead::default();
        let mut end = ReadEnd::Enough;
        while matches!(end, ReadEnd::Enough)
            && self.batch.len() < BATCH
            && self.phase == ConverterPhase::Streaming
        {
            end = self.gather(task);
            if self.pieces.len() > 0 {
                read.bytes += self.pieces.len();
                let block = self.pieces.take();
                self.take(block);
                read.has_event |= self.flow.has_completed_an_event();
            }
        }
        self.note(read);
        match end {
            ReadEnd::Enough => Poll::Ready(()),
            ReadEnd::Waits => Poll::Pending,
            ReadEnd::Ended(end) => {
                self.body_ended(end);
                Poll::Ready(())
            }
        }
    }

    /// Reads the pieces that are converted together. An upstream can send each event in a piece of its own, and what is
    /// done for each piece costs more than the event.
    fn gather(&mut self, task: &mut Task<'_>) -> ReadEnd {
        let enough = BATCH.saturating_sub(self.batch.len()).min(self.flow.appetite());
        loop {
            match self.upstream.as_mut().poll_next(task) {
                Poll::Pending => return ReadEnd::Waits,
                Poll::Ready(Some(Ok(piece))) => self.pieces.add(piece),
                Poll::Ready(Some(Err(error))) => return ReadEnd::Ended(Err(error)),
                Poll::Ready(None) => return ReadEnd::Ended(Ok(())),
            }
            if self.pieces.len() >= enough {
                return ReadEnd::Enough;
            }
        }
    }

    fn body_ended(&mut self, end: Result<(), PayloadError>) {
        match end {
            // The reply was over before its body.
            _ if self.phase != ConverterPhase::Streaming => self.phase = ConverterPhase::Over,
            // Only formalities were missing.
            Err(_) if self.may_end() => self.upstream_ended(),
            Err(error) => {
                let fault = broken(&error, self.guards.request_id());
                self.fail(fault, Outcome::BrokenReply);
            }
            Ok(()) => self.upstream_ended(),
        }
    }

    fn note(&mut self, read: UpstreamRead) {
        if read.has_event {
            self.clock.event_received();
        } else {
            self.clock.part_received(read.bytes);
        }
    }
}

fn broken(error: &PayloadError, id: &str) -> Fault {
    log::debug!(REQUEST_ID = id; "{id} an upstream's body broke: {error}");
    if matches!(error, PayloadError::EncodingCorrupted) {
        Fault::bad_gateway(
            "the upstream's stream is damaged or was cut: its compression or its frames cannot be read",
        )
    } else {
        Fault::cut()
    }
}
