//! Why a reply ended, out of what the upstream said about it on the way.

use crate::{openai::stream::Choice, vocabulary::StopReason};

#[derive(Debug, Default)]
pub(super) struct Finish {
    /// What the upstream said last.
    pub(super) reason: Option<StopReason>,
    /// The stop sequence that was met, inner text.
    pub(super) stop_sequence: Option<String>,
    pub(super) is_refused: bool,
    /// The gateway itself has cut the reply at `stop_sequence`, whatever the upstream says of its end.
    is_cut: bool,
}

impl Finish {
    /// Takes what this piece of the reply says; `sequences` are those that the client gave.
    pub(super) fn take(&mut self, choice: &Choice<'_>, sequences: &[String]) {
        if let Some(word) = choice.finish_reason() {
            let word = word.decode();
            let reason = word.as_deref().and_then(StopReason::from_finish_reason);
            self.reason = Some(reason.unwrap_or(StopReason::EndTurn));
        }
        if let Some(met) = choice.stop_string()
            && sequences.iter().any(|sequence| met.is(sequence))
        {
            self.stop_sequence = Some(met.inner().to_owned());
        }
    }

    /// The reply was cut at this sequence (inner text).
    pub(super) fn cut(&mut self, sequence: String) {
        self.stop_sequence = Some(sequence);
        self.is_cut = true;
    }

    /// What the client is told: `tool_use` exactly if there is a tool to use, unless the reply was cut or refused.
    pub(super) fn reason(&self, calls: u32) -> StopReason {
        if self.is_cut && calls == 0 {
            return StopReason::StopSequence;
        }
        match self.reason.unwrap_or(StopReason::EndTurn) {
            StopReason::EndTurn | StopReason::ToolUse | StopReason::PauseTurn if calls > 0 => {
                StopReason::ToolUse
            }
            StopReason::EndTurn | StopReason::ToolUse | StopReason::PauseTurn if self.is_refused => {
                StopReason::Refusal
            }
            StopReason::EndTurn if self.stop_sequence.is_some() => StopReason::StopSequence,
            StopReason::EndTurn | StopReason::ToolUse | StopReason::PauseTurn => StopReason::EndTurn,
            StopReason::StopSequence if calls > 0 => StopReason::ToolUse,
            StopReason::StopSequence => StopReason::StopSequence,
            StopReason::MaxTokens => StopReason::MaxTokens,
            StopReason::Refusal => StopReason::Refusal,
            StopReason::ModelContextWindowExceeded => StopReason::ModelContextWindowExceeded,
        }
    }
}
