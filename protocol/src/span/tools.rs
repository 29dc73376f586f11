//! What stands in a request's history: looked at while the body is walked anyway.

use super::cursor::{Cursor, Walk, decoded};
use super::thinking::may_be_own;

/// The tool calls that a request repeats, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolHistory {
    /// `tool_use` blocks; on Chat Completions the elements of `tool_calls`.
    pub uses: u32,
    /// `tool_result` blocks; on Chat Completions the messages of role `tool`.
    pub results: u32,
}

/// What a request's history holds.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) tools: ToolHistory,
    /// Whether a block may be one of our own thinking blocks; never `false` where there is one.
    pub(super) own_thinking: bool,
}

impl History {
    /// Looks at the value of `messages`, which is walked whatever it is.
    pub(super) fn of(cursor: &mut Cursor<'_>) -> Walk<Self> {
        let mut history = Self::default();
        history.messages(cursor)?;
        Ok(history)
    }

    fn messages(&mut self, cursor: &mut Cursor<'_>) -> Walk<()> {
        elements(cursor, |cursor| {
            members(cursor, |cursor, key| match key {
                "content" => elements(cursor, |cursor| self.block(cursor)),
                "tool_calls" => elements(cursor, |cursor| {
                    self.tools.uses = self.tools.uses.saturating_add(1);
                    cursor.value().map(drop)
                }),
                "role" => {
                    if word(cursor)?.as_deref() == Some("tool") {
                        self.tools.results = self.tools.results.saturating_add(1);
                    }
                    Ok(())
                }
                _ => cursor.value().map(drop),
            })
        })
    }

    fn block(&mut self, cursor: &mut Cursor<'_>) -> Walk<()> {
        members(cursor, |cursor, key| {
            match key {
                "type" => match word(cursor)?.as_deref() {
                    Some("tool_use") => self.tools.uses = self.tools.uses.saturating_add(1),
                    Some("tool_result") => self.tools.results = self.tools.results.saturating_add(1),
                    _ => {}
                },
                "signature" | "data" => {
                    let value = cursor.value()?;
                    self.own_thinking |= may_be_own(cursor.slice(value));
                }
                _ => {
                    cursor.value()?;
                }
            }
            Ok(())
        })
    }
}

fn word<'a>(cursor: &mut Cursor<'a>) -> Walk<Option<std::borrow::Cow<'a, str>>> {
    let value = cursor.value()?;
    Ok(decoded(cursor.slice(value)))
}

/// The elements of an array; anything else is one value without any.
fn elements(cursor: &mut Cursor<'_>, each: impl FnMut(&mut Cursor<'_>) -> Walk<()>) -> Walk<()> {
    if cursor.peek() == Some(b'[') { cursor.elements(each) } else { cursor.value().map(drop) }
}

fn members(cursor: &mut Cursor<'_>, each: impl FnMut(&mut Cursor<'_>, &str) -> Walk<()>) -> Walk<()> {
    if cursor.peek() == Some(b'{') { cursor.members(each) } else { cursor.value().map(drop) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn own_thinking_is_seen_where_it_would_be_removed() {
        let own = |block: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"content":[{block}]}}]}}"#);
            crate::span::head(body.as_bytes()).unwrap().own_thinking
        };
        assert!(own(r#"{"type":"thinking","thinking":"t","signature":"vdm1.x"}"#));
        assert!(own(r#"{"data":"vdm1.","type":"redacted_thinking"}"#));
        assert!(own(r#"{"type":"thinking","signature":"\u0076dm1.x"}"#));
        assert!(!own(r#"{"type":"thinking","signature":"Ev8BCm"},{"type":"text","text":"vdm1."}"#));
    }

    fn history(messages: &str) -> (u32, u32) {
        let body = format!(r#"{{"model":"m","tools":[{{"type":"tool_use"}}],"messages":{messages}}}"#);
        let head = crate::span::head(body.as_bytes()).unwrap();
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
    fn calls_of_chat_completions_are_counted() {
        let messages = r#"[
            {"role":"assistant","content":null,"tool_calls":[{"id":"a"},{"id":"b"}]},
            {"role":"tool","content":"1"},{"role":"tool","content":[{"type":"text","text":"2"}]}]"#;
        assert_eq!(history(messages), (2, 2));
    }

    #[test]
    fn messages_of_another_shape_have_no_tools() {
        for messages in ["null", "\"tool_use\"", "[1,[{\"type\":\"tool_use\"}]]", "{\"type\":\"tool_use\"}"] {
            assert_eq!(history(messages), (0, 0), "{messages}");
        }
    }
}
