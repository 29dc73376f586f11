//! Adds fillers for reasoning that an upstream requires in earlier assistant turns and that is not available.

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Walk};
use super::schemas::{each_object, skip};
use super::{Splice, spliced};

/// The filler for missing reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Filler {
    /// An empty `reasoning_content` in messages that call tools.
    Empty,
    /// A blank `reasoning_content` in all assistant messages: some upstreams refuse an empty text
    /// (NousResearch/hermes-agent#17341).
    Blank,
    /// An empty thinking block before tool calls (Messages API).
    ThinkingBlock,
}

/// Returns the body with the filler in each assistant message that lacks reasoning. Existing reasoning is preserved,
/// except that an empty text becomes a blank one.
pub(crate) fn with_reasoning(body: &Bytes, filler: Filler) -> Bytes {
    let mut edits = Vec::new();
    let mut has_calls = false;
    let mut cursor = Cursor::new(body);
    let walked = cursor.members(|cursor, key| match key {
        "messages" => each_object(cursor, &mut |cursor| {
            let turn = Turn::read(cursor)?;
            has_calls |= turn.has_calls;
            edits.extend(turn.edit(body, filler));
            Ok(())
        }),
        _ => skip(cursor),
    });
    let is_other_api = filler == Filler::Blank && !has_calls;
    if walked.and_then(|()| cursor.end()).is_err() || edits.is_empty() || is_other_api {
        return body.clone();
    }
    spliced(body, &mut edits)
}

/// The relevant parts of one message.
#[derive(Default)]
struct Turn {
    is_assistant: bool,
    /// The offset of its first member.
    inside: usize,
    has_calls: bool,
    reasoning: Option<Range<usize>>,
    blocks: Option<Blocks>,
}

/// The content of a message in the Messages API.
#[derive(Default)]
struct Blocks {
    /// The offset of the first block.
    inside: Option<usize>,
    call: bool,
    thinking: bool,
}

impl Turn {
    fn read(cursor: &mut Cursor<'_>) -> Walk<Self> {
        let mut turn = Self::default();
        let mut is_first = true;
        cursor.entries(|cursor, start, key| {
            if std::mem::take(&mut is_first) {
                turn.inside = start;
            }
            match (key, cursor.peek()) {
                ("content", Some(b'[')) => {
                    turn.blocks = Some(Blocks::read(cursor)?);
                    return Ok(());
                }
                ("tool_calls", Some(b'[')) => {
                    turn.has_calls = false;
                    return cursor.elements(|cursor| {
                        turn.has_calls = true;
                        skip(cursor)
                    });
                }
                _ => {}
            }
            let span = cursor.value()?;
            match key {
                "role" => turn.is_assistant = cursor.slice(span) == b"\"assistant\"",
                "reasoning_content" => turn.reasoning = Some(span),
                _ => {}
            }
            Ok(())
        })?;
        Ok(turn)
    }

    fn edit(self, body: &[u8], filler: Filler) -> Option<Splice> {
        if !self.is_assistant {
            return None;
        }
        match filler {
            Filler::Empty if !self.has_calls => None,
            Filler::Empty => self.reasoning_content(body, "\"\"", &[b"null"]),
            Filler::Blank => self.reasoning_content(body, "\" \"", &[b"null", b"\"\""]),
            Filler::ThinkingBlock => {
                let blocks = self.blocks.filter(|blocks| blocks.call && !blocks.thinking)?;
                let at = blocks.inside?;
                let text = "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"},".to_owned();
                Some(Splice { span: at..at, text })
            }
        }
    }

    /// `missing_values` lists the values that count as missing.
    fn reasoning_content(self, body: &[u8], json: &str, missing_values: &[&[u8]]) -> Option<Splice> {
        match self.reasoning {
            Some(span) => {
                let is_missing = missing_values.contains(&&body[span.clone()]);
                is_missing.then(|| Splice { span, text: json.to_owned() })
            }
            None => {
                let text = format!("\"reasoning_content\":{json},");
                Some(Splice { span: self.inside..self.inside, text })
            }
        }
    }
}

impl Blocks {
    fn read(cursor: &mut Cursor<'_>) -> Walk<Self> {
        let mut blocks = Self::default();
        cursor.elements(|cursor| {
            blocks.inside.get_or_insert(cursor.at());
            if cursor.peek() != Some(b'{') {
                return skip(cursor);
            }
            cursor.members(|cursor, key| {
                let span = cursor.value()?;
                if key == "type" {
                    let kind = cursor.slice(span);
                    blocks.call |= kind == b"\"tool_use\"";
                    blocks.thinking |= matches!(kind, b"\"thinking\"" | b"\"redacted_thinking\"");
                }
                Ok(())
            })
        })?;
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(body: &str, filler: Filler) -> String {
        let body = Bytes::from(body.to_owned());
        let filled = with_reasoning(&body, filler);
        assert_eq!(with_reasoning(&filled, filler).as_ptr(), filled.as_ptr(), "nothing is missing any more");
        String::from_utf8(filled.to_vec()).unwrap()
    }

    #[test]
    fn calls_without_reasoning_get_an_empty_one() {
        let body = r#"{"messages":[{"role":"user","content":"a"},{ "role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"reasoning_content":null,"role":"assistant","tool_calls":[{}]},{"role":"assistant","content":"x","tool_calls":[]},{"role":"assistant","reasoning_content":"r","tool_calls":[{}]}],"x":1}"#;
        let expected = body
            .replace(r#"{ "role""#, r#"{ "reasoning_content":"","role""#)
            .replace(r#""reasoning_content":null"#, r#""reasoning_content":"""#);
        assert_eq!(filled(body, Filler::Empty), expected);
    }

    #[test]
    fn a_blank_is_added_to_every_assistant_turn() {
        let body = r#"{"messages":[{"role":"assistant","content":"x"},{"role":"assistant","reasoning_content":"","tool_calls":[{}]},{"role":"tool","content":"t"}]}"#;
        let expected = r#"{"messages":[{"reasoning_content":" ","role":"assistant","content":"x"},{"role":"assistant","reasoning_content":" ","tool_calls":[{}]},{"role":"tool","content":"t"}]}"#;
        assert_eq!(filled(body, Filler::Blank), expected);
    }

    #[test]
    fn calls_of_the_messages_api_get_a_thinking_block() {
        let body = r#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"1"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t"},{"type":"tool_use"}]},{"role":"user","content":[{"type":"tool_result"}]}]}"#;
        let expected = body.replacen(
            r#"[{"type":"text""#,
            r#"[{"type":"thinking","thinking":"","signature":""},{"type":"text""#,
            1,
        );
        assert_eq!(filled(body, Filler::ThinkingBlock), expected);
        assert_eq!(filled(body, Filler::Empty), body);
        assert_eq!(filled(body, Filler::Blank), body, "a body of the other API is unchanged");
    }

    #[test]
    fn broken_bodies_are_unchanged() {
        for body in [r#"{"messages":[{"role":"assistant","tool_calls":[{}]}"#, r#"{"messages":7}"#, "[]", ""]
        {
            assert_eq!(filled(body, Filler::Blank), body);
        }
    }
}
