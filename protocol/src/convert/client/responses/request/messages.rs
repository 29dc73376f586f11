//! The conversation: runs of the assistant's items, the outputs right behind their calls, and what the user says.

use std::borrow::Cow;

use super::{
    content::{CacheMarks, block, left_out},
    items::{Entry, EntryContent, OutputContent, OutputState, ToolOutput},
    reasoning::{Thought, is_anthropic},
};
use crate::{
    convert::{
        Dropped,
        client::{
            request::{
                blocks::{BlockDraft, is_blank},
                conversation::{Conversation, Side},
                pairing::{Answered, PairedToolCall, ToolCallPairing},
            },
            responses::{MessagesTarget, UpstreamKind},
        },
    },
    fault::RequestError,
    json::{self, Literal, Write, trim_end},
    openai::responses_request::{InputContent, InputPart},
    tool_id::Maker,
};

const DRAWN: &str = "[The assistant generated this image.]";

/// What the messages were made of.
pub(super) struct WrittenMessages<'a> {
    /// The names of all functions that were called; inner texts.
    pub(super) called: Vec<Cow<'a, str>>,
    /// Where each message of the user ends: before the brace that closes its last block.
    pub(super) user_ends: Vec<usize>,
}

/// Appends `messages`. `entries` are those behind the leading system messages.
pub(super) fn write<'a>(
    entries: &[Entry<'a>],
    target: &MessagesTarget<'_>,
    marks: &CacheMarks,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<WrittenMessages<'a>, RequestError> {
    let pairing = paired(entries, Maker::new(target.provider, target.model));
    let conversation = Conversation::new(out);
    let mut writer = MessageWriter { conversation, marks, target, dropped, thoughts: Vec::new() };
    let mut rest = entries;
    while let Some(entry) = rest.first() {
        let length = run_length(rest);
        if length == 0 {
            writer.entry(entry, &pairing)?;
            rest = &rest[1..];
            continue;
        }
        let (run, behind) = rest.split_at(length);
        let calls = pairing.calls(entry.at);
        writer.run(run, calls)?;
        let missing = if behind.is_empty() { Missing::Open } else { Missing::Replaced };
        writer.results(entries, calls, missing)?;
        rest = behind;
    }
    let user_ends = writer.conversation.finish();
    Ok(WrittenMessages { called: pairing.into_names(), user_ends })
}

/// How many items of the assistant the entries begin with. They are one message.
fn run_length(entries: &[Entry<'_>]) -> usize {
    entries.iter().take_while(|entry| entry.is_assistant()).count()
}

/// What becomes of results that the client does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// They may still come: the calls are the last that was said.
    Open,
    /// Something is written in their place.
    Replaced,
}

/// All calls, by the first item of their run, and all results.
fn paired<'a>(entries: &[Entry<'a>], maker: Maker) -> ToolCallPairing<'a> {
    let mut pairing = ToolCallPairing::new(maker);
    let mut run = None;
    for entry in entries {
        run = entry.is_assistant().then(|| run.unwrap_or(entry.at));
        match (&entry.content, run) {
            (EntryContent::Call(made), Some(run)) => pairing.book_call(run, made.clone()),
            (EntryContent::Result(output), _) => pairing.book_result(entry.at, output.answered),
            _ => {}
        }
    }
    pairing
}

struct MessageWriter<'r, 'o> {
    conversation: Conversation<'o>,
    marks: &'r CacheMarks,
    target: &'r MessagesTarget<'r>,
    dropped: &'r mut Dropped,
    /// Thoughts that wait for what they led to: no message may end with one.
    thoughts: Vec<String>,
}

impl MessageWriter<'_, '_> {
    /// Writes the assistant's message.
    fn run(&mut self, run: &[Entry<'_>], calls: &[PairedToolCall<'_>]) -> Result<(), RequestError> {
        let mut calls = calls.iter();
        for entry in run {
            match &entry.content {
                EntryContent::Thought(thought) => self.thoughts.push(written(thought)),
                EntryContent::Assistant(content) => {
                    self.conversation.begin_message();
                    self.content(entry.at, content, Side::Assistant)?;
                }
                EntryContent::Acted(text) => {
                    self.conversation.begin_message();
                    self.text(text, Side::Assistant);
                }
                EntryContent::Call(_) => {
                    self.think();
                    if let Some(call) = calls.next() {
                        call.write(self.conversation.block(Side::Assistant));
                    }
                }
                EntryContent::System(_)
                | EntryContent::User(_)
                | EntryContent::Result(_)
                | EntryContent::Drawn(_)
                | EntryContent::Summary(_) => {}
            }
        }
        if !std::mem::take(&mut self.thoughts).is_empty() {
            self.dropped.note("input (reasoning that led to nothing)");
        }
        Ok(())
    }

    /// Writes the thoughts that led to the block that follows.
    fn think(&mut self) {
        for thought in std::mem::take(&mut self.thoughts) {
            self.conversation.block(Side::Assistant).raw(&thought);
        }
    }

    fn text(&mut self, inner: &str, side: Side) {
        if is_blank(inner) {
            return;
        }
        if side == Side::Assistant {
            self.think();
        }
        self.conversation.write(side, &BlockDraft::Text(inner), None);
    }

    fn content(&mut self, at: usize, content: &InputContent<'_>, side: Side) -> Result<(), RequestError> {
        match content {
            InputContent::Nothing | InputContent::Other(_) => {}
            InputContent::Text(text) => self.text(text.inner(), side),
            InputContent::Parts(parts) => {
                for (part, path) in placed(parts, format!("input.{at}.content")) {
                    self.part(part, &path, side)?;
                }
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &InputPart<'_>, path: &str, side: Side) -> Result<(), RequestError> {
        let Some(block) = block(part, &path, self.target.upstream)? else { return Ok(()) };
        if side == Side::Assistant {
            if !block.is_text() {
                let message = format!("{path}: an assistant's message can contain text only");
                return Err(RequestError::new(message));
            }
            self.think();
        }
        self.conversation.write(side, &block, self.marks.mark(part.prompt_cache_breakpoint));
        Ok(())
    }

    /// Writes an entry that is not the assistant's. Results have been written behind their calls.
    fn entry(&mut self, entry: &Entry<'_>, pairing: &ToolCallPairing<'_>) -> Result<(), RequestError> {
        match &entry.content {
            EntryContent::System(content) => self.system(entry.at, content),
            EntryContent::User(content) => self.content(entry.at, content, Side::User),
            EntryContent::Summary(summary) => {
                self.text(summary, Side::User);
                Ok(())
            }
            EntryContent::Drawn(url) => {
                self.text(DRAWN, Side::User);
                if let Some(image) = BlockDraft::image_at(url) {
                    self.conversation.write(Side::User, &image, None);
                }
                Ok(())
            }
            EntryContent::Result(output) if pairing.is_orphan(entry.at) => self.orphan(entry.at, output),
            EntryContent::Result(_)
            | EntryContent::Assistant(_)
            | EntryContent::Thought(_)
            | EntryContent::Call(_)
            | EntryContent::Acted(_) => Ok(()),
        }
    }

    /// Writes a system message at its place, so that what is before it stays the same for the upstream's cache. Anthropic
    /// has only one at the top, so it is marked text of the user there.
    fn system(&mut self, at: usize, content: &InputContent<'_>) -> Result<(), RequestError> {
        let texts = system_texts(at, content)?;
        let texts: Vec<&str> = texts.iter().map(|text| text.inner).filter(|text| !is_blank(text)).collect();
        if texts.is_empty() {
            return Ok(());
        }
        let joined = texts.join("\\n\\n");
        if is_anthropic(self.target) {
            let reminder = format!("<system-reminder>\\n{joined}\\n</system-reminder>");
            self.text(&reminder, Side::User);
        } else {
            self.conversation.system(&joined);
        }
        Ok(())
    }

    /// Writes the results of one message.
    fn results(
        &mut self,
        entries: &[Entry<'_>],
        calls: &[PairedToolCall<'_>],
        missing: Missing,
    ) -> Result<(), RequestError> {
        for call in calls {
            let answer = call.answer.and_then(|at| {
                let found = entries.binary_search_by_key(&at, |entry| entry.at).ok()?;
                entries.get(found)?.output().map(|output| (at, output))
            });
            match (answer, missing) {
                (Some((at, output)), _) => self.result(at, call, output)?,
                (None, Missing::Open) => {}
                (None, Missing::Replaced) => call.write_unanswered(self.conversation.block(Side::User)),
            }
        }
        Ok(())
    }

    fn result(
        &mut self,
        at: usize,
        call: &PairedToolCall<'_>,
        output: &ToolOutput<'_>,
    ) -> Result<(), RequestError> {
        let out = self.conversation.block(Side::User);
        call.begin_result(out);
        match &output.content {
            OutputContent::Text(text) => out.quoted(text),
            OutputContent::Given(InputContent::Nothing) => out.put(b"\"\""),
            OutputContent::Given(InputContent::Text(text)) => out.quoted(text.inner()),
            OutputContent::Given(InputContent::Other(raw)) => out.string(raw.get()),
            OutputContent::Given(InputContent::Parts(parts)) => {
                output_parts(at, parts, self.marks, self.target.upstream, out)?
            }
        }
        out.raw(match output.state {
            OutputState::Done => "}",
            OutputState::Failed => ",\"is_error\":true}",
        });
        Ok(())
    }

    /// A result that answers no call becomes text of the user.
    fn orphan(&mut self, at: usize, output: &ToolOutput<'_>) -> Result<(), RequestError> {
        let id = match output.answered {
            Some(Answered::Id(id)) => id.inner(),
            Some(Answered::Name(name)) => name,
            Some(Answered::Next) | None => "",
        };
        let text = match &output.content {
            OutputContent::Text(text) => Cow::Borrowed(&**text),
            OutputContent::Given(InputContent::Text(text)) => Cow::Borrowed(text.inner()),
            OutputContent::Given(InputContent::Other(raw)) => Cow::Owned(json::escape_text(raw.get())),
            OutputContent::Given(InputContent::Nothing | InputContent::Parts(_)) => Cow::Borrowed(""),
        };
        self.text(trim_end(&format!("[tool result {id}] {text}")), Side::User);
        let OutputContent::Given(InputContent::Parts(parts)) = &output.content else { return Ok(()) };
        for (part, path) in placed(parts, format!("input.{at}.output")) {
            let left_out = left_out(part);
            let block = match &left_out {
                Some(text) => Some(BlockDraft::Text(text)),
                None => block(part, &path, self.target.upstream)?,
            };
            if let Some(block) = block {
                self.conversation.write(Side::User, &block, self.marks.mark(part.prompt_cache_breakpoint));
            }
        }
        Ok(())
    }
}

fn written(thought: &Thought) -> String {
    let mut out = Vec::new();
    thought.write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Parts with their paths.
fn placed<'p, 'a>(
    parts: &'p [InputPart<'a>],
    path: String,
) -> impl Iterator<Item = (&'p InputPart<'a>, String)> {
    parts.iter().enumerate().map(move |(at, part)| (part, format!("{path}.{at}")))
}

fn output_parts(
    at: usize,
    parts: &[InputPart<'_>],
    marks: &CacheMarks,
    upstream: UpstreamKind,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let mut separator = "";
    out.put(b"[");
    for (part, path) in placed(parts, format!("input.{at}.output")) {
        let left_out = left_out(part);
        let block = match &left_out {
            Some(text) => Some(BlockDraft::Text(text)),
            None => block(part, &path, upstream)?,
        };
        if let Some(block) = block {
            out.raw(separator);
            let _text = block.write(marks.mark(part.prompt_cache_breakpoint), out);
            separator = ",";
        }
    }
    out.put(b"]");
    Ok(())
}

/// A text of a system message.
pub(super) struct SystemText<'p, 'a> {
    /// Inner text.
    pub(super) inner: &'a str,
    pub(super) part: Option<&'p InputPart<'a>>,
}

/// The texts of a system message.
pub(super) fn system_texts<'p, 'a>(
    at: usize,
    content: &'p InputContent<'a>,
) -> Result<Vec<SystemText<'p, 'a>>, RequestError> {
    let parts = match content {
        InputContent::Nothing | InputContent::Other(_) => return Ok(Vec::new()),
        InputContent::Text(text) => return Ok(vec![SystemText { inner: text.inner(), part: None }]),
        InputContent::Parts(parts) => parts,
    };
    let mut texts = Vec::with_capacity(parts.len());
    for (number, part) in parts.iter().enumerate() {
        if !matches!(part.kind(), "input_text" | "output_text" | "text") {
            let message = format!("input.{at}.content.{number}: only text parts are supported here");
            return Err(RequestError::new(message));
        }
        let inner = part.text.map(Literal::inner);
        texts.extend(inner.map(|inner| SystemText { inner, part: Some(part) }));
    }
    Ok(texts)
}
