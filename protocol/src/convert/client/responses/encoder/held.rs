//! Refusals, and text that may turn out to be one.
//!
//! Claude's models say in a text why they refuse, and only the end of the reply says that it is a refusal. A client that asked for
//! JSON would parse that text as its answer. So a text that does not begin as an object is held there until the reply ends.

use super::{
    EncodedReply, ItemText,
    events::{OutputEvent, Sink},
    item::{ItemContent, Message, OutputItem},
};
use crate::{
    convert::client::{NO_EXPLANATION, responses::context::AnswerForm},
    json,
};

/// Between a text and an explanation, inner text.
const BLANK_LINE: &str = "\\n\\n";

/// The text that is held.
#[derive(Debug)]
pub(super) enum HeldText {
    /// Text goes out as it comes.
    Nothing,
    /// Inner text.
    Text(String),
}

impl HeldText {
    /// For an answer in this form.
    pub(super) fn new(form: AnswerForm) -> Self {
        match form {
            AnswerForm::Text => Self::Nothing,
            AnswerForm::Object => Self::Text(String::new()),
        }
    }
}

impl EncodedReply {
    /// Holds inner text if it may be a refusal. Once the text begins as an object, everything goes out as it comes.
    pub(super) fn holds<S: Sink>(&mut self, inner: &str, sink: &mut S) -> bool {
        let HeldText::Text(held) = &mut self.held else { return false };
        held.push_str(inner);
        if json::trim_start(held).starts_with('{') {
            self.release(sink);
        }
        true
    }

    /// Sends the text that is held: it is no refusal.
    pub(super) fn release<S: Sink>(&mut self, sink: &mut S) {
        let HeldText::Text(held) = &mut self.held else { return };
        if !held.is_empty() {
            let held = std::mem::take(held);
            self.held = HeldText::Nothing;
            self.text(None, &held, sink);
        }
    }

    /// Whether the model refused, so that the refusal is the whole answer.
    pub(super) fn is_refusal(&self) -> bool {
        !self.is_filtered && self.calls() == 0
    }

    /// The number of calls that the client runs.
    pub(super) fn calls(&self) -> u32 {
        let is_call = |item: &&OutputItem| matches!(item.content, ItemContent::Call(_));
        u32::try_from(self.items.iter().filter(is_call).count()).unwrap_or(u32::MAX)
    }

    /// The reply is a refusal: its reason goes out, and in place of an unknown one that there is none.
    pub(super) fn explain_refusal<S: Sink>(&mut self, sink: &mut S) {
        let has_refused =
            |content: &ItemContent| matches!(content, ItemContent::Message(m) if m.refusal.is_some());
        if self.items.iter().any(|item| has_refused(&item.content)) {
            return;
        }
        let mut reason = String::new();
        if self.is_refusal()
            && let HeldText::Text(held) = &mut self.held
        {
            reason = std::mem::take(held);
        }
        let explanation = std::mem::take(&mut self.explanation);
        if !reason.is_empty() && !explanation.is_empty() {
            reason.push_str(BLANK_LINE);
        }
        reason.push_str(&explanation);
        if reason.is_empty() && self.is_refusal() {
            NO_EXPLANATION.clone_into(&mut reason);
        }
        self.refuse(None, &reason, sink);
    }

    /// Adds why there is no answer, or no more of it (inner text).
    pub(super) fn refuse<S: Sink>(&mut self, block: Option<u64>, inner: &str, sink: &mut S) {
        if inner.is_empty() {
            return;
        }
        let refuses =
            |content: &ItemContent| matches!(content, ItemContent::Message(m) if m.refusal.is_some());
        let at = self.open(block, refuses).unwrap_or_else(|| self.begin_refusal(block, sink));
        if let ItemContent::Message(Message { refusal: Some(refusal), .. }) = &mut self.items[at].content {
            refusal.push_str(inner);
        }
        sink.emit(OutputEvent::Delta(self.placed(at), ItemText::Refusal, inner));
    }

    /// Begins a refusal. A message has one, as its last part. Returns its place.
    fn begin_refusal<S: Sink>(&mut self, block: Option<u64>, sink: &mut S) -> usize {
        self.release(sink);
        let at = match self.last_message() {
            Some(at) => at,
            None => self.add(block, ItemContent::Message(Message::default()), sink),
        };
        self.continue_message(at, block, sink);
        self.texts_done(at, sink);
        if let ItemContent::Message(message) = &mut self.items[at].content {
            if let Some(text) = &mut message.text {
                text.is_done = true;
            }
            message.refusal = Some(String::new());
        }
        sink.emit(OutputEvent::PartAdded(self.placed(at), ItemText::Refusal));
        at
    }
}
