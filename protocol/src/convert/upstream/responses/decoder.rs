//! Decodes a Responses reply into Messages events.
//!
//! A reply is a list of items. The client gets one after the other: the item whose turn it is as it arrives, and what arrives of
//! another one when its turn comes.

mod call;
mod content;
mod ending;
mod items;
mod parts;
mod plain;
mod writer;

use super::ResponsesReplyContext;
use crate::{
    anthropic::event::{EventSink, MessagesEvent},
    convert::{CodecStep, ReplyDecoder, ReplySummary, upstream::cut::Behind},
    fault::Fault,
    openai::{
        error,
        responses_stream::{EventKind, ReplyManner, ResponseObject, ResponsesEvent},
    },
    reported::Reported,
    vocabulary::{StopReason, Usage},
};
use ending::Counts;
use items::Items;
use writer::BlockWriter;

/// Reads one reply of a Responses upstream.
#[derive(Debug)]
pub struct ResponsesDecoder {
    writer: BlockWriter,
    items: Items,
    manner: ReplyManner,
    /// Whether the last event has come.
    is_over: bool,
    /// Why the reply is incomplete, if it is.
    incomplete: Option<StopReason>,
    counts: Counts,
    /// What the client does not get.
    left_out: Reported,
    behind: Behind,
    broken: Option<Fault>,
}

impl ResponsesDecoder {
    /// For one reply to the request that `context` is from. The ids of the message and of calls without an id derive from `seed`,
    /// which is new for every reply.
    pub fn new(context: ResponsesReplyContext, seed: u128) -> Self {
        Self {
            writer: BlockWriter::new(context, seed),
            items: Items::default(),
            manner: ReplyManner::default(),
            is_over: false,
            incomplete: None,
            counts: Counts::default(),
            left_out: Reported::default(),
            behind: Behind::default(),
            broken: None,
        }
    }

    fn event<S: EventSink>(&mut self, data: &[u8], event: &ResponsesEvent<'_>, sink: &mut S) -> CodecStep {
        if let Some(fault) = event.fault(data) {
            return self.broke(fault);
        }
        let kind = event.kind();
        if kind == EventKind::Over {
            self.over(event.response.0.as_ref(), event.incomplete(), sink);
            return CodecStep::End;
        }
        if self.writer.is_cut_off() {
            return self.after_cut(data.len());
        }
        match kind {
            EventKind::ItemAdded => self.item_added(event, sink),
            EventKind::ItemDone => self.item_done(event, sink),
            EventKind::Delta(kind) => self.delta(event, kind, sink),
            EventKind::Done(kind) => self.text_done(event, kind, sink),
            EventKind::Annotation => self.annotation(event, sink),
            // A reply that has no content yet can still fail, and then another upstream can be tried: it has not begun.
            EventKind::Alive | EventKind::Other => {}
            EventKind::Over | EventKind::Failed | EventKind::Error => {}
        }
        CodecStep::More
    }

    /// The next step after an event of this size behind the cut. The usage comes with the last event. If that is far, the decoder
    /// ends the reply without it, which closes the upstream connection.
    fn after_cut(&mut self, size: usize) -> CodecStep {
        if self.behind.has_room(size) { CodecStep::More } else { CodecStep::End }
    }

    /// Remembers the fault, so that a `finish` that follows does not complete the reply.
    fn broke(&mut self, fault: Fault) -> CodecStep {
        if self.writer.is_cut_off() {
            return CodecStep::End;
        }
        self.broken = Some(fault.clone());
        CodecStep::Fault(fault)
    }

    fn unfinished(&self) -> Option<Fault> {
        (!self.finishing()).then(Fault::cut)
    }
}

impl ReplyDecoder for ResponsesDecoder {
    fn push(&mut self, data: &[u8], events: &mut impl EventSink) -> CodecStep {
        let data = data.trim_ascii();
        // Some vendors end every stream with it, but it says nothing about the reply.
        if data.is_empty() || data == b"[DONE]" {
            return CodecStep::More;
        }
        if let Some(step) = self.plain_text(data, events) {
            return step;
        }
        match ResponsesEvent::read(data) {
            Ok(Some(event)) => self.event(data, &event, events),
            Ok(None) => CodecStep::More,
            Err(_) => self.broke(Fault::bad_gateway("invalid JSON in upstream stream")),
        }
    }

    fn push_whole(&mut self, body: &[u8], events: &mut impl EventSink) -> Result<(), Fault> {
        let body = body.trim_ascii();
        let Ok(response) = ResponseObject::read(body) else {
            return Err(Fault::bad_gateway("invalid JSON from the upstream"));
        };
        let no_reply = || Fault::bad_gateway("the upstream's reply has no output");
        let response = response.ok_or_else(no_reply)?;
        if let Some(fault) = response.fault() {
            return Err(fault);
        }
        if !response.has_output() {
            return Err(if response.has_error() { error::read_inside(body) } else { no_reply() });
        }
        if response.is_unfinished() {
            return Err(Fault::bad_gateway("the upstream answered before its reply was complete"));
        }
        self.over(Some(&response), response.incomplete(), events);
        Ok(())
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
        self.summary(stop_reason, fault)
    }

    fn fail(&mut self, fault: Fault, events: &mut impl EventSink) -> ReplySummary {
        // After the cut, only the usage can be missing.
        self.broken = Some(fault).filter(|_| !self.writer.is_cut_off());
        self.finish(events)
    }

    fn started(&self) -> bool {
        self.writer.is_started()
    }

    fn finishing(&self) -> bool {
        self.is_over || self.writer.is_cut_off()
    }

    fn counted(&self) -> (Usage, u32) {
        (self.counts.usage.unwrap_or_default(), self.writer.calls())
    }
}
