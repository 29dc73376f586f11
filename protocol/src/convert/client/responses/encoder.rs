//! Messages events written as a Responses reply.
//!
//! Blocks become items: texts that follow one another are one message, everything else is an item of its own. An item is done
//! when the next one begins or the reply ends, because only then it is known whether more text follows and whether the reply
//! was cut in it.

mod blocks;
mod call;
mod events;
mod held;
mod item;
mod response;
#[cfg(test)]
mod tests;

use bytes::BytesMut;

use self::{
    call::Call,
    events::{EventStream, LastResponse, OutputEvent, PlacedItem, Sink},
    held::HeldText,
    item::{ItemContent, ItemStage, ItemStatus, OutputItem, Reasoning},
    response::{IncompleteReason, ResponseHead, ResponseState, ResponseView},
};
use super::{ResponsesClientContext, context::ToolKind};
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, MessagesEvent, ReplyEnding, ReportedUsage},
    convert::{
        ReplyEncoder,
        client::{call_ids::CallIds, chat::ReplyIdentity},
    },
    fault::Fault,
    tool_id::Maker,
    vocabulary::{StopReason, Usage},
};

/// A text that streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemText {
    Output,
    Refusal,
    Summary,
    /// The arguments of a function.
    Arguments,
    /// The input of a custom tool.
    Input,
}

/// Writes one reply for a Responses client.
pub struct ResponsesEncoder {
    reply: EncodedReply,
    /// The number of the next event of a stream.
    sequence: u64,
    /// The whole reply.
    body: Vec<u8>,
}

impl ResponsesEncoder {
    /// For one reply to the request that `context` is from.
    pub fn new(context: ResponsesClientContext, identity: ReplyIdentity) -> Self {
        Self { reply: EncodedReply::new(context, identity), sequence: 0, body: Vec::new() }
    }
}

impl ReplyEncoder for ResponsesEncoder {
    fn stream(&mut self, event: MessagesEvent<'_>, out: &mut BytesMut) {
        self.reply.event(event, &mut EventStream { out, sequence: &mut self.sequence });
    }

    fn collect(&mut self, event: MessagesEvent<'_>) {
        self.reply.event(event, &mut LastResponse(&mut self.body));
    }

    fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// The reply so far.
struct EncodedReply {
    head: ResponseHead,
    seed: u128,
    provider: String,
    model: String,
    /// The tools whose calls are not plain functions.
    tools: Vec<(String, ToolKind)>,
    includes_reasoning: bool,
    shows_summary: bool,
    call_ids: CallIds,
    items: Vec<OutputItem>,
    /// This many of the first items are done.
    done: usize,
    stage: ReplyStage,
    stop: Option<StopReason>,
    /// Why a Messages upstream refused, inner text.
    explanation: String,
    /// A filter stopped the reply, and not the model itself.
    is_filtered: bool,
    held: HeldText,
    usage: Option<Usage>,
    /// The text so far is the summary of a compaction.
    is_summary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyStage {
    Waiting,
    Running,
    Over,
}

impl EncodedReply {
    fn new(context: ResponsesClientContext, identity: ReplyIdentity) -> Self {
        let ReplyIdentity { seed, created } = identity;
        let maker = Maker::new(&context.provider, &context.model);
        Self {
            head: ResponseHead {
                id: format!("resp_{seed:032x}"),
                created,
                model: context.requested_model,
                echo: context.echo,
            },
            seed,
            provider: context.provider,
            model: context.model,
            tools: context.tools,
            includes_reasoning: context.includes_reasoning,
            shows_summary: context.shows_summary,
            call_ids: CallIds::new(maker, seed),
            items: Vec::new(),
            done: 0,
            stage: ReplyStage::Waiting,
            stop: None,
            explanation: String::new(),
            is_filtered: false,
            held: HeldText::new(context.answer_form),
            usage: None,
            is_summary: false,
        }
    }

    fn event<S: Sink>(&mut self, event: MessagesEvent<'_>, sink: &mut S) {
        if self.stage == ReplyStage::Over {
            return;
        }
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
            MessagesEvent::Error(fault) => self.fail(fault, sink),
            MessagesEvent::Ping => {}
        }
    }

    fn begin<S: Sink>(&mut self, sink: &mut S) {
        if self.stage == ReplyStage::Waiting {
            self.stage = ReplyStage::Running;
            self.report(ResponseState::Created, sink);
            self.report(ResponseState::InProgress, sink);
        }
    }

    fn report<S: Sink>(&self, state: ResponseState<'_>, sink: &mut S) {
        let usage = match state {
            ResponseState::Created | ResponseState::InProgress => None,
            ResponseState::Completed | ResponseState::Incomplete(_) => Some(self.usage.unwrap_or_default()),
            ResponseState::Failed(_) => self.usage,
        };
        sink.emit(OutputEvent::Response(ResponseView { head: &self.head, state, items: &self.items, usage }));
    }

    fn count(&mut self, counts: Option<ReportedUsage>) {
        if let Some(counts) = counts {
            self.usage = Some(counts.after(self.usage.unwrap_or_default()));
        }
    }

    fn block<S: Sink>(&mut self, index: Option<u64>, block: ContentBlockStart<'_>, sink: &mut S) {
        self.begin(sink);
        match block {
            ContentBlockStart::Text => self.text_block(index, sink),
            ContentBlockStart::Refusal => {}
            ContentBlockStart::Compaction => self.is_summary = true,
            ContentBlockStart::Thinking => {
                self.add(index, ItemContent::Reasoning(Reasoning::default()), sink);
            }
            ContentBlockStart::RedactedThinking { data } => {
                self.redacted(index, data, sink);
            }
            ContentBlockStart::ToolUse { id, name, input } => {
                let call_id = self.call_ids.next(id);
                let call = Call::new(self.kind(name), call_id, name, input);
                self.add(index, ItemContent::Call(call), sink);
            }
            ContentBlockStart::ServerToolUse { id } => {
                self.search(index, id, sink);
            }
            ContentBlockStart::SearchResult { id, sources } => self.found(index, id, sources, sink),
            ContentBlockStart::Other => {}
        }
    }

    fn delta<S: Sink>(&mut self, index: Option<u64>, delta: BlockDelta<'_>, sink: &mut S) {
        self.begin(sink);
        match delta {
            BlockDelta::Text(inner) | BlockDelta::Summary(inner) => self.text(index, inner, sink),
            BlockDelta::Refusal(inner) => self.refuse(index, inner, sink),
            BlockDelta::Thinking(inner) => self.thinking(index, inner, sink),
            BlockDelta::Signature(inner) => self.sign(index, inner),
            BlockDelta::Arguments(inner) => self.arguments(index, inner, sink),
            BlockDelta::Citation(citation) => self.cite(index, citation),
            BlockDelta::Other => {}
        }
    }
}

/// The end of the reply.
impl EncodedReply {
    fn ending(&mut self, ending: ReplyEnding<'_>) {
        self.stop = ending.reason.or(self.stop);
        self.is_filtered |= ending.is_filtered;
        if !ending.explanation.is_empty() {
            ending.explanation.clone_into(&mut self.explanation);
        }
    }

    fn complete<S: Sink>(&mut self, sink: &mut S) {
        self.begin(sink);
        if self.stop == Some(StopReason::Refusal) {
            self.explain_refusal(sink);
        }
        self.release(sink);
        for at in self.done..self.items.len() {
            self.close(at, sink);
        }
        let state = match self.stop.unwrap_or(StopReason::EndTurn).with_calls(self.calls()) {
            StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolUse | StopReason::Compaction => {
                ResponseState::Completed
            }
            // A client of this API cannot resume the turn, and must not take it for the answer.
            StopReason::PauseTurn => ResponseState::Incomplete(IncompleteReason::PauseTurn),
            StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => {
                ResponseState::Incomplete(IncompleteReason::MaxOutputTokens)
            }
            // A refusal is a complete answer. Calls of a refused reply are not to be run.
            StopReason::Refusal if self.is_refusal() => ResponseState::Completed,
            StopReason::Refusal => ResponseState::Incomplete(IncompleteReason::ContentFilter),
        };
        let last = match state {
            ResponseState::Incomplete(_) => ItemStatus::Incomplete,
            ResponseState::Created
            | ResponseState::InProgress
            | ResponseState::Completed
            | ResponseState::Failed(_) => ItemStatus::Completed,
        };
        for at in self.done..self.items.len() {
            let is_last = at + 1 == self.items.len();
            self.finish(at, if is_last { last } else { ItemStatus::Completed }, sink);
        }
        self.report(state, sink);
        self.stage = ReplyStage::Over;
    }

    /// What is open stays without its last events, so that nobody takes it for complete.
    fn fail<S: Sink>(&mut self, fault: &Fault, sink: &mut S) {
        self.begin(sink);
        self.release(sink);
        self.settle(sink);
        for item in &mut self.items[self.done..] {
            if let ItemStage::Open | ItemStage::BlockOver = item.stage {
                item.stage = ItemStage::Done(ItemStatus::Incomplete);
            }
        }
        self.report(ResponseState::Failed(fault), sink);
        self.stage = ReplyStage::Over;
    }
}

/// The life of an item.
impl EncodedReply {
    /// Adds an item, behind which all those are done whose block is over. Returns its index.
    fn add<S: Sink>(&mut self, block: Option<u64>, content: ItemContent, sink: &mut S) -> usize {
        self.release(sink);
        self.settle(sink);
        let index = self.items.len();
        let prefix = match &content {
            ItemContent::Message(_) => "msg_",
            ItemContent::Reasoning(_) => "rs_",
            ItemContent::Call(call) => call.id_prefix(),
            ItemContent::Search(_) => "ws_",
        };
        // An odd factor keeps the ids of one reply apart.
        let salt = (index as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let id = format!("{prefix}{:032x}", self.seed.rotate_left(16) ^ salt);
        self.items.push(OutputItem { id, block, stage: ItemStage::Open, content });
        sink.emit(OutputEvent::ItemAdded(self.placed(index)));
        index
    }

    fn placed(&self, index: usize) -> PlacedItem<'_> {
        PlacedItem { index, item: &self.items[index] }
    }

    /// The last open item that this block is a part of.
    fn open(&self, block: Option<u64>, is_wanted: impl Fn(&ItemContent) -> bool) -> Option<usize> {
        let is_open = |item: &OutputItem| {
            item.stage == ItemStage::Open
                && (block.is_none() || item.block == block)
                && is_wanted(&item.content)
        };
        self.items[self.done..].iter().rposition(is_open).map(|at| self.done + at)
    }

    /// Reports all items as done whose block is over.
    fn settle<S: Sink>(&mut self, sink: &mut S) {
        for at in self.done..self.items.len() {
            if self.items[at].stage == ItemStage::BlockOver {
                self.finish(at, ItemStatus::Completed, sink);
            }
        }
        let is_done = |item: &&OutputItem| matches!(item.stage, ItemStage::Done(_));
        self.done += self.items[self.done..].iter().take_while(is_done).count();
    }

    /// Reports an item as done.
    fn finish<S: Sink>(&mut self, at: usize, status: ItemStatus, sink: &mut S) {
        if let ItemStage::Done(_) = self.items[at].stage {
            return;
        }
        self.texts_done(at, sink);
        self.items[at].stage = ItemStage::Done(status);
        sink.emit(OutputEvent::ItemDone(self.placed(at)));
    }

    fn texts_done<S: Sink>(&mut self, at: usize, sink: &mut S) {
        let placed = self.placed(at);
        match &placed.item.content {
            ItemContent::Message(message) => {
                let is_open = message.text.as_ref().is_some_and(|text| !text.is_done);
                let open = [(is_open, ItemText::Output), (message.refusal.is_some(), ItemText::Refusal)];
                for (_, text) in open.into_iter().filter(|(is_open, _)| *is_open) {
                    sink.emit(OutputEvent::TextDone(placed, text));
                    sink.emit(OutputEvent::PartDone(placed, text));
                }
            }
            ItemContent::Reasoning(reasoning) if reasoning.summary.is_some() => {
                sink.emit(OutputEvent::TextDone(placed, ItemText::Summary));
                sink.emit(OutputEvent::PartDone(placed, ItemText::Summary));
            }
            ItemContent::Call(call) => {
                if let Some(text) = call.streamed_text() {
                    sink.emit(OutputEvent::TextDone(placed, text));
                }
            }
            ItemContent::Reasoning(_) | ItemContent::Search(_) => {}
        }
    }
}
