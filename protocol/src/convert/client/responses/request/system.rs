//! `instructions` and the system messages that the conversation begins with: the one system prompt that Anthropic has.

use serde_json::value::RawValue;

use super::{
    content::{CacheMarks, CacheTime, cache_control},
    items::{Entry, EntryContent},
    messages::system_texts,
};
use crate::{
    convert::client::request::blocks::{is_blank, write_cache_control},
    fault::RequestError,
    json::{Literal, Write},
    openai::responses_request::ResponsesRequestBody,
};

/// The system prompt.
pub(super) struct SystemPrompt<'p> {
    texts: Vec<(&'p str, Option<&'static RawValue>)>,
}

impl<'p> SystemPrompt<'p> {
    /// `leading` are the system messages before all other items.
    pub(super) fn read<'a: 'p>(
        request: &ResponsesRequestBody<'a>,
        leading: &'p [Entry<'a>],
        marks: &CacheMarks,
    ) -> Result<Self, RequestError> {
        let mut texts = Vec::new();
        if let Some(raw) = request.instructions {
            let text = Literal::of(raw).ok_or_else(|| RequestError::new("instructions: must be a string"))?;
            texts.push((text.inner(), None));
        }
        for entry in leading {
            let EntryContent::System(content) = &entry.content else { continue };
            for text in system_texts(entry.at, content)? {
                texts.push((text.inner, marks.mark(text.part.and_then(|part| part.prompt_cache_breakpoint))));
            }
        }
        texts.retain(|(text, _)| !is_blank(text));
        Ok(Self { texts })
    }

    /// Marks the end of the prompt for the upstream's cache.
    pub(super) fn mark_end(&mut self, time: CacheTime) {
        if let Some((_, mark)) = self.texts.last_mut() {
            *mark = cache_control(time);
        }
    }

    /// Appends `system`, unless there is nothing to say: one string, or blocks where one of them is marked.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.texts.is_empty() {
            return;
        }
        out.put(b",\"system\":");
        if self.texts.iter().all(|(_, mark)| mark.is_none()) {
            for (at, (text, _)) in self.texts.iter().enumerate() {
                out.raw(if at == 0 { "\"" } else { "\\n\\n" });
                out.raw(text);
            }
            out.put(b"\"");
            return;
        }
        for (at, (text, mark)) in self.texts.iter().enumerate() {
            out.raw(if at == 0 { "[{\"type\":\"text\",\"text\":" } else { ",{\"type\":\"text\",\"text\":" });
            out.quoted(text);
            write_cache_control(*mark, out);
            out.put(b"}");
        }
        out.put(b"]");
    }
}
