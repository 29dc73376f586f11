//! The choices of a reply. The request asks for one answer, but some vendors send its text in one choice and its calls in
//! another.

use super::ChatDecoder;
use crate::{
    anthropic::event::EventSink,
    json::Literal,
    openai::stream::{Choice, ReplyMessage},
    vocabulary::StopReason,
};

/// Whether a choice of a whole reply is an answer or a part of it.
pub(super) fn is_answer(choice: &Choice<'_>) -> bool {
    choice.is_answer()
        && (choice.index() == 0
            || ends_with_calls(choice)
            || whole_message(choice).is_some_and(ReplyMessage::calls))
}

fn ends_with_calls(choice: &Choice<'_>) -> bool {
    let word = choice.finish_reason().and_then(Literal::decode);
    word.and_then(|word| StopReason::from_finish_reason(&word)) == Some(StopReason::ToolUse)
}

/// The message of a whole reply. If it is empty, there may be a delta.
fn whole_message<'c, 'a>(choice: &'c Choice<'a>) -> Option<&'c ReplyMessage<'a>> {
    let (delta, message) = (choice.delta.0.as_ref(), choice.message.0.as_ref());
    message.filter(|message| delta.is_none() || message.says_something()).or(delta)
}

impl ChatDecoder {
    pub(super) fn choice<S: EventSink>(&mut self, choice: &Choice<'_>, sink: &mut S) {
        if choice.index() != 0 {
            return self.other_choice(choice, sink);
        }
        self.start(sink);
        if let Some(said) = self.reply_message(choice) {
            self.delta(said, sink);
        }
        self.finish.take(choice, &self.context.stop_sequences);
    }

    /// Handles a choice other than the first. Its calls belong to the answer, and so does its text if it ends with calls. Any other
    /// choice is another answer, which was not requested.
    fn other_choice<S: EventSink>(&mut self, choice: &Choice<'_>, sink: &mut S) {
        let said = if self.is_whole { whole_message(choice) } else { choice.delta.0.as_ref() };
        let calls = said.filter(|said| said.calls());
        let is_over = ends_with_calls(choice);
        if let Some(said) = said {
            said.texts().for_each(|inner| self.aside.push_str(inner));
        }
        if calls.is_some() || is_over {
            self.start(sink);
        }
        if is_over {
            let aside = std::mem::take(&mut self.aside);
            self.text(&aside, sink);
        }
        if let Some(said) = calls {
            self.called(said, choice.index(), sink);
        }
        if calls.is_some() || is_over {
            self.finish.take(choice, &self.context.stop_sequences);
        }
    }

    /// The content of a choice: the message of a whole reply, or the delta of a stream. Some vendors send both, one of them empty,
    /// or end a stream with a message that repeats the deltas.
    fn reply_message<'c, 'a>(&mut self, choice: &'c Choice<'a>) -> Option<&'c ReplyMessage<'a>> {
        if self.is_whole {
            return whole_message(choice);
        }
        let (delta, message) = (choice.delta.0.as_ref(), choice.message.0.as_ref());
        let has_deltas = self.has_deltas;
        self.has_deltas |= delta.is_some();
        let message = message.filter(|_| match delta {
            None => !has_deltas || !self.has_spoken(),
            Some(delta) => choice.finish_reason().is_some() && !self.has_spoken() && !delta.says_something(),
        });
        message.or(delta)
    }

    fn has_spoken(&self) -> bool {
        self.blocks.index > 0 || self.blocks.open.is_some() || !self.calls.is_empty()
    }
}
