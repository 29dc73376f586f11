//! Decodes a Chat Completions reply into Messages events.
//!
//! At most one content block is open. Text and reasoning are sent as they arrive, and so are the arguments of the current tool
//! call. Content that arrives during that call is held until the arguments are a complete object, or until the reply ends.

mod choices;
mod cutting;
mod plain;
mod prose;
mod searching;

use super::{
    ChatReplyContext,
    calls::{CallFragment, PartialCalls},
    finish::Finish,
    thinking::{ReasoningDetails, Tags},
};
use crate::{
    anthropic::event::{ContentBlockStart, EventSink, MessagesEvent, ReplyEnding, ReportedUsage},
    convert::{
        CodecStep, ReplyDecoder, ReplySummary,
        upstream::{
            blocks::{Prose, SentBlocks},
            cut::{Behind, Cut},
            search::Search,
        },
    },
    fault::Fault,
    gemini, json,
    openai::{
        plain_delta::PlainDeltas,
        stream::{Chunk, ReplyMessage},
    },
    reported::Reported,
    vocabulary::{StopReason, Usage},
};

/// Reads one reply of a Chat Completions upstream.
pub struct ChatDecoder {
    context: ChatReplyContext,
    seed: u128,
    plain: PlainDeltas,
    blocks: SentBlocks,
    calls: PartialCalls,
    /// Prose that arrived while a tool call was open.
    held: Vec<(Prose, String)>,
    /// The content of choices other than the first.
    aside: String,
    /// Held white space. It is sent only if text follows.
    blank: String,
    tags: Tags,
    details: ReasoningDetails,
    is_started: bool,
    is_done: bool,
    is_whole: bool,
    /// Whether the reply arrives in deltas, even if all have been empty so far.
    has_deltas: bool,
    finish: Finish,
    cut: Cut,
    behind: Behind,
    search: Search,
    usage: Option<Usage>,
    reported_cost: Option<u64>,
    /// The part of the output tokens that is reasoning.
    thinking: Option<u64>,
    broken: Option<Fault>,
}

impl ReplyDecoder for ChatDecoder {
    fn push(&mut self, data: &[u8], events: &mut impl EventSink) -> CodecStep {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
            return CodecStep::End;
        }
        if data.is_empty() {
            return CodecStep::More;
        }
        if let Some(step) = self.plain_chunk(data, events) {
            return step;
        }
        match Chunk::read(data) {
            Ok(Some(chunk)) => self.chunk(data, &chunk, events),
            Ok(None) => CodecStep::More,
            Err(_) => self.broke(Fault::bad_gateway("invalid JSON in upstream stream")),
        }
    }

    fn push_whole(&mut self, body: &[u8], events: &mut impl EventSink) -> Result<(), Fault> {
        let Ok(chunk) = Chunk::read(body.trim_ascii()) else {
            return Err(Fault::bad_gateway("invalid JSON from the upstream"));
        };
        let is_reply = chunk
            .as_ref()
            .is_some_and(|chunk| chunk.choices().any(choices::is_answer) || chunk.fault(body).is_some());
        if !is_reply {
            return Err(Fault::bad_gateway("the upstream's reply has no message"));
        }
        self.is_done = true;
        self.is_whole = true;
        self.finish.came_whole();
        match chunk.map(|chunk| self.chunk(body, &chunk, events)) {
            Some(CodecStep::Fault(fault)) => Err(fault),
            Some(CodecStep::More | CodecStep::End) | None => Ok(()),
        }
    }

    fn finish(&mut self, events: &mut impl EventSink) -> ReplySummary {
        let fault = self.broken.take().or_else(|| self.unfinished());
        let stop_reason = match &fault {
            Some(fault) => {
                events.emit(MessagesEvent::Error(fault));
                None
            }
            None => Some(self.complete(events)),
        };
        let &mut Self { usage, reported_cost, .. } = self;
        let mut reported = Reported { cost: reported_cost, ..Reported::default() };
        reported.set_web_searches(Some(self.search.requests()));
        ReplySummary { stop_reason, usage, reported, tool_calls: self.calls.sent(), fault }
    }

    fn fail(&mut self, fault: Fault, events: &mut impl EventSink) -> ReplySummary {
        // After the cut, only the usage can be missing.
        self.broken = Some(fault).filter(|_| !self.is_cut_off());
        self.finish(events)
    }

    fn started(&self) -> bool {
        self.is_started
    }

    fn finishing(&self) -> bool {
        self.finish.is_over() || self.is_done || self.is_cut_off()
    }

    fn counted(&self) -> (Usage, u32) {
        (self.usage.unwrap_or_default(), self.calls.sent())
    }
}

impl ChatDecoder {
    /// Creates a decoder. The ids of the message and of calls without an id derive from `seed`. Every reply needs a new seed, because
    /// Claude Code joins replies with the same id.
    pub fn new(mut context: ChatReplyContext, seed: u128) -> Self {
        let tags = Tags::expecting(context.think_tag);
        let cut = Cut::at(std::mem::take(&mut context.cut_at));
        Self {
            context,
            seed,
            plain: PlainDeltas::default(),
            blocks: SentBlocks::default(),
            calls: PartialCalls::default(),
            held: Vec::new(),
            aside: String::new(),
            blank: String::new(),
            tags,
            details: ReasoningDetails::default(),
            is_started: false,
            is_done: false,
            is_whole: false,
            has_deltas: false,
            finish: Finish::default(),
            cut,
            behind: Behind::default(),
            search: Search::default(),
            usage: None,
            reported_cost: None,
            thinking: None,
            broken: None,
        }
    }

    fn chunk<S: EventSink>(&mut self, data: &[u8], chunk: &Chunk<'_>, sink: &mut S) -> CodecStep {
        self.usage = chunk.usage().or(self.usage);
        self.reported_cost = chunk.reported_cost().or(self.reported_cost);
        self.search.count(chunk.searches());
        self.pages(chunk);
        self.thinking = chunk.thinking().or(self.thinking);
        if let Some(fault) = chunk.fault(data) {
            return self.broke(fault);
        }
        for choice in chunk.choices() {
            if !self.is_cut_off() {
                self.choice(choice, sink);
            }
        }
        self.after_cut(data.len())
    }

    /// Remembers the fault, so that a `finish` that follows does not complete the reply.
    fn broke(&mut self, fault: Fault) -> CodecStep {
        if self.is_cut_off() {
            self.is_done = true;
            return CodecStep::End;
        }
        self.broken = Some(fault.clone());
        CodecStep::Fault(fault)
    }

    fn start<S: EventSink>(&mut self, sink: &mut S) {
        if self.is_started {
            return;
        }
        self.is_started = true;
        let id = format!("msg_{:024x}", self.seed & NINETY_SIX_BITS);
        let model = json::escape_text(&self.context.requested_model);
        let counts = Some(ReportedUsage::from(Usage::default()));
        sink.emit(MessagesEvent::MessageStart { id: &id, model: &model, counts });
        sink.emit(MessagesEvent::Ping);
    }

    fn delta<S: EventSink>(&mut self, delta: &ReplyMessage<'_>, sink: &mut S) {
        self.annotations(delta);
        if self.context.signature.is_some() {
            delta.reasoning().for_each(|inner| self.prose(Prose::Thinking, inner, sink));
        }
        let travels = self.context.keeps_details && self.context.signature.is_some();
        if let Some(details) = delta.reasoning_details.filter(|_| travels) {
            self.details.take(details);
        }
        if let Some(extra) = delta.extra_content.and_then(gemini::signature).filter(|_| self.carries()) {
            self.details.take_extra(None, extra);
        }
        delta.texts().for_each(|inner| self.text(inner, sink));
        if let Some(inner) = delta.refusal() {
            self.finish.refusal.push_str(inner);
            self.prose(Prose::Refusal, inner, sink);
        }
        self.called(delta, 0, sink);
    }

    /// Takes the calls of a message or a delta; each choice counts its own.
    fn called<S: EventSink>(&mut self, delta: &ReplyMessage<'_>, choice: u64, sink: &mut S) {
        let first = i64::try_from(choice.min(CHOICES)).unwrap_or_default() << 32;
        for (position, call) in delta.tool_calls.0.iter().enumerate() {
            let Some(mut fragment) = call.0.as_ref().and_then(CallFragment::from_call) else { continue };
            // In a whole message every entry is a call of its own.
            if self.is_whole {
                fragment.index = i64::try_from(position).ok();
            }
            fragment.index = fragment.index.map(|index| index.saturating_add(first));
            self.fragment(&fragment, sink);
        }
        if let Some(function) = &delta.function_call.0 {
            self.fragment(&CallFragment::from_function(function), sink);
        }
    }

    fn fragment<S: EventSink>(&mut self, fragment: &CallFragment<'_>, sink: &mut S) {
        if self.is_cut_off() {
            return;
        }
        self.release(sink);
        let (at, arguments) = self.calls.book(fragment);
        if !self.calls.is_open_at(at) {
            self.calls.keep(at, &arguments);
            self.advance(sink);
        } else {
            let arguments = self.blocks.halves.join(&arguments);
            self.blocks.arguments(&arguments, sink);
        }
    }

    /// Sends calls, as far as their order and completeness allow.
    fn advance<S: EventSink>(&mut self, sink: &mut S) {
        if self.context.signs_late {
            return;
        }
        loop {
            if let Some(open) = self.calls.open() {
                if !(open.is_complete() && self.calls.has_more()) {
                    return;
                }
                self.close_call(sink);
            }
            // A call without arguments stays held: its name may continue, and arguments may follow.
            if self.calls.next().is_none_or(|call| call.name.is_empty() || !call.has_arguments()) {
                return;
            }
            self.open_call(sink);
        }
    }

    fn open_call<S: EventSink>(&mut self, sink: &mut S) {
        let id = self.calls.next_id(self.context.maker).unwrap_or_else(|| self.tool_id());
        let extra = self.calls.next().and_then(|call| call.extra.take()).filter(|_| self.carries());
        if let Some(extra) = extra {
            self.details.take_extra(Some(&id), &extra);
        }
        self.carry(sink);
        self.close_prose(sink);
        self.show_search(sink);
        let index = Some(self.blocks.index);
        self.blank.clear();
        let Some(call) = self.calls.next() else { return };
        let name = self.context.names.get(&call.name).unwrap_or(&call.name);
        sink.emit(MessagesEvent::BlockStart {
            index,
            block: ContentBlockStart::ToolUse { id: &id, name, input: None },
        });
        let pending = std::mem::take(&mut call.pending);
        let pending = self.blocks.halves.join(&pending);
        self.blocks.arguments(&pending, sink);
        self.calls.opened();
    }

    fn close_call<S: EventSink>(&mut self, sink: &mut S) {
        let Some(call) = self.calls.open() else { return };
        let index = Some(self.blocks.index);
        // Clients parse the accumulated input when the block stops.
        for rest in [self.blocks.halves.rest(), call.rest()] {
            self.blocks.arguments(rest, sink);
        }
        sink.emit(MessagesEvent::BlockStop { index });
        self.blocks.index += 1;
        self.calls.closed();
        for (prose, inner) in std::mem::take(&mut self.held) {
            self.write(prose, &inner, sink);
        }
    }

    fn tool_id(&self) -> String {
        // An odd factor keeps the ids of one reply apart.
        let salt =
            (u128::from(self.calls.sent()) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        format!("toolu_{:024x}", (self.seed.rotate_left(48) ^ salt) & NINETY_SIX_BITS)
    }

    fn unfinished(&self) -> Option<Fault> {
        match (self.is_started, self.finishing()) {
            (true, true) => None,
            (false, true) => Some(Fault::bad_gateway("the upstream ended the stream without a reply")),
            (_, false) => Some(Fault::bad_gateway("the upstream closed the stream early")),
        }
    }

    fn complete<S: EventSink>(&mut self, sink: &mut S) -> StopReason {
        let left = self.tags.finish();
        self.pieces(left, sink);
        self.release(sink);
        self.close_call(sink);
        self.complete_search(sink);
        while let Some(call) = self.calls.next() {
            if call.name.is_empty() {
                self.calls.skip();
            } else {
                self.open_call(sink);
                self.close_call(sink);
            }
        }
        self.close_prose(sink);
        // Some clients read the first block without checking that one exists.
        if self.blocks.index == 0 {
            sink.emit(MessagesEvent::BlockStart { index: Some(0), block: ContentBlockStart::Text });
            sink.emit(MessagesEvent::BlockStop { index: Some(0) });
            self.blocks.index += 1;
        }
        if let Some(sequence) = self.cut.met() {
            self.finish.cut(json::escape_text(sequence));
        }
        let reason = self.finish.reason(self.calls.sent());
        let sequence = self.finish.stop_sequence.as_deref().filter(|_| reason == StopReason::StopSequence);
        let ending = ReplyEnding {
            reason: Some(reason),
            sequence,
            explanation: if reason == StopReason::Refusal { &self.finish.refusal } else { "" },
            is_filtered: reason == StopReason::Refusal && self.finish.is_filtered(),
            searches: self.context.searches.then(|| self.search.requests()),
            is_unjudged: self.context.asks_for_judgement,
        };
        let counts =
            ReportedUsage { thinking: self.thinking, ..ReportedUsage::from(self.usage.unwrap_or_default()) };
        sink.emit(MessagesEvent::MessageDelta { ending, counts: Some(counts) });
        sink.emit(MessagesEvent::MessageStop);
        reason
    }
}

/// Maximum number of choices that are distinguished.
const CHOICES: u64 = 1 << 16;
const NINETY_SIX_BITS: u128 = (1 << 96) - 1;
