//! Collects what a request's history contains while the body is scanned.

use super::cursor::{CursorResult, JsonCursor, Watch};
use super::thinking::may_be_own;
use super::{own_items, own_searches};
use crate::tool_id::are_portable;

/// The number of tool calls and results in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolHistory {
    /// `tool_use` blocks; in Chat Completions, elements of `tool_calls`; in Responses, items such as `function_call`.
    pub uses: u32,
    /// `tool_result` blocks; in Chat Completions, messages of role `tool`; in Responses, items such as
    /// `function_call_output`.
    pub results: u32,
}

/// What a request's history contains.
#[derive(Debug, Default)]
pub(super) struct RequestHistory {
    pub(super) tools: ToolHistory,
    pub(super) messages: u32,
    /// Whether a block can be one of the gateway's own thinking blocks; never `false` if there is one.
    pub(super) own_thinking: bool,
    /// Whether an item can be one of the gateway's own reasoning items; never `false` if there is one.
    pub(super) own_items: bool,
    /// Whether a block can belong to one of the gateway's own searches; never `false` if there is one.
    pub(super) own_searches: bool,
    /// Whether the id of a call or a result in a block can be one that Anthropic refuses; never `false` if there is
    /// one.
    pub(super) odd_tool_ids: bool,
}

impl RequestHistory {
    /// Scans the value of `messages` and skips it, whatever its type. Entries in an unusual notation (another shape, an
    /// escaped key) are not counted.
    pub(super) fn scan(cursor: &mut JsonCursor<'_>) -> CursorResult<Self> {
        let mut reader = HistoryReader::default();
        match cursor.peek() {
            Some(b'[') => cursor.container(&mut reader)?,
            _ => {
                cursor.value()?;
            }
        }
        Ok(reader.history)
    }
}

/// Reads the history while it is skipped.
#[derive(Default)]
struct HistoryReader {
    history: RequestHistory,
    /// The member of a message and of a block whose value comes next or is being skipped.
    message: MessageKey,
    block: BlockKey,
}

#[derive(Default, PartialEq, Eq)]
enum MessageKey {
    Role,
    Content,
    ToolCalls,
    /// Of an item of the Responses API.
    Type,
    /// Of a reasoning or compaction item.
    Sealed,
    #[default]
    Other,
}

#[derive(Default, PartialEq, Eq)]
enum BlockKey {
    Type,
    /// A member that can hold a signature.
    Sealed,
    /// The id of a call, or the id that a result refers to.
    Id,
    #[default]
    Other,
}

/// The brackets that are open inside a message, and inside one of its blocks or calls.
const MESSAGE: &[u8] = b"]}";
const BLOCK: &[u8] = b"]}]}";

impl Watch for HistoryReader {
    const WATCHES_STRINGS: bool = true;

    fn object(&mut self, open: &[u8]) {
        if open == MESSAGE {
            self.history.messages = self.history.messages.saturating_add(1);
        } else if self.message == MessageKey::ToolCalls && open == BLOCK {
            self.history.tools.uses = self.history.tools.uses.saturating_add(1);
        }
    }

    fn string(&mut self, open: &[u8], string: &[u8], rest: &[u8]) {
        if open == MESSAGE {
            self.in_message(string, rest);
        } else if open == BLOCK && self.message == MessageKey::Content {
            self.in_block(string, rest);
        }
    }
}

impl HistoryReader {
    fn in_message(&mut self, string: &[u8], rest: &[u8]) {
        if is_key(rest) {
            self.message = match string {
                b"\"role\"" => MessageKey::Role,
                b"\"content\"" => MessageKey::Content,
                b"\"tool_calls\"" => MessageKey::ToolCalls,
                b"\"type\"" => MessageKey::Type,
                b"\"encrypted_content\"" => MessageKey::Sealed,
                _ => MessageKey::Other,
            };
            // An escaped key can be `content`.
            if self.message == MessageKey::Other && string.contains(&b'\\') {
                self.history.own_thinking = true;
                self.history.own_items = true;
                self.history.own_searches = true;
                self.history.odd_tool_ids = true;
            }
            return;
        }
        match self.message {
            MessageKey::Role if string == b"\"tool\"" => {
                self.history.tools.results = self.history.tools.results.saturating_add(1);
            }
            MessageKey::Type => self.item(string),
            MessageKey::Sealed => self.history.own_items |= own_items::may_be_own(string),
            MessageKey::Role | MessageKey::Content | MessageKey::ToolCalls | MessageKey::Other => {}
        }
    }

    /// The type of an item of the Responses API.
    fn item(&mut self, kind: &[u8]) {
        let RequestHistory { tools, messages, .. } = &mut self.history;
        if kind == b"\"message\"" {
            return;
        }
        *messages = messages.saturating_sub(1);
        if kind.ends_with(b"call_output\"") || kind == b"\"tool_search_output\"" {
            tools.results = tools.results.saturating_add(1);
        } else if kind.ends_with(b"_call\"") {
            tools.uses = tools.uses.saturating_add(1);
        }
    }

    fn in_block(&mut self, string: &[u8], rest: &[u8]) {
        let RequestHistory { tools, own_thinking, own_searches, odd_tool_ids, .. } = &mut self.history;
        if is_key(rest) {
            self.block = match string {
                b"\"type\"" => BlockKey::Type,
                b"\"signature\"" | b"\"data\"" => BlockKey::Sealed,
                b"\"id\"" | b"\"tool_use_id\"" => BlockKey::Id,
                _ => BlockKey::Other,
            };
            // An escaped key can be one of these.
            if self.block == BlockKey::Other && string.contains(&b'\\') {
                *own_thinking = true;
                *own_searches = true;
                *odd_tool_ids = true;
            }
            return;
        }
        match (&self.block, string) {
            (BlockKey::Type, b"\"tool_use\"") => tools.uses = tools.uses.saturating_add(1),
            (BlockKey::Type, b"\"tool_result\"") => tools.results = tools.results.saturating_add(1),
            (BlockKey::Sealed, value) => *own_thinking |= may_be_own(value),
            (BlockKey::Id, value) => {
                *odd_tool_ids |= !is_portable_literal(value);
                *own_searches |= own_searches::may_be_own(value);
            }
            (BlockKey::Type | BlockKey::Other, _) => {}
        }
    }
}

/// Whether the literal is a portable id without escapes. A literal with escapes is decoded later.
fn is_portable_literal(literal: &[u8]) -> bool {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    are_portable(inner)
}

fn is_key(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b':') => true,
        Some(b',' | b'}' | b']') => false,
        _ => rest.trim_ascii_start().first() == Some(&b':'),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn own_thinking_is_detected_where_it_would_be_removed() {
        let own = |block: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"content":[{block}]}}]}}"#);
            crate::request::head(body.as_bytes()).unwrap().own_thinking
        };
        assert!(own(r#"{"type":"thinking","thinking":"t","signature":"vdm1.x"}"#));
        assert!(own(r#"{"data":"vdm1.","type":"redacted_thinking"}"#));
        assert!(own(r#"{"type":"thinking","signature":"\u0076dm1.x"}"#));
        assert!(own(r#"{"type":"thinking","signatur\u0065" :"vdm1.x"}"#));
        assert!(!own(r#"{"type":"thinking","signature":"Ev8BCm"},{"type":"text","text":"vdm1."}"#));
    }

    #[test]
    fn odd_ids_are_detected_where_they_would_be_replaced() {
        let odd = |block: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"content":[{block}]}}]}}"#);
            crate::request::head(body.as_bytes()).unwrap().odd_tool_ids
        };
        assert!(odd(r#"{"type":"tool_use","id":"functions.Bash:0"}"#));
        assert!(odd(r#"{"tool_use_id": "a b","type":"tool_result"}"#));
        assert!(odd(r#"{"tool_use_\u0069d":"a b","type":"tool_result"}"#));
        assert!(odd(r#"{"type":"tool_use","id":"a\u003ab"}"#));
        assert!(odd(&format!(r#"{{"type":"tool_use","id":"{}"}}"#, "x".repeat(65))));
        assert!(!odd(r#"{"type":"tool_use","id":"toolu_01-A","input":{"id":"a b"},"name":"a b"}"#));
        assert!(!odd(r#"{"type":"tool_result","tool_use_id":"toolu_1","content":[{"id":"a b"}]}"#));
    }

    fn history(messages: &str) -> (u32, u32) {
        let body = format!(r#"{{"model":"m","tools":[{{"type":"tool_use"}}],"messages":{messages}}}"#);
        let head = crate::request::head(body.as_bytes()).unwrap();
        (head.tools.uses, head.tools.results)
    }

    #[test]
    fn blocks_of_the_messages_api_are_counted() {
        let messages = r#"[
            {"role":"user","content":"call \"tool_use\""},
            {"role":"assistant","content":[{"type":"text","text":"tool_use"},
                {"input":{"type":"tool_result"},"type":"tool_use"},{"type":"tool_use"}]},
            {"role":"user","content":[{"type":"tool_result","content":[{"type":"tool_use"}]}]}]"#;
        assert_eq!(history(messages), (2, 1));
    }

    #[test]
    fn messages_are_counted_without_their_contents() {
        let messages = |messages: &str| {
            let body = format!(r#"{{"model":"m","system":[{{"a":1}}],"messages":{messages}}}"#);
            crate::request::head(body.as_bytes()).unwrap().messages
        };
        assert_eq!(messages(r#"[{"content":[{"a":{}},{}]},{"metadata":{"b":[{}]}},{}]"#), 3);
        assert_eq!((messages("[]"), messages("null"), messages(r#"{"role":{}}"#)), (0, 0, 0));
    }

    #[test]
    fn calls_of_chat_completions_are_counted() {
        let messages = r#"[
            {"role":"assistant","content":null,"tool_calls":[{"id":"a"},{"id":"b"}]},
            {"role":"tool","content":"1"},{"role":"tool","content":[{"type":"text","text":"2"}]}]"#;
        assert_eq!(history(messages), (2, 2));
    }

    #[test]
    fn items_of_the_responses_api_are_counted() {
        let body = r#"{"model":"m","instructions":"x","input":[{"role":"developer","content":"a"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"function_call"}]},
            {"type":"reasoning","summary":[],"encrypted_content":"gAAA"},
            {"type":"function_call","call_id":"a","arguments":"{\"type\":\"function_call\"}"},
            {"type":"custom_tool_call","input":"x"},
            {"type":"function_call_output","output":[{"type":"input_text","text":"1"}]},
            {"output":"2","type":"custom_tool_call_output"}]}"#;
        let head = crate::request::head(body.as_bytes()).unwrap();
        assert_eq!((head.tools.uses, head.tools.results, head.messages), (2, 2, 2));
        assert!(!head.own_items);
        let text = crate::request::head(br#"{"model":"m","input":"a text"}"#).unwrap();
        assert_eq!((text.tools.uses, text.messages), (0, 0));
    }

    #[test]
    fn messages_of_another_shape_have_no_tools() {
        for messages in ["null", "\"tool_use\"", "[1,[{\"type\":\"tool_use\"}]]", "{\"type\":\"tool_use\"}"] {
            assert_eq!(history(messages), (0, 0), "{messages}");
        }
    }
}
