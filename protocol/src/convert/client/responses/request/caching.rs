//! Caching that the client does not ask for: OpenAI caches the beginning of every prompt, Anthropic what is marked.

use serde::Deserialize;

use super::{
    content::{CacheMarks, CacheTime, cache_control},
    items::{Entry, EntryContent},
    system::SystemPrompt,
};
use crate::{
    convert::client::{
        request::{blocks::write_cache_control, model::ModelGeneration},
        responses::{MessagesTarget, UpstreamKind},
    },
    json::{JsonWord, Literal},
    openai::responses_request::ResponsesRequestBody,
};

/// How many messages of the user are marked: the last one for the next request, and the one that was the last one before.
const MARKED_MESSAGES: usize = 2;

/// The marks that the gateway sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutomaticCaching {
    Off,
    On(CacheTime),
}

#[derive(Deserialize)]
struct CacheOptions<'a> {
    #[serde(borrow)]
    mode: Option<JsonWord<'a>>,
    #[serde(borrow)]
    ttl: Option<JsonWord<'a>>,
}

impl AutomaticCaching {
    /// On for a conversation with a Claude: a single question would only pay for a cache that nobody reads. `marks` are the
    /// client's own, which are enough.
    pub(super) fn new(
        request: &ResponsesRequestBody<'_>,
        entries: &[Entry<'_>],
        marks: &CacheMarks,
        target: &MessagesTarget<'_>,
    ) -> Self {
        let is_claude = ModelGeneration::from_name(target.model).is_claude();
        if target.upstream != UpstreamKind::Messages || !is_claude || marks.has_some() {
            return Self::Off;
        }
        let options: Option<CacheOptions<'_>> =
            request.prompt_cache_options.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let word = |word: Option<&JsonWord<'_>>, text: &str| word.is_some_and(|word| word.as_str() == text);
        if word(options.as_ref().and_then(|options| options.mode.as_ref()), "explicit") {
            return Self::Off;
        }
        let has_key =
            request.prompt_cache_key.and_then(Literal::of).is_some_and(|key| !key.inner().is_empty());
        let goes_on = entries
            .iter()
            .any(|entry| matches!(entry.content, EntryContent::Assistant(_) | EntryContent::Call(_)));
        if !has_key && !goes_on {
            return Self::Off;
        }
        let is_long = word(options.as_ref().and_then(|options| options.ttl.as_ref()), "12h")
            || request.prompt_cache_retention.and_then(Literal::of).is_some_and(|time| time.is("24h"));
        Self::On(if is_long { CacheTime::Long } else { CacheTime::Short })
    }

    /// Marks the system prompt, and the tools with it, which precede it.
    pub(super) fn mark_system(self, system: &mut SystemPrompt<'_>) {
        match self {
            Self::Off => {}
            Self::On(time) => system.mark_end(time),
        }
    }

    /// Marks messages of the user. Each end is before the brace that closes the last block of one.
    pub(super) fn mark_messages(self, ends: &[usize], out: &mut Vec<u8>) {
        let Self::On(time) = self else { return };
        let mut mark = Vec::new();
        write_cache_control(cache_control(time), &mut mark);
        // From the last one on, so that the other positions stay right.
        for &end in ends.iter().rev().take(MARKED_MESSAGES) {
            out.splice(end..end, mark.iter().copied());
        }
    }
}
