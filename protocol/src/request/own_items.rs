//! Items of a Responses history that this gateway has sealed, and another server cannot open: reasoning is removed, and a
//! summary of the conversation becomes a message.

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor, decoded};
use super::pruned::{Action, Pruned};
use super::{Splice, spliced};
use crate::compaction;
use crate::json;
use crate::signature::SEALED;

/// Returns the body without the `reasoning` items in `input` whose `encrypted_content` this gateway has sealed, and with its
/// `compaction` items as messages. Every other byte is preserved; a body without such items is returned unchanged.
#[must_use]
pub fn with_own_items_opened(body: &Bytes) -> Bytes {
    let (mut cuts, mut edits) = (Vec::new(), Vec::new());
    let walked = JsonCursor::new(body).members(|cursor, key| {
        if key != "input" || cursor.peek() != Some(b'[') {
            return cursor.value().map(drop);
        }
        let mut pruned = Pruned::default();
        cursor.elements(|cursor| {
            let start = cursor.at();
            let item = OwnItem::read(cursor)?;
            let span = start..cursor.at();
            let action = match item {
                OwnItem::None => Action::Keep,
                OwnItem::Reasoning => Action::Remove,
                OwnItem::Summary(summary) => {
                    edits.push(Splice { span: span.clone(), text: message(&summary) });
                    Action::Keep
                }
            };
            pruned.add(span, action, &mut cuts);
            Ok(())
        })?;
        pruned.close(&mut cuts);
        Ok(())
    });
    edits.extend(cuts.into_iter().map(|span| Splice { span, text: String::new() }));
    if walked.is_err() || edits.is_empty() {
        return body.clone();
    }
    spliced(body, &mut edits)
}

/// An item that this gateway has sealed.
enum OwnItem {
    None,
    Reasoning,
    /// A summary of the conversation.
    Summary(String),
}

impl OwnItem {
    fn read(cursor: &mut JsonCursor<'_>) -> CursorResult<Self> {
        if cursor.peek() != Some(b'{') {
            cursor.value()?;
            return Ok(Self::None);
        }
        let (mut kind, mut sealed) = (None, None);
        cursor.members(|cursor, key| {
            let value = cursor.value()?;
            match key {
                "type" => kind = decoded(cursor.slice(value)),
                "encrypted_content" => sealed = decoded(cursor.slice(value)),
                _ => {}
            }
            Ok(())
        })?;
        let sealed = sealed.as_deref().unwrap_or_default();
        Ok(match kind.as_deref() {
            Some("reasoning") if sealed.starts_with(SEALED) => Self::Reasoning,
            Some("compaction" | "compaction_summary") => {
                compaction::open(sealed).map_or(Self::None, Self::Summary)
            }
            Some(_) | None => Self::None,
        })
    }
}

fn message(summary: &str) -> String {
    let text = json::escape_text(&compaction::introduced(summary));
    format!(
        "{{\"type\":\"message\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":\"{text}\"}}]}}"
    )
}

/// Whether a string can be sealed by the gateway. This is a quick check, so a string that begins with an escape can be one.
pub(super) fn may_be_own(literal: &[u8]) -> bool {
    // The length of the marker with every character escaped.
    const ESCAPED: usize = 6 * SEALED.len();
    const { assert!(SEALED.len() == compaction::PREFIX.len()) };
    let Some(text) = literal.strip_prefix(b"\"") else { return false };
    let is_marked = [SEALED, compaction::PREFIX].iter().any(|marker| text.starts_with(marker.as_bytes()));
    is_marked || text.iter().take(ESCAPED).any(|&byte| byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head;

    /// Requirement: sealed reasoning is found and removed with its comma, and nothing else changes.
    #[test]
    fn only_sealed_reasoning_is_removed() {
        let own = r#"{"type":"reasoning","summary":[],"encrypted_content":"vdm1r.p~m~t~eA"}"#;
        let escaped = r#"{"encrypted_content":"\u0076dm1r.x","type":"reasoning"}"#;
        let foreign = r#"{"type":"reasoning","encrypted_content":"gAAA vdm1r."}"#;
        let call = r#"{"type":"function_call","encrypted_content":"vdm1r.x"}"#;
        for (items, left) in [
            (format!("[{own} , {foreign},{escaped}]"), format!("[{foreign}]")),
            (format!("[ {call},{own},{call} ]"), format!("[ {call},{call} ]")),
            (format!("[{own}]"), "[]".to_owned()),
        ] {
            let body = |items: &str| Bytes::from(format!(r#"{{"model":"m","input":{items},"x":[{own}]}}"#));
            let before = body(&items);
            assert!(head(&before).unwrap().own_items, "{items}");
            assert_eq!(with_own_items_opened(&before), body(&left), "{items}");
        }
        let without = Bytes::from(format!(r#"{{"model":"m","input":[{foreign}]}}"#));
        assert!(!head(&without).unwrap().own_items);
        assert_eq!(with_own_items_opened(&without).as_ptr(), without.as_ptr());
    }

    /// Requirement: a summary that the gateway has sealed reaches every upstream as a message, and nothing else changes.
    #[test]
    fn own_summaries_become_messages() {
        let sealed = compaction::seal("We \"did\" it.\n\u{1}ü");
        let own = format!(r#"{{"type":"compaction","id":"cmp_1","encrypted_content":"{sealed}"}}"#);
        let old = format!(
            r#"{{ "encrypted_content" : "\u0076{}", "type":"compaction_\u0073ummary"}}"#,
            &sealed[1..]
        );
        let message = concat!(
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"#,
            r#""[Summary of the conversation so far]\nWe \"did\" it.\n\u0001ü"}]}"#,
        );
        let reasoning = r#"{"type":"reasoning","encrypted_content":"vdm1r.p~m~t~eA"}"#;
        let foreign = r#"{"type":"compaction","encrypted_content":"gAAA"}"#;
        let broken = r#"{"type":"compaction","encrypted_content":"vdm1c.!"}"#;
        let other = format!(r#"{{"type":"program","encrypted_content":"{sealed}"}}"#);
        for (items, left) in [
            (format!("[{own}]"), format!("[{message}]")),
            (format!("[ {reasoning} , {own},{reasoning}, {old} ]"), format!("[ {message},{message} ]")),
            (format!("[{own},{reasoning}]"), format!("[{message}]")),
            (
                format!("[{foreign}, {broken},{other} ,{own}]"),
                format!("[{foreign}, {broken},{other} ,{message}]"),
            ),
            (format!("[{foreign}, {broken},{other}]"), format!("[{foreign}, {broken},{other}]")),
        ] {
            let body = |items: &str| Bytes::from(format!(r#"{{"model":"m","input":{items},"x":[{own}]}}"#));
            let before = body(&items);
            assert!(head(&before).unwrap().own_items, "{items}");
            assert_eq!(with_own_items_opened(&before), body(&left), "{items}");
        }
    }
}
