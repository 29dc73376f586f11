//! Removes reasoning items that this gateway has sealed from a Responses history: another server cannot open them.

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor, decoded};
use super::pruned::{Action, Pruned, without};
use crate::signature::SEALED;

/// Returns the body without the `reasoning` items in `input` whose `encrypted_content` this gateway has sealed. Every other
/// byte is preserved; a body without such items is returned unchanged.
#[must_use]
pub fn without_own_reasoning(body: &Bytes) -> Bytes {
    let mut cuts = Vec::new();
    let walked = JsonCursor::new(body).members(|cursor, key| {
        if key != "input" || cursor.peek() != Some(b'[') {
            return cursor.value().map(drop);
        }
        let mut pruned = Pruned::default();
        cursor.elements(|cursor| {
            let start = cursor.at();
            let action = item(cursor)?;
            pruned.add(start..cursor.at(), action, &mut cuts);
            Ok(())
        })?;
        pruned.close(&mut cuts);
        Ok(())
    });
    if walked.is_err() || cuts.is_empty() {
        return body.clone();
    }
    without(body, cuts)
}

fn item(cursor: &mut JsonCursor<'_>) -> CursorResult<Action> {
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        return Ok(Action::Keep);
    }
    let (mut is_reasoning, mut is_own) = (false, false);
    cursor.members(|cursor, key| {
        let value = cursor.value()?;
        let text = || decoded(cursor.slice(value.clone()));
        match key {
            "type" => is_reasoning = text().as_deref() == Some("reasoning"),
            "encrypted_content" => is_own = text().is_some_and(|text| text.starts_with(SEALED)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(if is_reasoning && is_own { Action::Remove } else { Action::Keep })
}

/// Whether a string can be sealed reasoning of the gateway. This is a quick check, so a string that begins with an escape can
/// be one.
pub(super) fn may_be_own(literal: &[u8]) -> bool {
    // The length of the marker with every character escaped.
    const ESCAPED: usize = 6 * SEALED.len();
    let Some(text) = literal.strip_prefix(b"\"") else { return false };
    text.starts_with(SEALED.as_bytes()) || text.iter().take(ESCAPED).any(|&byte| byte == b'\\')
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
            assert!(head(&before).unwrap().own_reasoning, "{items}");
            assert_eq!(without_own_reasoning(&before), body(&left), "{items}");
        }
        let without = Bytes::from(format!(r#"{{"model":"m","input":[{foreign}]}}"#));
        assert!(!head(&without).unwrap().own_reasoning);
        assert_eq!(without_own_reasoning(&without).as_ptr(), without.as_ptr());
    }
}
