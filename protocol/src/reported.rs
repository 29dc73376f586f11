//! What an upstream reports about a reply beyond its content and its tokens.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The longest id of a reply that is kept, in bytes.
const LONGEST_ID: usize = 128;
/// The longest type of an item that is kept, in bytes.
const LONGEST_TYPE: usize = 40;
/// The number of types that are kept.
const MOST_TYPES: usize = 8;

/// What an upstream reports about a reply. Most report nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// What the reply has cost, in millionths of a US dollar.
    pub cost: Option<u64>,
    /// The reply's id, of Messages.
    pub message_id: Option<Box<str>>,
    /// Why the prompt was not found in the cache; only if the request asks.
    pub cache_miss: Option<CacheMissReason>,
    /// The web searches of the reply.
    pub web_searches: u32,
    /// The types of output items that the client's API has no place for.
    pub left_out: Vec<Box<str>>,
}

/// `diagnostics.cache_miss_reason` of Messages, as far as it names a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMissReason {
    Model,
    System,
    Tools,
    Messages,
}

impl CacheMissReason {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "model_changed" => Some(Self::Model),
            "system_changed" => Some(Self::System),
            "tools_changed" => Some(Self::Tools),
            "messages_changed" => Some(Self::Messages),
            _ => None,
        }
    }
}

/// `diagnostics` of a reply.
#[derive(Default, Deserialize)]
pub(crate) struct WireDiagnostics {
    cache_miss_reason: Option<Value>,
}

impl Reported {
    /// Replaces the number of web searches, if it is reported.
    pub(crate) fn set_web_searches(&mut self, searches: Option<u64>) {
        if let Some(searches) = searches {
            self.web_searches = u32::try_from(searches).unwrap_or(u32::MAX);
        }
    }

    /// Notes the type of an item that the client does not get, unless it is no plain word.
    pub(crate) fn leave_out(&mut self, kind: &str) {
        let is_word = kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
        let is_new = !self.left_out.iter().any(|known| **known == *kind);
        if is_word && is_new && (1..=LONGEST_TYPE).contains(&kind.len()) && self.left_out.len() < MOST_TYPES {
            self.left_out.push(kind.into());
        }
    }

    /// Keeps the id of a message, unless it is unusually long.
    pub(crate) fn set_message_id(&mut self, id: &str) {
        if !id.is_empty() && id.len() <= LONGEST_ID {
            self.message_id = Some(id.into());
        }
    }

    /// Adds what a message, or the start of one, reports.
    pub(crate) fn read_message(&mut self, id: Option<&RawValue>, diagnostics: Option<&WireDiagnostics>) {
        let id: Option<String> = id.and_then(|id| serde_json::from_str(id.get()).ok());
        if let Some(id) = id {
            self.set_message_id(&id);
        }
        let reason = diagnostics.and_then(|diagnostics| diagnostics.cache_miss_reason.as_ref());
        let word = reason.and_then(|reason| reason.as_str().or_else(|| reason.get("type")?.as_str()));
        self.cache_miss = word.and_then(CacheMissReason::parse).or(self.cache_miss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str, diagnostics: &str) -> Reported {
        let mut reported = Reported::default();
        let id = serde_json::from_str(id).unwrap();
        reported.read_message(Some(id), serde_json::from_str(diagnostics).ok().as_ref());
        reported
    }

    #[test]
    fn the_reason_of_a_miss_is_read() {
        for (diagnostics, reason) in [
            (
                r#"{"cache_miss_reason":{"type":"tools_changed","cache_missed_input_tokens":7}}"#,
                Some(CacheMissReason::Tools),
            ),
            (r#"{"cache_miss_reason":"system_changed"}"#, Some(CacheMissReason::System)),
            (r#"{"cache_miss_reason":{"type":"model_changed"}}"#, Some(CacheMissReason::Model)),
            (r#"{"cache_miss_reason":{"type":"messages_changed"}}"#, Some(CacheMissReason::Messages)),
            (r#"{"cache_miss_reason":{"type":"previous_message_not_found"}}"#, None),
            (r#"{"cache_miss_reason":null}"#, None),
            (r#"{"cache_miss_reason":[7]}"#, None),
            ("{}", None),
        ] {
            assert_eq!(read("\"msg_1\"", diagnostics).cache_miss, reason, "{diagnostics}");
        }
    }

    #[test]
    fn an_id_is_a_short_text() {
        assert_eq!(read("\"msg_1\"", "{}").message_id.as_deref(), Some("msg_1"));
        let long = format!("\"{}\"", "x".repeat(LONGEST_ID + 1));
        for id in ["7", "null", "\"\"", &long] {
            assert_eq!(read(id, "{}").message_id, None, "{id}");
        }
    }
}
