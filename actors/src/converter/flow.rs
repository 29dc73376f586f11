//! Upstream bytes in, client bytes out: framing and the state machine of one reply, without any waiting. The exchange
//! drives it until the first event is there; then the converter does.

use bytes::{Bytes, BytesMut};
use vandamme_protocol::anthropic;
use vandamme_protocol::bridge::{Bridge, Fault, Step};
use vandamme_protocol::openai;
use vandamme_protocol::passthrough::{ChatTap, Tap};
use vandamme_protocol::span;
use vandamme_protocol::sse::{self, Splitter};
use vandamme_protocol::vocabulary::{ErrorKind, Usage};

use super::audience::Audience;
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
    /// An encoding that nobody asked for: bytes pass, and nothing of ours can be put between them.
    Opaque,
}

/// One reply on its way.
pub struct Flow {
    splitter: Splitter,
    machine: Machine,
    api: Api,
    limit: usize,
    secrets: Secrets,
    audience: Option<Box<Audience>>,
}

/// Client bytes that go out together.
#[derive(Debug, Default)]
pub struct Batch {
    single: Option<Bytes>,
    joined: BytesMut,
}

/// What one more piece of the upstream's body led to.
#[derive(Debug)]
pub enum Progress {
    More,
    /// The protocol's own terminator has come.
    Ended,
    /// The upstream said that it failed, or it cannot be understood.
    Faulted(Fault),
}

/// How a reply ended, for the ledger.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    pub usage: Usage,
    pub tool_calls: u32,
    pub fault: Option<(ErrorKind, String)>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.single.as_ref().map_or(0, Bytes::len) + self.joined.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> &[u8] {
        self.single.as_ref().map_or(&self.joined, Bytes::as_ref)
    }

    pub fn take(&mut self) -> Bytes {
        match self.single.take() {
            Some(single) => single,
            None => self.joined.split().freeze(),
        }
    }

    fn add(&mut self, block: Bytes) {
        if block.is_empty() {
            return;
        }
        if self.is_empty() {
            self.single = Some(block);
        } else {
            self.buffer().extend_from_slice(&block);
        }
    }

    fn buffer(&mut self) -> &mut BytesMut {
        if let Some(single) = self.single.take() {
            self.joined.extend_from_slice(&single);
        }
        &mut self.joined
    }
}

impl Flow {
    /// `api` is the client's; `limit`: the largest single event, bytes; `secrets` must not be in an error that the upstream
    /// reports.
    pub fn new(machine: Machine, api: Api, limit: usize, secrets: Secrets) -> Self {
        Self { splitter: Splitter::new(limit), machine, api, limit, secrets, audience: None }
    }

    /// With somebody who follows the upstream's events, before anything else is done with them.
    #[must_use]
    pub fn before(self, audience: Option<Audience>) -> Self {
        Self { audience: audience.map(Box::new), ..self }
    }

    /// The API that the client came by.
    pub fn api(&self) -> Api {
        self.api
    }

    pub fn take(&mut self, chunk: Bytes, batch: &mut Batch) -> Progress {
        if let Machine::Opaque = self.machine {
            batch.add(chunk);
            return Progress::More;
        }
        let block = self.splitter.pass(chunk);
        let block = match &mut self.audience {
            Some(audience) => block.map(|block| audience.pass(block)),
            None => block,
        };
        let progress = match &mut self.machine {
            Machine::Opaque => Progress::More,
            Machine::Passthrough(tap) => pass(tap, block, batch, &self.secrets),
            Machine::ChatPassthrough(tap) => pass_chat(tap, block, batch, &self.secrets),
            Machine::Bridge(machine) => match block {
                Some(block) => convert(machine.as_mut(), &block, batch),
                None => Progress::More,
            },
        };
        match progress {
            Progress::More if self.splitter.oversized() => Progress::Faulted(Fault {
                kind: ErrorKind::Api,
                status: 502,
                message: format!("the upstream sent an event of more than {} bytes", self.limit),
            }),
            Progress::Faulted(fault) => Progress::Faulted(scrubbed(fault, &self.secrets)),
            Progress::More | Progress::Ended => progress,
        }
    }

    /// Whether the client has been given, or is about to be given, more than pings.
    pub fn started(&self) -> bool {
        match &self.machine {
            Machine::Passthrough(tap) => tap.started(),
            Machine::ChatPassthrough(tap) => tap.started(),
            Machine::Bridge(machine) => machine.started(),
            Machine::Opaque => true,
        }
    }

    /// The upstream's error, when it is all that `first`, the beginning of the reply, says: nothing has begun then.
    pub fn failed_at_once(&self, first: &Batch) -> Option<Fault> {
        let closing = match &self.machine {
            Machine::Passthrough(tap) => passed(tap, &self.secrets),
            Machine::ChatPassthrough(tap) => passed_chat(tap, &self.secrets),
            Machine::Bridge(_) | Machine::Opaque => return None,
        };
        let (kind, message) = closing.fault?;
        let meant = |data: &[u8]| data.trim_ascii() != b"[DONE]";
        let events = sse::events(first.bytes()).filter(|event| !is_ping(event));
        let said = events.filter(|event| event.data().is_some_and(|data| meant(&data)));
        (said.count() == 1).then(|| Fault::said(kind, message))
    }

    /// Whether nothing but formalities is missing.
    pub fn finishing(&self) -> bool {
        match &self.machine {
            Machine::Passthrough(tap) => tap.ended(),
            Machine::ChatPassthrough(tap) => tap.finished(),
            Machine::Bridge(machine) => machine.finishing(),
            Machine::Opaque => false,
        }
    }

    /// Whether pings and errors of ours may stand between the upstream's events.
    pub fn speaks_events(&self) -> bool {
        !matches!(self.machine, Machine::Opaque)
    }

    /// The upstream's body has ended. Appends what is still to be said: the end, or an error.
    pub fn end(&mut self, batch: &mut Batch) -> Closing {
        let rest = self.splitter.rest();
        match &mut self.machine {
            Machine::Opaque => Closing::default(),
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
                if tap.done() {
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
            Machine::Opaque => Closing { fault: Some((fault.kind, fault.message)), ..Closing::default() },
        }
    }

    /// The tokens that the upstream has told so far, and its tool calls.
    pub fn counted(&self) -> (Usage, u32) {
        match &self.machine {
            Machine::Passthrough(tap) => (told(tap), tap.summary().tool_calls),
            Machine::ChatPassthrough(tap) => (tap.summary().usage, tap.summary().tool_calls),
            Machine::Bridge(machine) => machine.counted(),
            Machine::Opaque => (Usage::default(), 0),
        }
    }

    /// What is known when the client leaves in the middle.
    pub fn so_far(&mut self) -> Closing {
        match &mut self.machine {
            Machine::Passthrough(tap) => passed(tap, &self.secrets),
            Machine::ChatPassthrough(tap) => passed_chat(tap, &self.secrets),
            Machine::Bridge(machine) => converted(machine.finish(&mut BytesMut::new())),
            Machine::Opaque => Closing::default(),
        }
    }
}

fn pass(tap: &mut Tap, block: Option<Bytes>, batch: &mut Batch, secrets: &Secrets) -> Progress {
    let Some(block) = block else { return Progress::More };
    tap.observe(&block);
    if !tap.ended() {
        batch.add(block);
        return Progress::More;
    }
    match &tap.summary().error {
        // An upstream that quotes our key in its error is not passed on to the letter.
        Some((kind, message)) if secrets.found_in(&block) => {
            let kind = ErrorKind::from_anthropic(kind).unwrap_or(ErrorKind::Api);
            anthropic::error::event(kind, &secrets.scrub(message.clone()), batch.buffer());
        }
        Some(_) | None => batch.add(block),
    }
    Progress::Ended
}

fn pass_chat(tap: &mut ChatTap, block: Option<Bytes>, batch: &mut Batch, secrets: &Secrets) -> Progress {
    let Some(block) = block else { return Progress::More };
    let passed = tap.pass(block);
    match &tap.summary().error {
        Some((kind, message)) if secrets.found_in(&passed) => {
            batch.buffer().extend_from_slice(b"data: ");
            batch.buffer().extend_from_slice(&openai::error::body(*kind, &secrets.scrub(message.clone())));
            batch.buffer().extend_from_slice(b"\n\n");
        }
        Some(_) | None => batch.add(passed),
    }
    if tap.ended() { Progress::Ended } else { Progress::More }
}

fn passed_chat(tap: &ChatTap, secrets: &Secrets) -> Closing {
    let summary = tap.summary();
    let fault = summary.error.clone().map(|(kind, message)| (kind, secrets.scrub(message)));
    Closing { usage: summary.usage, tool_calls: summary.tool_calls, fault }
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
    data.trim_ascii() == b"[DONE]" || span::is_complete_json(data)
}

fn told(tap: &Tap) -> Usage {
    let summary = tap.summary();
    Usage {
        input: summary.input,
        output: summary.output,
        cache_read: summary.cache_read,
        cache_creation: summary.cache_creation,
    }
}

fn passed(tap: &Tap, secrets: &Secrets) -> Closing {
    let summary = tap.summary();
    let fault = summary.error.clone().map(|(kind, message)| {
        (ErrorKind::from_anthropic(&kind).unwrap_or(ErrorKind::Api), secrets.scrub(message))
    });
    Closing { usage: told(tap), tool_calls: summary.tool_calls, fault }
}

fn converted(outcome: vandamme_protocol::bridge::Outcome) -> Closing {
    Closing {
        usage: outcome.usage.unwrap_or_default(),
        tool_calls: outcome.tool_calls,
        fault: outcome.fault.map(|fault| (fault.kind, fault.message)),
    }
}
