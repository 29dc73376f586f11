//! Upstream bytes in, client bytes out: framing and the codec of one reply, without any waiting. The proxy run drives it
//! until the first event is there; then the converter does.
//!
//! A reply ends with the event that its API ends replies with, or with an error. What the upstream sends behind that
//! event is not part of the reply and is not passed on: no client reads it, and whether it arrives together with the reply's
//! end is chance.

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::{CodecForm, CodecStep, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request;
use vandamme_protocol::sse::{self, Splitter};
use vandamme_protocol::vocabulary::Usage;

use super::batch::Batch;
use super::hooks::ReplyHooks;
use crate::secret::Secrets;
use crate::settings::Api;

/// The bytes of an upstream that are converted in one piece. Converted events can be larger than the upstream's.
const CONVERTED: usize = 4 << 10;

/// When the event that ends a reply may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// At once.
    Events,
    /// When the upstream's body has ended well: the checksum of a compressed reply comes last.
    Body,
}

/// The state of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowStage {
    Running,
    /// The event that ends it has come, up to a CR. An LF right behind that belongs to it.
    EndedWithCr,
    Ended,
}

/// One reply on its way.
pub struct Flow {
    splitter: Splitter,
    codec: Box<dyn ReplyCodec>,
    api: Api,
    limit: usize,
    secrets: Secrets,
    /// What is cut out of events.
    redacted: Option<Secrets>,
    hooks: Option<Box<ReplyHooks>>,
    integrity: Integrity,
    stage: FlowStage,
    /// The event that ends the reply, until the upstream's body has ended well.
    withheld: Option<Bytes>,
    has_completed_an_event: bool,
}

/// What one more piece of the upstream's body led to.
#[derive(Debug)]
pub enum FlowProgress {
    More,
    /// The protocol's own terminator has come.
    Ended,
    /// The upstream reported an error, or broke the protocol.
    Faulted(Fault),
    /// One event exceeds the gateway's bound. The upstream is not to blame.
    Oversized(Fault),
}

impl Flow {
    /// `api` is the client's. `limit` bounds a single event, in bytes. `secrets` are removed from errors that the upstream
    /// reports.
    pub fn new(codec: Box<dyn ReplyCodec>, api: Api, limit: usize, secrets: Secrets) -> Self {
        Self {
            splitter: Splitter::new(limit),
            codec,
            api,
            limit,
            secrets,
            redacted: None,
            hooks: None,
            integrity: Integrity::Events,
            stage: FlowStage::Running,
            withheld: None,
            has_completed_an_event: false,
        }
    }

    /// With hooks that see the upstream's events first.
    #[must_use]
    pub fn with_hooks(self, hooks: Option<ReplyHooks>) -> Self {
        Self { hooks: hooks.map(Box::new), ..self }
    }

    /// Removes these from the events, where one contains them literally.
    #[must_use]
    pub fn with_redaction(self, secrets: Option<Secrets>) -> Self {
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

    pub fn take(&mut self, chunk: Bytes, batch: &mut Batch) -> FlowProgress {
        self.has_completed_an_event = false;
        if self.stage != FlowStage::Running {
            return self.take_behind_the_end(&chunk, batch);
        }
        let Some(block) = self.splitter.pass(chunk) else { return self.unfinished() };
        // Blank lines alone are no event.
        self.has_completed_an_event = block.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        let block = match &mut self.hooks {
            Some(hooks) => hooks.pass(block),
            None => block,
        };
        let progress = match self.codec.form() {
            CodecForm::Passthrough => self.push(block, batch),
            CodecForm::Converting => {
                let block = redact(&self.redacted, block);
                self.push(block, batch)
            }
        };
        match progress {
            FlowProgress::More if self.stage == FlowStage::Running => self.unfinished(),
            FlowProgress::Faulted(fault) => FlowProgress::Faulted(scrubbed(fault, &self.secrets)),
            FlowProgress::More | FlowProgress::Ended | FlowProgress::Oversized(_) => progress,
        }
    }

    fn push(&mut self, block: Bytes, batch: &mut Batch) -> FlowProgress {
        let out = batch.buffer();
        if self.codec.form() == CodecForm::Converting {
            // Growing from nothing copies a burst several times.
            out.reserve(block.len() / 2);
        }
        match self.codec.push(block, out) {
            Pushed::Passed(passed) => self.pass(passed, batch),
            Pushed::Converted(CodecStep::More) => FlowProgress::More,
            Pushed::Converted(CodecStep::Fault(fault)) => FlowProgress::Faulted(fault),
            Pushed::Converted(CodecStep::End) => {
                self.stage = FlowStage::Ended;
                self.progress_behind_the_end()
            }
        }
    }

    /// The bytes that can be taken in one piece: as many as may wait for the end of an event, so that the bound on events is
    /// as exact as with small pieces, and few if they are converted, since they can grow by that.
    pub fn appetite(&self) -> usize {
        let room = self.limit.saturating_sub(self.splitter.held());
        match self.codec.form() {
            CodecForm::Passthrough => room,
            CodecForm::Converting => room.min(CONVERTED),
        }
    }

    /// Whether the last piece completed an event or a comment.
    pub fn has_completed_an_event(&self) -> bool {
        self.has_completed_an_event
    }

    /// After a piece that does not end the reply.
    fn unfinished(&self) -> FlowProgress {
        if !self.splitter.oversized() {
            return FlowProgress::More;
        }
        let limit = self.limit;
        FlowProgress::Oversized(Fault::bad_gateway(format!(
            "the upstream sent an event of more than {limit} bytes"
        )))
    }

    /// Passes a block of events on, with which the reply may end.
    fn pass(&mut self, PassedBlock { block, end, is_cut }: PassedBlock, batch: &mut Batch) -> FlowProgress {
        let Some(at) = end else {
            batch.add(redact(&self.redacted, block));
            return FlowProgress::More;
        };
        // Line ends in front of it belong to the event before.
        let at = at + block[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (front, last) = (block.slice(..at), block.slice(at..));
        // Whether an LF follows is known if anything does.
        let is_open = last.ends_with(b"\r") && !is_cut && self.splitter.held() == 0;
        self.stage = if is_open { FlowStage::EndedWithCr } else { FlowStage::Ended };
        match self.passed_error() {
            // An error that quotes a key is written anew.
            Some(fault) if self.secrets.found_in(&last) => {
                self.stage = FlowStage::Ended;
                batch.add(redact(&self.redacted, front));
                // The codec knows what the event repeats of the reply. It finishes without another error.
                self.codec.fail(fault, batch.buffer());
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

    fn take_behind_the_end(&mut self, chunk: &Bytes, batch: &mut Batch) -> FlowProgress {
        if self.stage == FlowStage::EndedWithCr && !chunk.is_empty() {
            self.stage = FlowStage::Ended;
            let line_feed = if chunk[0] == b'\n' { chunk.slice(..1) } else { Bytes::new() };
            match &mut self.withheld {
                Some(last) => *last = [&last[..], &line_feed].concat().into(),
                None => batch.add(line_feed),
            }
        }
        self.progress_behind_the_end()
    }

    fn progress_behind_the_end(&self) -> FlowProgress {
        let is_over = self.stage == FlowStage::Ended && !self.awaits_body();
        if is_over { FlowProgress::Ended } else { FlowProgress::More }
    }

    /// The error that the upstream's own events end with, where they pass as they are.
    fn passed_error(&self) -> Option<Fault> {
        self.codec.passed_error().map(|fault| scrubbed(fault, &self.secrets))
    }

    /// Whether the client has been sent, or is about to be sent, more than pings.
    pub fn started(&self) -> bool {
        self.codec.started()
    }

    /// The upstream's error, if `first`, the beginning of the reply, contains nothing else: no reply has begun then.
    pub fn failed_at_once(&self, first: &Batch) -> Option<Fault> {
        let Fault { kind, message, .. } = self.passed_error()?;
        let events = sse::events(first.bytes()).filter(|event| !is_ping(event));
        let with_data = events.filter(|event| event.data().is_some());
        (with_data.count() == 1).then(|| Fault::reported(kind, message))
    }

    /// The same for a reply that the upstream has announced before.
    pub fn failed_when_announced(&self) -> Option<Fault> {
        self.passed_error().filter(|_| self.codec.is_announced_only())
    }

    /// Whether the upstream has only announced its reply.
    pub fn is_announced_only(&self) -> bool {
        self.codec.is_announced_only()
    }

    /// Whether a part of an event has come.
    pub fn holds_a_part(&self) -> bool {
        self.splitter.held() > 0
    }

    /// Whether only formalities are missing.
    pub fn finishing(&self) -> bool {
        self.codec.finishing()
    }

    /// Whether the reply is complete only when the upstream's body has ended well. An error is one in any case.
    pub fn awaits_body(&self) -> bool {
        self.integrity == Integrity::Body && self.codec.passed_error().is_none()
    }

    /// The upstream's body has ended, or the reply has. Appends the end of the reply, or an error.
    pub fn end(&mut self, batch: &mut Batch) -> ReplySummary {
        let rest = self.splitter.rest();
        if self.stage == FlowStage::Running
            && let Some(fault) = self.push_rest(&rest, batch)
        {
            return self.fail(fault, batch);
        }
        if let Some(last) = self.withheld.take() {
            batch.add(last);
        }
        let summary = self.codec.finish(batch.buffer());
        self.without_secrets(summary)
    }

    /// Takes what the body ended with. An event that lacks only its blank line counts, and gets it; one that was cut does not.
    fn push_rest(&mut self, rest: &[u8], batch: &mut Batch) -> Option<Fault> {
        let data = sse::events(rest).filter_map(|event| event.data()).last()?;
        if !is_whole(&data) {
            return None;
        }
        let missing: &[u8] = match rest {
            [.., b'\n'] => b"\n",
            // With an LF it would be one line end.
            [.., b'\r'] => b"\r",
            _ => b"\n\n",
        };
        let event = Bytes::from([rest, missing].concat());
        let event = match &mut self.hooks {
            Some(hooks) => hooks.pass(event),
            None => event,
        };
        let event = match self.codec.form() {
            // Redacted behind the tap.
            CodecForm::Passthrough => event,
            CodecForm::Converting => redact(&self.redacted, event),
        };
        match self.push(event, batch) {
            FlowProgress::Faulted(fault) | FlowProgress::Oversized(fault) => {
                Some(scrubbed(fault, &self.secrets))
            }
            FlowProgress::More | FlowProgress::Ended => None,
        }
    }

    /// The reply cannot go on. Appends an error event.
    pub fn fail(&mut self, fault: Fault, batch: &mut Batch) -> ReplySummary {
        self.withheld = None;
        let summary = self.codec.fail(fault, batch.buffer());
        self.without_secrets(summary)
    }

    fn without_secrets(&self, summary: ReplySummary) -> ReplySummary {
        let fault = summary.fault.map(|fault| scrubbed(fault, &self.secrets));
        ReplySummary { fault, ..summary }
    }

    /// Tokens and tool calls so far.
    pub fn counted(&self) -> (Usage, u32) {
        self.codec.counted()
    }

    /// The reply as far as it came, for a client that leaves in the middle.
    pub fn abandon(&mut self) -> ReplySummary {
        let summary = self.codec.finish(&mut BytesMut::new());
        ReplySummary { fault: None, ..summary }
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

fn is_ping(event: &sse::Event<'_>) -> bool {
    event.name() == Some(b"ping")
}

fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || request::is_complete_json(data)
}

#[cfg(test)]
mod tests;
