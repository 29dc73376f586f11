//! System texts: `instructions`, or developer messages where `instructions` would not do.

use super::parts::write_part;
use crate::{
    anthropic::request::{MessagesContent, MessagesRequestBody},
    convert::{
        Dropped,
        upstream::{
            caching::{CacheMarks, Mark},
            conversation::{ShownPart, System, is_blank, join, system_texts},
        },
    },
    fault::RequestError,
    json::Write,
};

/// The system prompt of a request.
pub(super) struct SystemPrompt<'a> {
    texts: Vec<(&'a str, Option<Mark<'a>>)>,
    form: SystemForm,
}

/// How a system prompt is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SystemForm {
    /// `instructions`, unless it has cache marks: these need content parts.
    Instructions,
    /// A developer message before the conversation.
    Message,
}

impl<'a> SystemPrompt<'a> {
    /// Reads the top-level `system`.
    pub(super) fn read(
        request: &MessagesRequestBody<'a>,
        form: SystemForm,
        marks: &CacheMarks,
        dropped: &mut Dropped,
    ) -> Result<Self, RequestError> {
        let Some(raw) = request.system else { return Ok(Self { texts: vec![], form }) };
        let content =
            MessagesContent::read(raw).map_err(|problem| RequestError::new(format!("system: {problem}")))?;
        let texts = system_texts(&content, System::Top, marks, dropped)?;
        let is_marked = texts.iter().any(|(_, mark)| mark.is_some());
        Ok(Self { texts, form: if is_marked { SystemForm::Message } else { form } })
    }

    /// Appends `instructions` with a comma before it, unless the prompt is blank or becomes a message.
    pub(super) fn write_instructions(&self, out: &mut Vec<u8>) {
        if self.form == SystemForm::Message || are_blank(&self.texts) {
            return;
        }
        out.put(b",\"instructions\":\"");
        write_joined(&self.texts, out);
        out.put(b"\"");
    }

    /// Appends the message and a comma, unless the prompt is blank or became `instructions`.
    pub(super) fn write_message(&self, out: &mut Vec<u8>) {
        if self.form == SystemForm::Message {
            write_developer_message(&self.texts, out);
        }
    }
}

/// Appends a system message of the conversation and a comma.
pub(super) fn write_system_turn(
    content: &MessagesContent<'_>,
    turn: usize,
    marks: &CacheMarks,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let texts = system_texts(content, System::Message(turn), marks, dropped)?;
    write_developer_message(&texts, out);
    Ok(())
}

/// Appends a message, or nothing if the texts are blank.
fn write_developer_message(texts: &[(&str, Option<Mark<'_>>)], out: &mut Vec<u8>) {
    if are_blank(texts) {
        return;
    }
    out.put(b"{\"type\":\"message\",\"role\":\"developer\",\"content\":[");
    if texts.iter().any(|(_, mark)| mark.is_some()) {
        for (at, (text, mark)) in texts.iter().enumerate() {
            out.raw(if at > 0 { "," } else { "" });
            write_part(&ShownPart::Text((*text).into()), *mark, out);
        }
    } else {
        out.put(b"{\"type\":\"input_text\",\"text\":\"");
        write_joined(texts, out);
        out.put(b"\"}");
    }
    out.put(b"]},");
}

fn are_blank(texts: &[(&str, Option<Mark<'_>>)]) -> bool {
    texts.iter().all(|(text, _)| is_blank(text))
}

fn write_joined(texts: &[(&str, Option<Mark<'_>>)], out: &mut Vec<u8>) {
    let plain: Vec<&str> = texts.iter().map(|(text, _)| *text).collect();
    join(&plain, "\\n\\n", out);
}
