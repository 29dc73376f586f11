//! Messages events written as a Chat Completions reply.
//!
//! Texts, thoughts and arguments go out as they come: Chat Completions has a place for each of them, so that none waits for
//! another. That the reply is over goes out with the last event.

use bytes::BytesMut;

use super::{
    MessagesReplyContext, ReplyIdentity,
    calls::{ArgumentsFragment, OpenCalls},
    cited::Cited,
};
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, MessagesEvent, ReplyEnding, ReportedUsage},
    convert::{
        ReplyEncoder,
        client::{NO_EXPLANATION, call_ids::CallIds},
    },
    json,
    openai::chunk::{Callee, ChatEvent, Sink, Stamp, WholeCompletion},
    vocabulary::{StopReason, Usage},
};

/// Writes one reply for a Chat Completions client.
pub struct ChatEncoder {
    reply: EncodedReply,
    whole: WholeCompletion,
}

impl ChatEncoder {
    /// For one reply to the request that `context` is from.
    pub fn new(context: MessagesReplyContext, identity: ReplyIdentity) -> Self {
        let MessagesReplyContext { requested_model, sends_usage, shows_reasoning, calls, custom, maker } =
            context;
        let id = format!("chatcmpl-{:032x}", identity.seed);
        let created = identity.created;
        let reply = EncodedReply {
            stamp: Stamp { id, created, model: requested_model, sends_usage, calls },
            shows_reasoning,
            custom,
            call_ids: CallIds::new(maker, identity.seed),
            calls: OpenCalls::default(),
            cited: Cited::default(),
            is_started: false,
            stop: None,
            explanation: String::new(),
            is_filtered: false,
            has_refused: false,
            usage: Usage::default(),
            thinking: None,
            is_summary: false,
        };
        Self { reply, whole: WholeCompletion::default() }
    }
}

impl ReplyEncoder for ChatEncoder {
    fn stream(&mut self, event: MessagesEvent<'_>, out: &mut BytesMut) {
        self.reply.event(event, out);
    }

    fn collect(&mut self, event: MessagesEvent<'_>) {
        self.reply.event(event, &mut self.whole);
    }

    fn into_body(self) -> Vec<u8> {
        self.whole.into_body()
    }
}

/// The reply so far.
struct EncodedReply {
    stamp: Stamp,
    shows_reasoning: bool,
    /// The names of the custom tools.
    custom: Vec<String>,
    call_ids: CallIds,
    calls: OpenCalls,
    cited: Cited,
    is_started: bool,
    stop: Option<StopReason>,
    /// Why a Messages upstream refused, inner text.
    explanation: String,
    /// A filter stopped the reply, and not the model itself.
    is_filtered: bool,
    /// The client has a refusal.
    has_refused: bool,
    usage: Usage,
    /// The part of the output that is thinking.
    thinking: Option<u64>,
    /// The text so far is the summary of a compaction.
    is_summary: bool,
}

impl EncodedReply {
    fn event<S: Sink>(&mut self, event: MessagesEvent<'_>, sink: &mut S) {
        match event {
            MessagesEvent::MessageStart { counts, .. } => {
                self.count(counts);
                self.begin(sink);
            }
            MessagesEvent::BlockStart { index, block } => self.block(index, block, sink),
            MessagesEvent::Delta { index, delta } => self.delta(index, delta, sink),
            MessagesEvent::BlockStop { index } => self.block_over(index, sink),
            MessagesEvent::MessageDelta { ending, counts } => {
                self.count(counts);
                self.ending(ending);
            }
            MessagesEvent::MessageStop => self.complete(sink),
            MessagesEvent::Error(fault) => sink.emit(&self.stamp, ChatEvent::Error(fault)),
            MessagesEvent::Ping => {}
        }
    }

    fn begin<S: Sink>(&mut self, sink: &mut S) {
        if !self.is_started {
            self.is_started = true;
            sink.emit(&self.stamp, ChatEvent::Start);
        }
    }

    fn block<S: Sink>(&mut self, index: Option<u64>, block: ContentBlockStart<'_>, sink: &mut S) {
        self.begin(sink);
        match block {
            ContentBlockStart::Text => {
                if std::mem::take(&mut self.is_summary) {
                    self.text(SUMMARY_SEPARATOR, sink);
                }
                self.cited.begin();
            }
            ContentBlockStart::Compaction => self.is_summary = true,
            ContentBlockStart::ToolUse { id, name, input } => {
                let id = self.call_ids.next(id);
                let callee = self.callee(name);
                let number = self.calls.begin(index, callee, input.map(json::escape_text));
                sink.emit(&self.stamp, ChatEvent::Call { number, callee, id: &id, name });
            }
            ContentBlockStart::Refusal
            | ContentBlockStart::Thinking
            | ContentBlockStart::RedactedThinking { .. }
            | ContentBlockStart::ServerToolUse { .. }
            | ContentBlockStart::SearchResult { .. }
            | ContentBlockStart::Other => {}
        }
    }

    fn delta<S: Sink>(&mut self, index: Option<u64>, delta: BlockDelta<'_>, sink: &mut S) {
        self.begin(sink);
        match delta {
            BlockDelta::Text(inner) | BlockDelta::Summary(inner) => self.text(inner, sink),
            BlockDelta::Refusal(inner) => self.refuse(inner, sink),
            BlockDelta::Thinking(inner) => self.reasoning(inner, sink),
            BlockDelta::Arguments(inner) => {
                // Nothing is shown of a call that the upstream runs itself.
                if let Some(fragment) = self.calls.continued(index, inner) {
                    self.arguments(&fragment, sink);
                }
            }
            BlockDelta::Citation(citation) => self.cited.take(citation),
            BlockDelta::Signature(_) | BlockDelta::Other => {}
        }
    }

    /// The kind of the tool with this name (inner text).
    fn callee(&self, name: &str) -> Callee {
        if self.custom.is_empty() {
            return Callee::Function;
        }
        let name = json::decode_text(name).unwrap_or_default();
        if self.custom.iter().any(|custom| **custom == *name) { Callee::Custom } else { Callee::Function }
    }

    fn arguments<S: Sink>(&self, fragment: &ArgumentsFragment<'_>, sink: &mut S) {
        let ArgumentsFragment { number, callee, ref text } = *fragment;
        sink.emit(&self.stamp, ChatEvent::Arguments { number, callee, fragment: text });
    }

    fn text<S: Sink>(&mut self, inner: &str, sink: &mut S) {
        if !inner.is_empty() {
            self.cited.passed(inner);
            sink.emit(&self.stamp, ChatEvent::Text(inner));
        }
    }

    fn refuse<S: Sink>(&mut self, inner: &str, sink: &mut S) {
        if !inner.is_empty() {
            self.has_refused = true;
            sink.emit(&self.stamp, ChatEvent::Refusal(inner));
        }
    }

    fn reasoning<S: Sink>(&self, inner: &str, sink: &mut S) {
        if self.shows_reasoning && !inner.is_empty() {
            sink.emit(&self.stamp, ChatEvent::Reasoning(inner));
        }
    }

    fn block_over<S: Sink>(&mut self, index: Option<u64>, sink: &mut S) {
        self.cited.end();
        if let Some(rest) = self.calls.close(index) {
            self.arguments(&rest, sink);
        }
    }

    fn count(&mut self, counts: Option<ReportedUsage>) {
        let Some(counts) = counts else { return };
        self.usage = counts.after(self.usage);
        self.thinking = counts.thinking.or(self.thinking);
    }

    fn ending(&mut self, ending: ReplyEnding<'_>) {
        self.stop = ending.reason.or(self.stop);
        self.is_filtered |= ending.is_filtered;
        if !ending.explanation.is_empty() {
            ending.explanation.clone_into(&mut self.explanation);
        }
    }

    /// The value of `finish_reason`. A refusal is a complete answer, and the client has it as one. Calls of a refused reply
    /// are not to be run.
    fn finish_reason<S: Sink>(&mut self, sink: &mut S) -> &'static str {
        let calls = self.calls.count();
        let reason = self.stop.unwrap_or(StopReason::EndTurn).with_calls(calls);
        if reason != StopReason::Refusal {
            return reason.finish_reason();
        }
        let explanation = std::mem::take(&mut self.explanation);
        if !self.has_refused {
            self.refuse(&explanation, sink);
        }
        if self.is_filtered || calls > 0 {
            return reason.finish_reason();
        }
        if !self.has_refused {
            self.refuse(NO_EXPLANATION, sink);
        }
        StopReason::EndTurn.finish_reason()
    }

    fn complete<S: Sink>(&mut self, sink: &mut S) {
        for rest in self.calls.close_all() {
            self.arguments(&rest, sink);
        }
        let sources = self.cited.finish();
        if !sources.is_empty() {
            sink.emit(&self.stamp, ChatEvent::Sources(&sources));
        }
        self.begin(sink);
        let (finish_reason, usage, thinking) = (self.finish_reason(sink), self.usage, self.thinking);
        sink.emit(&self.stamp, ChatEvent::End { finish_reason, usage, thinking });
    }
}

/// Between a summary and the text that follows it, inner text.
const SUMMARY_SEPARATOR: &str = "\\n\\n";
