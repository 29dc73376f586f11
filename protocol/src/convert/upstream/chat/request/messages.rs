//! Converts the conversation: user, assistant and system turns become messages, each followed by a comma.

use serde_json::value::RawValue;

use super::{ChatUpstream, content::system, parts::write_part, user::message};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    convert::{
        Dropped,
        upstream::{
            caching::CacheMarks,
            chat::{Replay, extras::Extras},
            conversation::{
                BlockPath, MediaSupport, PairedToolUse, RequestTurn, ShownPart, System, ToolOutput,
                ToolUsePairing, TurnRole, UNANSWERED, UserContext, UserPart, is_blank, joined_texts,
                moved_parts,
            },
            names::Names,
        },
    },
    fault::RequestError,
    json::{Literal, Write},
    signature::{self, SignatureOrigin},
};

/// Chat Completions has no part for the address of a document.
const MEDIA: MediaSupport = MediaSupport::NoDocumentUrls;

/// Writes the messages of a conversation.
pub(super) struct MessageWriter<'r, 'a> {
    pub(super) turns: &'r [RequestTurn<'a>],
    pub(super) pairing: &'r ToolUsePairing<'r, 'a>,
    pub(super) names: &'r Names,
    pub(super) target: &'r ChatUpstream<'r>,
    pub(super) marks: &'r CacheMarks,
    pub(super) thoughts_field: ThoughtsField,
}

/// Whether a message with calls must contain thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThoughtsField {
    IfPresent,
    /// The upstream refuses a message without thoughts, but accepts empty ones.
    Required,
}

impl<'a> MessageWriter<'_, 'a> {
    /// Appends all messages.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let last = self.turns.len().checked_sub(1);
        for (at, turn) in self.turns.iter().enumerate() {
            match turn.role {
                TurnRole::System if !turn.is_shown => {}
                TurnRole::System => {
                    let dialect = self.target.dialect;
                    system(&turn.content, System::Message(at), dialect, self.marks, dropped, out)?;
                }
                TurnRole::User => self.user(at, &turn.content, dropped, out)?,
                TurnRole::Assistant => {
                    // Before the turn, because results must directly follow their calls.
                    let moved = moved_parts(at, &turn.content, MEDIA, dropped);
                    message(&moved.into_iter().map(UserPart::from).collect::<Vec<_>>(), out);
                    self.assistant(&turn.content, self.pairing.calls(at), out);
                    let unanswered = (Some(at) != last).then_some(UNANSWERED);
                    self.results(self.pairing.calls(at), unanswered, out)?;
                }
            }
        }
        Ok(())
    }

    /// Appends the user's parts of a turn. Results that were written after their calls are omitted.
    fn user(
        &self,
        turn: usize,
        content: &MessagesContent<'a>,
        dropped: &mut Dropped,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        match content {
            MessagesContent::Text(text) => {
                out.put(b"{\"role\":\"user\",\"content\":");
                out.quoted(text.inner());
                out.put(b"},");
            }
            MessagesContent::Blocks(blocks) => {
                let context = UserContext { pairing: self.pairing, marks: self.marks, media: MEDIA };
                message(&context.parts(turn, blocks, dropped)?, out);
            }
        }
        Ok(())
    }

    fn assistant(&self, content: &MessagesContent<'_>, calls: &[PairedToolUse<'_, '_>], out: &mut Vec<u8>) {
        let blocks = match content {
            // Some upstreams refuse a turn without content.
            MessagesContent::Text(text) if is_blank(text.inner()) => return,
            MessagesContent::Text(text) => {
                out.put(b"{\"role\":\"assistant\",\"content\":");
                out.quoted(text.inner());
                out.put(b"},");
                return;
            }
            MessagesContent::Blocks(blocks) => &blocks[..],
        };
        let thoughts = Thoughts::from_blocks(blocks, self.target);
        let texts = joined_texts(blocks.iter());
        let has_text = texts.iter().any(|text| !is_blank(text));
        if thoughts.is_empty() && !has_text && calls.is_empty() {
            return;
        }
        out.put(b"{\"role\":\"assistant\",\"content\":");
        if !has_text && !calls.is_empty() {
            out.put(b"null");
        } else {
            out.put(b"\"");
            texts.iter().for_each(|text| out.raw(text));
            out.put(b"\"");
        }
        thoughts.write(if calls.is_empty() { ThoughtsField::IfPresent } else { self.thoughts_field }, out);
        if has_text {
            thoughts.extras.write_for_text(out);
        }
        for (at, call) in calls.iter().enumerate() {
            out.raw(if at == 0 { ",\"tool_calls\":[" } else { "," });
            self.tool_call(call, &thoughts.extras, out);
        }
        out.raw(if calls.is_empty() { "}," } else { "]}," });
    }

    fn tool_call(&self, call: &PairedToolUse<'_, '_>, extras: &Extras, out: &mut Vec<u8>) {
        out.put(b"{\"id\":");
        out.quoted(&call.id);
        out.put(b",\"type\":\"function\",\"function\":{\"name\":");
        out.quoted(self.names.there(call.name));
        out.put(b",\"arguments\":");
        out.string(call.block.input.map_or("{}", |input| input.get()));
        out.put(b"}");
        // Errors name the id that the client uses.
        if let Some(id) = call.block.id {
            extras.write_for_call(id, out);
        }
        out.put(b"}");
    }

    /// Appends the tool messages of one assistant message, then the results that are not text, because a tool message can only
    /// contain text. `unanswered` replaces missing results; if it is absent, they are omitted.
    fn results(
        &self,
        calls: &[PairedToolUse<'_, 'a>],
        unanswered: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let mut attached = Vec::new();
        for call in calls {
            let output = call.answer.map(|answer| {
                ToolOutput::read(answer.block, &BlockPath { turn: answer.turn, at: answer.at }, MEDIA)
            });
            let output = output.transpose()?;
            if output.is_none() && unanswered.is_none() {
                continue;
            }
            out.put(b"{\"role\":\"tool\",\"tool_call_id\":");
            out.quoted(&call.id);
            out.put(b",\"content\":");
            let mark = self.marks.mark(call.answer.and_then(|answer| answer.block.cache_control));
            out.raw(if mark.is_some() { "[{\"type\":\"text\",\"text\":\"" } else { "\"" });
            match &output {
                Some(output) => output.write_text(out),
                None => out.raw(unanswered.unwrap_or_default()),
            }
            out.put(b"\"");
            if let Some(mark) = mark {
                mark.write(out);
                out.put(b"}]");
            }
            out.put(b"},");
            let parts = output.map(ToolOutput::into_attached).unwrap_or_default();
            if !parts.is_empty() {
                attached.push((call, parts));
            }
        }
        returned(&attached, out);
        Ok(())
    }
}

/// The thoughts of one turn, if they come from the model of this request. Other models cannot use them, and only Anthropic can
/// verify Anthropic's signatures.
struct Thoughts<'a> {
    texts: Vec<Literal<'a>>,
    /// The upstream's own objects, if it sent any (JSON, without brackets).
    details: Vec<String>,
    /// The data that the upstream sent with its calls and its text.
    extras: Extras,
}

impl<'a> Thoughts<'a> {
    fn from_blocks(blocks: &[ContentBlock<'a>], target: &ChatUpstream<'_>) -> Self {
        let mut thoughts = Self { texts: vec![], details: vec![], extras: Extras::default() };
        for block in blocks.iter().filter(|block| block.kind() == "thinking") {
            let origin = block.signature.and_then(|signature| signature::read(signature.inner()));
            let Some(SignatureOrigin { provider, model, carried }) = origin else { continue };
            if provider != target.provider || model != target.model {
                continue;
            }
            // A block without text only carries the data in its signature.
            thoughts.texts.extend(block.thinking.filter(|thought| !thought.inner().is_empty()));
            let load = carried.and_then(|carried| String::from_utf8(carried).ok());
            let details = load.map(|load| thoughts.extras.take(load));
            // The load is untrusted: text that is not JSON objects must not get into the body.
            thoughts.details.extend(details.filter(|details| are_objects(details)));
        }
        if target.dialect.replay != Replay::Details {
            thoughts.details.clear();
        }
        if target.dialect.replay == Replay::Nothing {
            thoughts.texts.clear();
        }
        if !target.dialect.extras {
            thoughts.extras = Extras::default();
        }
        thoughts
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.details.is_empty()
    }

    fn write(&self, thoughts_field: ThoughtsField, out: &mut Vec<u8>) {
        if !self.details.is_empty() {
            out.put(b",\"reasoning_details\":[");
            out.raw(&self.details.join(","));
            out.put(b"]");
        } else if !self.texts.is_empty() || thoughts_field == ThoughtsField::Required {
            out.put(b",\"reasoning_content\":");
            splice(self.texts.iter().copied(), out);
        }
    }
}

/// Whether a text consists of one or more JSON objects, separated by commas.
fn are_objects(text: &str) -> bool {
    let list = format!("[{text}]");
    let list: Result<Vec<&RawValue>, _> = serde_json::from_str(&list);
    list.is_ok_and(|list| !list.is_empty() && list.iter().all(|object| object.get().starts_with('{')))
}

/// Appends one JSON string joined from several.
fn splice<'a>(texts: impl Iterator<Item = Literal<'a>>, out: &mut Vec<u8>) {
    out.put(b"\"");
    texts.for_each(|text| out.raw(text.inner()));
    out.put(b"\"");
}

/// Appends a user message with images and documents that tools returned.
fn returned(attached: &[(&PairedToolUse<'_, '_>, Vec<ShownPart<'_>>)], out: &mut Vec<u8>) {
    for (at, (call, parts)) in attached.iter().enumerate() {
        let what =
            if parts.iter().all(|part| matches!(part, ShownPart::Image(_))) { "Image" } else { "Document" };
        out.raw(if at == 0 { "{\"role\":\"user\",\"content\":[" } else { "," });
        out.put(b"{\"type\":\"text\",\"text\":\"");
        out.raw(what);
        out.put(b" returned by tool ");
        out.raw(call.name.inner());
        out.put(b" (");
        out.raw(&call.id);
        out.put(b")\"}");
        for part in parts {
            out.put(b",");
            write_part(part, None, out);
        }
    }
    if !attached.is_empty() {
        out.put(b"]},");
    }
}
