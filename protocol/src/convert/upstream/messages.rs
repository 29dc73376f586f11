//! Upstreams of the Messages API: their events are the hub's. This decoder adds what is known of the reply as a whole.

use crate::{
    anthropic::{
        error::reported,
        event::{ContentBlockStart, EventSink, MessagesEvent, ReportedUsage},
        reader::{NotAMessage, StreamPosition, read_event, read_message},
    },
    convert::{CodecStep, ReplyDecoder, ReplySummary},
    fault::Fault,
    json::NotJson,
    reported::Reported,
    vocabulary::{StopReason, Usage},
};

/// Reads one reply of a Messages upstream.
#[derive(Debug, Default)]
pub struct MessagesDecoder {
    progress: ReplyProgress,
    /// `message_stop` has come, or the reply came whole.
    is_done: bool,
    /// The error that the upstream reported. It outlasts a `finish` that follows.
    broken: Option<Fault>,
}

/// What the events so far amount to.
#[derive(Debug, Default)]
struct ReplyProgress {
    is_started: bool,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    reported: Reported,
    calls: u32,
}

impl ReplyProgress {
    fn note(&mut self, event: &MessagesEvent<'_>) {
        match event {
            MessagesEvent::MessageStart { counts, .. } => {
                self.count(*counts);
                self.is_started = true;
            }
            MessagesEvent::BlockStart { block, .. } => {
                self.calls =
                    self.calls.saturating_add(u32::from(matches!(block, ContentBlockStart::ToolUse { .. })));
                self.is_started = true;
            }
            MessagesEvent::Delta { .. } => self.is_started = true,
            MessagesEvent::MessageDelta { ending, counts } => {
                self.count(*counts);
                self.stop = ending.reason.or(self.stop);
                // Its explanation is content.
                self.is_started |= self.stop == Some(StopReason::Refusal) && !ending.explanation.is_empty();
            }
            MessagesEvent::Ping
            | MessagesEvent::BlockStop { .. }
            | MessagesEvent::MessageStop
            | MessagesEvent::Error(_) => {}
        }
    }

    fn count(&mut self, counts: Option<ReportedUsage>) {
        if let Some(counts) = counts {
            self.usage = Some(counts.after(self.usage.unwrap_or_default()));
            self.reported.set_web_searches(counts.searches);
        }
    }
}

/// Notes every event on its way.
struct Noted<'p, S> {
    progress: &'p mut ReplyProgress,
    sink: &'p mut S,
}

impl<S: EventSink> EventSink for Noted<'_, S> {
    fn emit(&mut self, event: MessagesEvent<'_>) {
        self.progress.note(&event);
        self.sink.emit(event);
    }
}

impl MessagesDecoder {
    /// For one reply.
    pub fn new() -> Self {
        Self::default()
    }

    fn broke(&mut self, fault: Fault) -> CodecStep {
        self.broken = Some(fault.clone());
        CodecStep::Fault(fault)
    }

    /// Why the reply is not complete, if it is not.
    fn unfinished(&self) -> Option<Fault> {
        match (self.progress.is_started, self.is_done) {
            (true, true) => None,
            (false, true) => Some(Fault::bad_gateway("the upstream ended the stream without a reply")),
            (_, false) => Some(Fault::cut()),
        }
    }
}

impl ReplyDecoder for MessagesDecoder {
    fn push(&mut self, data: &[u8], events: &mut impl EventSink) -> CodecStep {
        let data = data.trim_ascii();
        // Some vendors close with the terminator of Chat Completions, which means nothing here.
        if data.is_empty() || data == b"[DONE]" {
            return CodecStep::More;
        }
        match read_event(data, &mut Noted { progress: &mut self.progress, sink: events }) {
            Ok(StreamPosition::Running) => CodecStep::More,
            Ok(StreamPosition::Stopped) => {
                self.is_done = true;
                CodecStep::End
            }
            Ok(StreamPosition::Failed) => self.broke(reported(data)),
            Err(NotJson) => self.broke(Fault::bad_gateway("invalid JSON in upstream stream")),
        }
    }

    fn push_whole(&mut self, body: &[u8], events: &mut impl EventSink) -> Result<(), Fault> {
        let noted = &mut Noted { progress: &mut self.progress, sink: events };
        read_message(body.trim_ascii(), noted).map_err(|problem| match problem {
            NotAMessage::NotJson => Fault::bad_gateway("invalid JSON from the upstream"),
            NotAMessage::Error => reported(body),
            NotAMessage::NoContent => Fault::bad_gateway("the upstream's reply has no content"),
        })?;
        self.is_done = true;
        Ok(())
    }

    fn finish(&mut self, events: &mut impl EventSink) -> ReplySummary {
        let fault = self.broken.take().or_else(|| self.unfinished());
        let ReplyProgress { stop, usage, calls: tool_calls, .. } = self.progress;
        let stop_reason = match &fault {
            Some(fault) => {
                events.emit(MessagesEvent::Error(fault));
                None
            }
            None => {
                events.emit(MessagesEvent::MessageStop);
                Some(stop.unwrap_or(StopReason::EndTurn).with_calls(tool_calls))
            }
        };
        let reported = self.progress.reported.clone();
        ReplySummary { stop_reason, usage, reported, tool_calls, fault }
    }

    fn fail(&mut self, fault: Fault, events: &mut impl EventSink) -> ReplySummary {
        self.broken = Some(fault);
        self.finish(events)
    }

    fn started(&self) -> bool {
        self.progress.is_started
    }

    fn finishing(&self) -> bool {
        self.is_done
    }

    fn counted(&self) -> (Usage, u32) {
        (self.progress.usage.unwrap_or_default(), self.progress.calls)
    }
}
