//! Writes `input`: the conversation as a list of items, each followed by a comma.

use super::{
    super::ResponsesUpstream,
    assistant::{AssistantWriter, TurnPlace},
    outputs::write_output,
    parts::write_part,
    system::write_system_turn,
};
use crate::{
    anthropic::request::MessagesContent,
    convert::{
        Dropped,
        upstream::{
            caching::CacheMarks,
            conversation::{
                MediaSupport, RequestTurn, ShownPart, ToolUsePairing, TurnRole, UserContext, UserPart,
                moved_parts,
            },
            names::Names,
        },
    },
    fault::RequestError,
    json::Write,
};

/// The API fetches documents by their addresses.
const MEDIA: MediaSupport = MediaSupport::DocumentUrls;

/// Writes the items of a conversation.
pub(super) struct InputWriter<'r, 'a> {
    pub(super) turns: &'r [RequestTurn<'a>],
    pub(super) pairing: &'r ToolUsePairing<'r, 'a>,
    pub(super) names: &'r Names,
    pub(super) target: &'r ResponsesUpstream<'r>,
    pub(super) marks: &'r CacheMarks,
}

impl<'a> InputWriter<'_, 'a> {
    /// Appends all items.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let mut assistant = AssistantWriter::new(self.names, self.target);
        for (at, turn) in self.turns.iter().enumerate() {
            let goes_on = turn.role == TurnRole::Assistant || !turn.is_shown;
            if !goes_on {
                assistant.end_turns(dropped);
            }
            match turn.role {
                TurnRole::System if !turn.is_shown => {}
                TurnRole::System => write_system_turn(&turn.content, at, self.marks, dropped, out)?,
                TurnRole::User => write_user(&self.user(at, turn, dropped)?, out),
                TurnRole::Assistant => {
                    // Only a user message can contain these. Nothing stands between reasoning and what it led to.
                    let moved = moved_parts(at, &turn.content, MEDIA, dropped);
                    if !moved.is_empty() {
                        assistant.end_turns(dropped);
                    }
                    write_user(&moved.into_iter().map(UserPart::from).collect::<Vec<_>>(), out);
                    let place = self.place(at);
                    let calls = self.pairing.calls(at);
                    match &turn.content {
                        MessagesContent::Text(text) => assistant.write_text(text.inner(), place, out),
                        MessagesContent::Blocks(blocks) => assistant.write(blocks, calls, place, out),
                    }
                    calls.iter().try_for_each(|call| write_output(call, self.marks, out))?;
                }
            }
        }
        assistant.end_turns(dropped);
        Ok(())
    }

    /// The place of an assistant's turn.
    fn place(&self, at: usize) -> TurnPlace {
        let mut later = self.turns.iter().skip(at + 1).filter(|turn| turn.role != TurnRole::System);
        match later.next().map(|turn| turn.role) {
            Some(TurnRole::User) => TurnPlace::Complete,
            Some(TurnRole::Assistant | TurnRole::System) | None => TurnPlace::Open,
        }
    }

    /// The parts of a user's turn. Results that were written after their calls are omitted.
    fn user(
        &self,
        at: usize,
        turn: &RequestTurn<'a>,
        dropped: &mut Dropped,
    ) -> Result<Vec<UserPart<'a>>, RequestError> {
        match &turn.content {
            MessagesContent::Text(text) => Ok(vec![ShownPart::Text(text.inner().into()).into()]),
            MessagesContent::Blocks(blocks) => {
                let context = UserContext { pairing: self.pairing, marks: self.marks, media: MEDIA };
                context.parts(at, blocks, dropped)
            }
        }
    }
}

/// Appends a user message with these parts, if there are any.
fn write_user(parts: &[UserPart<'_>], out: &mut Vec<u8>) {
    for (at, part) in parts.iter().enumerate() {
        out.raw(if at == 0 { "{\"type\":\"message\",\"role\":\"user\",\"content\":[" } else { "," });
        write_part(&part.shown, part.mark, out);
    }
    if !parts.is_empty() {
        out.put(b"]},");
    }
}
