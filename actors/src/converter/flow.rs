//! Upstream bytes in, client bytes out: framing and the state machine of one reply, without any waiting. The exchange
//! drives it until the first event is there; then the converter does.
//!
//! A reply ends with the event that its API ends replies with, or with an error. What the upstream sends behind that
//! event is not part of the reply and is not passed on: no client reads it, and whether it would arrive together with the
//! reply's end is chance.

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::passthrough::{ChatTap, Passed, Tap};
use vandamme_protocol::convert::{Bridge, Step};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::openai;
use vandamme_protocol::request;
use vandamme_protocol::sse::{self, Splitter};
use vandamme_protocol::vocabulary::{ErrorKind, Usage};

use super::batch::Batch;
pub use super::closing::Closing;
use super::closing::{converted, passed, passed_chat, told};
use super::hooks::Audience;
use crate::secret::Secrets;
use crate::settings::Api;

/// What makes the client's reply out of the upstream's.
pub enum Machine {
    /// The Messages API on both sides: events pass as they are.
    Passthrough(Tap),
    /// Chat Completions on both sides.
    ChatPassthrough(ChatTap),
    /// One API on this side, the other on that.
    Bridge(Box<dyn Bridge>),
}

/// When the event that ends a reply may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// At once.
    Events,
    /// When the upstream's body has ended well: the checksum of a compressed reply comes last.
    Body,
}

/// Where a reply stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// The event that ends it has come, up to a CR. An LF right behind that belongs to it.
    EndedWithCr,
    Ended,
}

/// One reply on its way.
pub struct Flow {
    splitter: Splitter,
    machine: Machine,
    api: Api,
    limit: usize,
    secrets: Secrets,
    /// What is cut out of events.
    redacted: Option<Secrets>,
    audience: Option<Box<Audience>>,
    integrity: Integrity,
    stage: Stage,
    /// The event that ends the reply, until the upstream's body has ended well.
    withheld: Option<Bytes>,
    has_completed_an_event: bool,
}

/// What one more piece of the upstream's body led to.
#[derive(Debug)]
pub enum Progress {
    More,
    /// The protocol's own terminator has come.
    Ended,
    /// The upstream said that it failed, or it cannot be understood.
    Faulted(Fault),
    /// One event exceeds the gateway's bound, which says nothing about the upstream.
    Oversized(Fault),
}

impl Flow {
    /// `api` is the client's; `limit`: the largest single event, bytes; `secrets` must not be in an error that the upstream
    /// reports.
    pub fn new(machine: Machine, api: Api, limit: usize, secrets: Secrets) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine,
            api,
            limit,
            secrets,
            redacted: None,
            audience: None,
            integrity: Integrity::Events,
            stage: Stage::Running,
            withheld: None,
            has_completed_an_event: false,
        }
    }

    /// With somebody who follows the upstream's events, before anything else is done with them.
    #[must_use]
    pub fn before(self, audience: Option<Audience>) -> Self {
        Self { audience: audience.map(Box::new), ..self }
    }

    /// Cuts these out of the events, where they stand plainly in one.
    #[must_use]
    pub fn without(self, secrets: Option<Secrets>) -> Self {
        Self { redacted: secrets, ..self }
    }

    #[must_use]
    pub fn with_integrity(self, integrity: Integrity) -> Self {
        Self { integrity, ..self }
    }

    /// The API that the client came by.
    pub fn api(&self) -> Api {
        self.api
    }

    pub fn take(&mut self, chunk: Bytes, batch: &mut Batch) -> Progress {
        self.has_completed_an_event = false;
        if self.stage != Stage::Running {
            return self.take_behind_the_end(&chunk, batch);
        }
        let Some(block) = self.splitter.pass(chunk) else { return self.unfinished() };
        // Blank lines alone are no event.
        self.has_completed_an_event = block.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        let block = match &mut self.audience {
            Some(audience) => audience.pass(block),
            None => block,
        };
        let progress = match &mut self.machine {
            Machine::Passthrough(tap) => {
                let passed = match tap.observe(&block) {
                    None => Passed { block, end: None, is_cut: false },
                    Some(end) => Passed {
                        is_cut: end.end < block.len(),
                        block: block.slice(..end.end),
                        end: Some(end.start),
                    },
                };
                self.pass(passed, batch)
            }
            Machine::ChatPassthrough(tap) => {
                let passed = tap.pass(block);
                self.pass(passed, batch)
            }
            Machine::Bridge(machine) => {
                match convert(machine.as_mut(), &redact(&self.redacted, block), batch) {
                    Progress::Ended => {
                        self.stage = Stage::Ended;
                        self.progress_behind_the_end()
                    }
                    step @ (Progress::More | Progress::Faulted(_) | Progress::Oversized(_)) => step,
                }
            }
        };
        match progress {
            Progress::More if self.stage == Stage::Running => self.unfinished(),
            Progress::Faulted(fault) => Progress::Faulted(scrubbed(fault, &self.secrets)),
            Progress::More | Progress::Ended | Progress::Oversized(_) => progress,
        }
    }

    /// Whether the last piece completed an event or a comment.
    pub fn has_completed_an_event(&self) -> bool {
        self.has_completed_an_event
    }

    /// After a piece with which the reply goes on.
    fn unfinished(&self) -> Progress {
        if !self.splitter.oversized() {
            return Progress::More;
        }
        let limit = self.limit;
        Progress::Oversized(Fault::bad_gateway(format!(
            "the upstream sent an event of more than {limit} bytes"
        )))
    }

    /// Passes a block of events on, with which the reply may end.
    fn pass(&mut self, Passed { block, end, is_cut }: Passed, batch: &mut Batch) -> Progress {
        let Some(at) = end else {
            batch.add(redact(&self.redacted, block));
            return Progress::More;
        };
        // Line ends in front of it belong to the event before.
        let at = at + block[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (front, last) = (block.slice(..at), block.slice(at..));
        // Whether an LF follows is known if anything does.
        let is_open = last.ends_with(b"\r") && !is_cut && self.splitter.held() == 0;
        self.stage = if is_open { Stage::EndedWithCr } else { Stage::Ended };
        match self.error() {
            // An upstream that quotes our key in its error is not passed on to the letter.
            Some((kind, message)) if self.secrets.found_in(&last) => {
                self.stage = Stage::Ended;
                batch.add(redact(&self.redacted, front));
                self.api.error_event(kind, &message, batch.buffer());
            }
            None if self.integrity == Integrity::Body => {
                batch.add(redact(&self.redacted, front));
                self.withheld = Some(redact(&self.redacted, last));
            }
            // In one piece, which is not copied.
            Some(_) | None => batch.add(redact(&self.redacted, block)),
        }
        self.progress_behind_the_end()
    }

    fn take_behind_the_end(&mut self, chunk: &Bytes, batch: &mut Batch) -> Progress {
        if self.stage == Stage::EndedWithCr && !chunk.is_empty() {
            self.stage = Stage::Ended;
            let line_feed = if chunk[0] == b'\n' { chunk.slice(..1) } else { Bytes::new() };
            match &mut self.withheld {
                Some(last) => *last = [&last[..], &line_feed].concat().into(),
                None => batch.add(line_feed),
            }
        }
        self.progress_behind_the_end()
    }

    fn progress_behind_the_end(&self) -> Progress {
        let is_over = self.stage == Stage::Ended && !self.awaits_body();
        if is_over { Progress::Ended } else { Progress::More }
    }

    /// The error that the upstream's own events ended with, where they pass as they are.
    fn error(&self) -> Option<(ErrorKind, String)> {
        match &self.machine {
            Machine::Passthrough(tap) => passed(tap, &self.secrets).fault,
            Machine::ChatPassthrough(tap) => passed_chat(tap, &self.secrets).fault,
            Machine::Bridge(_) => None,
        }
    }

    /// Whether the client has been given, or is about to be given, more than pings.
    pub fn started(&self) -> bool {
        match &self.machine {
            Machine::Passthrough(tap) => tap.started(),
            Machine::ChatPassthrough(tap) => tap.started(),
            Machine::Bridge(machine) => machine.started(),
        }
    }

    /// The upstream's error, when it is all that `first`, the beginning of the reply, says: nothing has begun then.
    pub fn failed_at_once(&self, first: &Batch) -> Option<Fault> {
        let (kind, message) = self.error()?;
        let events = sse::events(first.bytes()).filter(|event| !is_ping(event));
        let said = events.filter(|event| event.data().is_some());
        (said.count() == 1).then(|| Fault::said(kind, message))
    }

    /// Whether nothing but formalities is missing.
    pub fn finishing(&self) -> bool {
        match &self.machine {
            Machine::Passthrough(tap) => tap.ended(),
            Machine::ChatPassthrough(tap) => tap.finished(),
            Machine::Bridge(machine) => machine.finishing(),
        }
    }

    /// Whether the reply is complete only when the upstream's body has ended well. An error is one in any case.
    pub fn awaits_body(&self) -> bool {
        self.integrity == Integrity::Body && self.error().is_none()
    }

    /// The upstream's body has ended, or the reply has. Appends what is still to be said: the end, or an error.
    pub fn end(&mut self, batch: &mut Batch) -> Closing {
        if let Some(last) = self.withheld.take() {
            batch.add(last);
        }
        let rest = self.splitter.rest();
        match &mut self.machine {
            Machine::Passthrough(tap) => {
                if tap.ended() {
                    return passed(tap, &self.secrets);
                }
                let fault = Fault::cut();
                self.api.error_event(fault.kind, &fault.message, batch.buffer());
                Closing { fault: Some((fault.kind, fault.message)), ..passed(tap, &self.secrets) }
            }
            Machine::ChatPassthrough(tap) => {
                let closing = passed_chat(tap, &self.secrets);
                if tap.ended() {
                    return closing;
                }
                if tap.finished() {
                    batch.buffer().extend_from_slice(openai::error::DONE);
                    return closing;
                }
                let fault = Fault::cut();
                self.api.error_event(fault.kind, &fault.message, batch.buffer());
                Closing { fault: Some((fault.kind, fault.message)), ..closing }
            }
            Machine::Bridge(machine) if self.stage != Stage::Running => {
                converted(machine.finish(batch.buffer()))
            }
            Machine::Bridge(machine) => {
                // What was cut inside an event says nothing; one that only lacks its blank line does.
                let whole = sse::events(&rest).filter_map(|event| event.data()).all(|data| is_whole(&data));
                let rest = match &mut self.audience {
                    Some(audience) if whole => audience.pass(rest),
                    Some(_) | None => rest,
                };
                if whole && let Progress::Faulted(fault) = convert(machine.as_mut(), &rest, batch) {
                    return converted(machine.fail(scrubbed(fault, &self.secrets), batch.buffer()));
                }
                converted(machine.finish(batch.buffer()))
            }
        }
    }

    /// The reply cannot go on. Appends `event: error`.
    pub fn fail(&mut self, fault: Fault, batch: &mut Batch) -> Closing {
        self.withheld = None;
        match &mut self.machine {
            Machine::Bridge(machine) => converted(machine.fail(fault, batch.buffer())),
            Machine::Passthrough(tap) => {
                self.api.error_event(fault.kind, &fault.message, batch.buffer());
                Closing { fault: Some((fault.kind, fault.message)), ..passed(tap, &self.secrets) }
            }
            Machine::ChatPassthrough(tap) => {
                self.api.error_event(fault.kind, &fault.message, batch.buffer());
                Closing { fault: Some((fault.kind, fault.message)), ..passed_chat(tap, &self.secrets) }
            }
        }
    }

    /// The tokens that the upstream has told so far, and its tool calls.
    pub fn counted(&self) -> (Usage, u32) {
        match &self.machine {
            Machine::Passthrough(tap) => (told(tap), tap.summary().tool_calls),
            Machine::ChatPassthrough(tap) => (tap.summary().usage, tap.summary().tool_calls),
            Machine::Bridge(machine) => machine.counted(),
        }
    }

    /// What is known when the client leaves in the middle.
    pub fn so_far(&mut self) -> Closing {
        match &mut self.machine {
            Machine::Passthrough(tap) => passed(tap, &self.secrets),
            Machine::ChatPassthrough(tap) => passed_chat(tap, &self.secrets),
            Machine::Bridge(machine) => converted(machine.finish(&mut BytesMut::new())),
        }
    }
}

/// A block of events without secrets. It is searched, and copied only if one is found.
fn redact(secrets: &Option<Secrets>, block: Bytes) -> Bytes {
    match secrets {
        Some(secrets) if secrets.found_plainly_in(&block) => secrets.without_plain(&block).into(),
        Some(_) | None => block,
    }
}

fn scrubbed(fault: Fault, secrets: &Secrets) -> Fault {
    Fault { message: secrets.scrub(fault.message), ..fault }
}

fn convert(machine: &mut dyn Bridge, block: &[u8], batch: &mut Batch) -> Progress {
    for event in sse::events(block) {
        let Some(data) = event.data() else { continue };
        match machine.push(&data, batch.buffer()) {
            Step::More => {}
            Step::End => return Progress::Ended,
            Step::Fault(fault) => return Progress::Faulted(fault),
        }
    }
    Progress::More
}

fn is_ping(event: &sse::Event<'_>) -> bool {
    event.name() == Some(b"ping")
}

fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || request::is_complete_json(data)
}

#[cfg(test)]
mod tests;
