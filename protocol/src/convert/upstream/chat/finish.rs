//! Determines the stop reason of a reply from the reasons that the upstream reported.

use crate::{openai::stream::Choice, vocabulary::StopReason};

#[derive(Debug, Default)]
pub(super) struct Finish {
    /// The last reason that the upstream reported.
    pub(super) reason: Option<StopReason>,
    /// The stop sequence that ended the reply, as inner text (JSON string content with its escapes).
    pub(super) stop_sequence: Option<String>,
    /// The refusal, inner text; empty if the model did not refuse.
    pub(super) refusal: String,
    /// Whether the last reason is that of a filter.
    is_filtered: bool,
    /// Whether the reply came whole, so that nothing of it can be missing.
    is_whole: bool,
    /// Whether the gateway itself cut the reply at `stop_sequence`; then the upstream's reason does not count.
    is_cut: bool,
    /// The choices that have begun and those that have ended, one bit per choice.
    begun: u64,
    ended: u64,
}

impl Finish {
    /// Reads a piece of the reply. `sequences` are the client's stop sequences.
    pub(super) fn take(&mut self, choice: &Choice<'_>, sequences: &[String]) {
        let bit = 1 << choice.index().min(63);
        self.begun |= bit;
        if let Some(word) = choice.finish_reason() {
            self.ended |= bit;
            let word = word.decode();
            let reason = word.as_deref().and_then(StopReason::from_finish_reason);
            self.reason = Some(reason.unwrap_or(StopReason::EndTurn));
            self.is_filtered = reason == Some(StopReason::Refusal) && word.as_deref() != Some("refusal");
        }
        if let Some(met) = choice.stop_string()
            && sequences.iter().any(|sequence| met.is(sequence))
        {
            self.stop_sequence = Some(met.inner().to_owned());
        }
    }

    /// Notes that the reply came whole.
    pub(super) fn came_whole(&mut self) {
        self.is_whole = true;
    }

    /// Notes a piece of the first choice that does not end it.
    pub(super) fn begin(&mut self) {
        self.begun |= 1;
    }

    /// Records that the gateway cut the reply at this sequence (inner text).
    pub(super) fn cut(&mut self, sequence: String) {
        self.stop_sequence = Some(sequence);
        self.is_cut = true;
    }

    /// Whether a filter stopped the reply, and not the model itself.
    pub(super) fn is_filtered(&self) -> bool {
        self.is_filtered && !self.is_cut
    }

    /// Whether every choice that has begun has ended.
    pub(super) fn is_over(&self) -> bool {
        self.reason.is_some() && self.begun & !self.ended == 0
    }

    /// The reason for the client: `tool_use` exactly if there are calls, unless the reply was cut or refused. A stream may end
    /// without a reason where something is missing: its text must not look complete.
    pub(super) fn reason(&self, calls: u32) -> StopReason {
        if self.is_cut && calls == 0 {
            return StopReason::StopSequence;
        }
        match self.reason.unwrap_or(StopReason::EndTurn) {
            StopReason::EndTurn | StopReason::ToolUse | StopReason::PauseTurn | StopReason::Compaction => {
                self.free_end(calls)
            }
            StopReason::StopSequence if calls > 0 => StopReason::ToolUse,
            StopReason::StopSequence => StopReason::StopSequence,
            StopReason::MaxTokens => StopReason::MaxTokens,
            StopReason::Refusal => StopReason::Refusal,
            StopReason::ModelContextWindowExceeded => StopReason::ModelContextWindowExceeded,
        }
    }

    /// The reason of a reply that the gateway did not cut.
    fn free_end(&self, calls: u32) -> StopReason {
        let has_met_a_sequence =
            self.reason.is_none_or(|reason| reason == StopReason::EndTurn) && self.stop_sequence.is_some();
        if calls > 0 {
            StopReason::ToolUse
        } else if !self.refusal.is_empty() {
            StopReason::Refusal
        } else if has_met_a_sequence {
            StopReason::StopSequence
        } else if self.reason.is_none() && !self.is_whole {
            StopReason::MaxTokens
        } else {
            StopReason::EndTurn
        }
    }
}
