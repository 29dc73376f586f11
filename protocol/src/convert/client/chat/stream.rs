//! The state machine that turns a Messages reply into chunks of Chat Completions.
//!
//! Texts, thoughts and arguments go out as they come: Chat Completions has a place for each of them, so that none has
//! to wait for another. That the reply is over goes out only when the upstream has said its last word.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{
    Birth, ReplyContext,
    calls::{Calls, Fragment},
    cited::Cited,
};
use crate::{
    anthropic::{
        error::reported,
        event::{Block, Counts, Delta, Event as Upstream, Kind, Message, Shown},
    },
    convert::{Bridge, Outcome, Step},
    fault::Fault,
    json,
    openai::chunk::{Callee, Event, Sink, Stamp},
    tool_id::{self, Maker},
    vocabulary::{StopReason, Usage},
};

/// One Messages reply on its way to a Chat Completions client.
pub struct Machine {
    stamp: Stamp,
    seed: u128,
    shows_reasoning: bool,
    /// The names of the custom tools.
    custom: Vec<String>,
    maker: Maker,
    calls: Calls,
    cited: Cited,
    is_started: bool,
    is_done: bool,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    /// How much of the output are thoughts.
    thinking: Option<u64>,
    /// The text so far is the summary of a compaction.
    is_summary: bool,
    broken: Option<Fault>,
}

impl Bridge for Machine {
    fn push(&mut self, data: &[u8], out: &mut BytesMut) -> Step {
        self.take(data, out)
    }

    fn finish(&mut self, out: &mut BytesMut) -> Outcome {
        self.end(out)
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Outcome {
        self.broken = Some(fault);
        self.end(out)
    }

    fn started(&self) -> bool {
        self.is_started
    }

    fn finishing(&self) -> bool {
        self.is_done
    }

    fn counted(&self) -> (Usage, u32) {
        (self.usage.unwrap_or_default(), self.calls.count())
    }
}

impl Machine {
    /// For one reply to the request that `context` is from.
    pub fn new(context: ReplyContext, birth: Birth) -> Self {
        let ReplyContext { requested_model, tells_usage, shows_reasoning, calls, custom, maker } = context;
        let id = format!("chatcmpl-{:032x}", birth.seed);
        Self {
            stamp: Stamp { id, created: birth.created, model: requested_model, tells_usage, calls },
            seed: birth.seed,
            shows_reasoning,
            custom,
            maker,
            calls: Calls::default(),
            cited: Cited::default(),
            is_started: false,
            is_done: false,
            stop: None,
            usage: None,
            thinking: None,
            is_summary: false,
            broken: None,
        }
    }

    pub(super) fn take<S: Sink>(&mut self, data: &[u8], sink: &mut S) -> Step {
        let data = data.trim_ascii();
        // Some vendors close with the other API's last word, which means nothing here.
        if data.is_empty() || data == b"[DONE]" {
            return Step::More;
        }
        match Upstream::read(data) {
            Ok(Some(event)) => self.event(data, &event, sink),
            Ok(None) => Step::More,
            Err(_) => self.broke(Fault::bad_gateway("invalid JSON in upstream stream")),
        }
    }

    /// Takes a whole message. A fault has written nothing.
    pub(super) fn take_whole<S: Sink>(&mut self, body: &[u8], sink: &mut S) -> Result<(), Fault> {
        let Ok(message) = Message::read(body.trim_ascii()) else {
            return Err(Fault::bad_gateway("invalid JSON from the upstream"));
        };
        if message.as_ref().is_some_and(Message::is_error) {
            return Err(reported(body));
        }
        let Some((blocks, message)) = message.and_then(|message| Some((message.blocks()?, message))) else {
            return Err(Fault::bad_gateway("the upstream's reply has no content"));
        };
        self.start(&message, sink);
        for (at, block) in blocks.iter().enumerate() {
            let index = i64::try_from(at).ok();
            self.block(index, block, sink);
            self.block_over(index, sink);
        }
        self.stop = message.stop_reason();
        self.explained(message.explanation(), sink);
        self.is_done = true;
        Ok(())
    }

    fn event<S: Sink>(&mut self, data: &[u8], event: &Upstream<'_>, sink: &mut S) -> Step {
        match event.kind() {
            Kind::MessageStart => {
                if let Some(message) = &event.message.0 {
                    self.start(message, sink);
                }
            }
            Kind::BlockStart => {
                if let Some(block) = &event.content_block.0 {
                    self.block(event.index(), block, sink);
                }
            }
            Kind::Delta => {
                if let Some(delta) = &event.delta.0 {
                    self.delta(event.index(), delta, sink);
                }
            }
            Kind::BlockStop => self.block_over(event.index(), sink),
            Kind::MessageDelta => self.message_delta(event, sink),
            Kind::MessageStop => {
                self.is_done = true;
                return Step::End;
            }
            Kind::Error => return self.broke(reported(data)),
            Kind::Other => {}
        }
        Step::More
    }

    /// What the upstream reported as broken; remembered, so that a `finish` after it is no happy end.
    fn broke(&mut self, fault: Fault) -> Step {
        self.broken = Some(fault.clone());
        Step::Fault(fault)
    }

    fn start<S: Sink>(&mut self, message: &Message<'_>, sink: &mut S) {
        self.count(message.usage.0.as_ref());
        self.begin(sink);
    }

    fn begin<S: Sink>(&mut self, sink: &mut S) {
        if !self.is_started {
            self.is_started = true;
            sink.emit(&self.stamp, Event::Start);
        }
    }

    fn block<S: Sink>(&mut self, index: Option<i64>, block: &Block<'_>, sink: &mut S) {
        self.begin(sink);
        match block.shown() {
            Shown::Text(inner) => {
                if std::mem::take(&mut self.is_summary) {
                    self.text(BEHIND_A_SUMMARY, sink);
                }
                self.cited.begin();
                self.text(inner, sink);
                block.citations().iter().for_each(|citation| self.cited.take(citation));
            }
            Shown::Thinking(inner) => self.reasoning(inner, sink),
            Shown::Compaction(inner) => {
                self.is_summary = true;
                self.text(inner, sink);
            }
            Shown::ToolUse { id, name, input } => {
                let id = self.client_id(id);
                let callee = self.callee(name);
                let number = self.calls.begin(index, callee, &id, input.map(json::escape));
                sink.emit(&self.stamp, Event::Call { number, callee, id: &id, name });
            }
            Shown::Nothing => {}
        }
    }

    fn delta<S: Sink>(&mut self, index: Option<i64>, delta: &Delta<'_>, sink: &mut S) {
        self.begin(sink);
        self.text(delta.text(), sink);
        self.text(delta.summary(), sink);
        self.reasoning(delta.thinking(), sink);
        if let Some(citation) = &delta.citation.0 {
            self.cited.take(citation);
        }
        let fragment = delta.arguments();
        // Of a call that the vendor runs itself, nothing is shown.
        if !fragment.is_empty()
            && let Some(fragment) = self.calls.continued(index, fragment)
        {
            self.arguments(&fragment, sink);
        }
    }

    /// What the tool of this name (inner text) is.
    fn callee(&self, name: &str) -> Callee {
        if self.custom.is_empty() {
            return Callee::Function;
        }
        let name = json::decode(name).unwrap_or_default();
        if self.custom.iter().any(|custom| **custom == *name) { Callee::Custom } else { Callee::Function }
    }

    fn arguments<S: Sink>(&self, fragment: &Fragment<'_>, sink: &mut S) {
        let Fragment { number, callee, ref text } = *fragment;
        sink.emit(&self.stamp, Event::Arguments { number, callee, fragment: text });
    }

    fn text<S: Sink>(&mut self, inner: &str, sink: &mut S) {
        if !inner.is_empty() {
            self.cited.passed(inner);
            sink.emit(&self.stamp, Event::Text(inner));
        }
    }

    fn reasoning<S: Sink>(&self, inner: &str, sink: &mut S) {
        if self.shows_reasoning && !inner.is_empty() {
            sink.emit(&self.stamp, Event::Reasoning(inner));
        }
    }

    fn block_over<S: Sink>(&mut self, index: Option<i64>, sink: &mut S) {
        self.cited.end();
        if let Some(rest) = self.calls.close(index) {
            self.arguments(&rest, sink);
        }
    }

    fn message_delta<S: Sink>(&mut self, event: &Upstream<'_>, sink: &mut S) {
        self.count(event.usage.0.as_ref());
        if let Some(delta) = &event.delta.0 {
            self.stop = delta.stop_reason().or(self.stop);
            self.explained(delta.explanation(), sink);
        }
    }

    fn count(&mut self, counts: Option<&Counts<'_>>) {
        let Some(counts) = counts else { return };
        self.usage = Some(counts.after(self.usage.unwrap_or_default()));
        self.thinking = counts.thinking().or(self.thinking);
    }

    /// Why the reply was refused, inner text.
    fn explained<S: Sink>(&mut self, inner: &str, sink: &mut S) {
        if !inner.is_empty() && self.stop == Some(StopReason::Refusal) {
            self.begin(sink);
            sink.emit(&self.stamp, Event::Refusal(inner));
        }
    }

    /// The id of a call as the client gets it: one that every vendor accepts, and that no other call has.
    fn client_id<'i>(&self, given: &'i str) -> Cow<'i, str> {
        // An id with half a surrogate pair in it is as good as its escapes.
        let id = match json::decode(given).unwrap_or(Cow::Borrowed(given)) {
            Cow::Borrowed(given) => tool_id::portable(given, self.maker),
            Cow::Owned(decoded) => Cow::Owned(tool_id::portable(&decoded, self.maker).into_owned()),
        };
        if given.is_empty() || self.calls.has(&id) { Cow::Owned(self.call_id()) } else { id }
    }

    fn call_id(&self) -> String {
        // An odd factor keeps the ids of one reply apart.
        let salt =
            (u128::from(self.calls.count()) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        format!("toolu_{:024x}", (self.seed.rotate_left(48) ^ salt) & NINETY_SIX_BITS)
    }

    pub(super) fn end<S: Sink>(&mut self, sink: &mut S) -> Outcome {
        let fault = self.broken.take().or_else(|| self.unfinished());
        let stop_reason = match &fault {
            Some(fault) => {
                sink.emit(&self.stamp, Event::Error(fault));
                None
            }
            None => Some(self.complete(sink)),
        };
        Outcome { stop_reason, usage: self.usage, tool_calls: self.calls.count(), fault }
    }

    fn unfinished(&self) -> Option<Fault> {
        match (self.is_started, self.is_done) {
            (true, true) => None,
            (false, true) => Some(Fault::bad_gateway("the upstream ended the stream without a reply")),
            (_, false) => Some(Fault::cut()),
        }
    }

    fn complete<S: Sink>(&mut self, sink: &mut S) -> StopReason {
        for rest in self.calls.close_all() {
            self.arguments(&rest, sink);
        }
        let sources = self.cited.finish();
        if !sources.is_empty() {
            sink.emit(&self.stamp, Event::Sources(&sources));
        }
        let reason = self.reason();
        let usage = self.usage.unwrap_or_default();
        let thinking = self.thinking;
        sink.emit(&self.stamp, Event::End { finish_reason: reason.finish_reason(), usage, thinking });
        reason
    }

    /// What the client is told: `tool_calls` exactly if there are calls, unless the reply was cut or refused.
    fn reason(&self) -> StopReason {
        let reason = self.stop.unwrap_or(StopReason::EndTurn);
        let was_free = match reason {
            StopReason::EndTurn
            | StopReason::StopSequence
            | StopReason::ToolUse
            | StopReason::PauseTurn
            | StopReason::Compaction => true,
            StopReason::MaxTokens | StopReason::Refusal | StopReason::ModelContextWindowExceeded => false,
        };
        match self.calls.count() {
            1.. if was_free => StopReason::ToolUse,
            0 if reason == StopReason::ToolUse => StopReason::EndTurn,
            _ => reason,
        }
    }
}

/// Between a summary and what follows it, inner text.
const BEHIND_A_SUMMARY: &str = "\\n\\n";
const NINETY_SIX_BITS: u128 = (1 << 96) - 1;
