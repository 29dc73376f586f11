//! Removes thinking blocks that this gateway created from a history: their signatures are invalid for an upstream.

use std::ops::Range;

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor, decoded};
use super::pruned::{Action, Pruned, without};

/// The prefix of a thinking block's signature if this gateway created the block.
pub const OWN_SIGNATURE: &str = "vdm1.";

/// Returns the body without the `thinking` and `redacted_thinking` blocks in `messages[].content[]` whose `signature`
/// or `data` starts with [`OWN_SIGNATURE`]. A message that loses its last block is removed as well. Every other byte is
/// preserved; a body without such blocks is returned unchanged.
#[must_use]
pub fn without_own_thinking(body: &Bytes) -> Bytes {
    let mut cuts = Vec::new();
    let walked = JsonCursor::new(body).members(|cursor, key| match key {
        "messages" => messages(cursor, &mut cuts),
        _ => skip(cursor),
    });
    if walked.is_err() || cuts.is_empty() {
        return body.clone();
    }
    without(body, cuts)
}

fn messages(cursor: &mut JsonCursor<'_>, cuts: &mut Vec<Range<usize>>) -> CursorResult<()> {
    if cursor.peek() != Some(b'[') {
        return skip(cursor);
    }
    let mut pruned = Pruned::default();
    cursor.elements(|cursor| {
        let start = cursor.at();
        let mut inner = Vec::new();
        let action = message(cursor, &mut inner)?;
        if action == Action::Keep {
            cuts.append(&mut inner);
        }
        pruned.add(start..cursor.at(), action, cuts);
        Ok(())
    })?;
    pruned.close(cuts);
    Ok(())
}

fn message(cursor: &mut JsonCursor<'_>, cuts: &mut Vec<Range<usize>>) -> CursorResult<Action> {
    let mut action = Action::Keep;
    if cursor.peek() != Some(b'{') {
        skip(cursor)?;
        return Ok(action);
    }
    cursor.members(|cursor, key| {
        if key != "content" {
            return skip(cursor);
        }
        action = content(cursor, cuts)?;
        Ok(())
    })?;
    Ok(action)
}

/// Removes the gateway's own blocks; the message is to be removed if no block is left.
fn content(cursor: &mut JsonCursor<'_>, cuts: &mut Vec<Range<usize>>) -> CursorResult<Action> {
    if cursor.peek() != Some(b'[') {
        skip(cursor)?;
        return Ok(Action::Keep);
    }
    let mut pruned = Pruned::default();
    cursor.elements(|cursor| {
        let start = cursor.at();
        let action = block(cursor)?;
        pruned.add(start..cursor.at(), action, cuts);
        Ok(())
    })?;
    Ok(pruned.close(cuts))
}

fn block(cursor: &mut JsonCursor<'_>) -> CursorResult<Action> {
    if cursor.peek() != Some(b'{') {
        skip(cursor)?;
        return Ok(Action::Keep);
    }
    let (mut kind, mut signature, mut data) = (ThinkingKind::Other, Action::Keep, Action::Keep);
    cursor.members(|cursor, key| {
        let value = cursor.value()?;
        match key {
            "type" => kind = ThinkingKind::parse(cursor.slice(value)),
            "signature" => signature = action_for(cursor.slice(value)),
            "data" => data = action_for(cursor.slice(value)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(match kind {
        ThinkingKind::Thinking => signature,
        ThinkingKind::Redacted => data,
        ThinkingKind::Other => Action::Keep,
    })
}

/// Whether a string can be a signature or data of the gateway. This is a quick check, so a string that begins with an
/// escape can be one.
pub(super) fn may_be_own(value: &[u8]) -> bool {
    // The length of the marker with every character escaped.
    const ESCAPED: usize = 6 * OWN_SIGNATURE.len();
    let Some(text) = value.strip_prefix(b"\"") else { return false };
    text.starts_with(OWN_SIGNATURE.as_bytes()) || text.iter().take(ESCAPED).any(|&byte| byte == b'\\')
}

enum ThinkingKind {
    Thinking,
    Redacted,
    Other,
}

impl ThinkingKind {
    fn parse(value: &[u8]) -> Self {
        match decoded(value).as_deref() {
            Some("thinking") => Self::Thinking,
            Some("redacted_thinking") => Self::Redacted,
            _ => Self::Other,
        }
    }
}

fn action_for(signature: &[u8]) -> Action {
    match decoded(signature) {
        Some(signature) if signature.starts_with(OWN_SIGNATURE) => Action::Remove,
        _ => Action::Keep,
    }
}

fn skip(cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
    cursor.value().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = r#"{"type":"thinking","thinking":"t","signature":"vdm1.x"}"#;
    const TEXT: &str = r#"{"type":"text","text":"vdm1."}"#;

    fn history(contents: &[&[&str]]) -> Bytes {
        let message =
            |blocks: &&[&str]| format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(", "));
        let messages: Vec<String> = contents.iter().map(message).collect();
        Bytes::from(format!(r#"{{"messages":[{}],"model":"m"}}"#, messages.join(",\n")))
    }

    #[test]
    fn a_block_is_removed_with_one_comma_at_any_position() {
        for blocks in
            [&[OURS, TEXT][..], &[TEXT, OURS], &[OURS, OURS, TEXT], &[TEXT, OURS, OURS], &[OURS, TEXT, OURS]]
        {
            assert_eq!(without_own_thinking(&history(&[blocks])), history(&[&[TEXT]]));
        }
        assert_eq!(without_own_thinking(&history(&[&[TEXT, OURS, TEXT]])), history(&[&[TEXT, TEXT]]));
    }

    #[test]
    fn a_message_without_other_blocks_is_removed_with_its_comma() {
        let kept = history(&[&[TEXT]]);
        for contents in
            [&[&[OURS][..], &[TEXT]][..], &[&[TEXT], &[OURS, OURS]], &[&[OURS], &[OURS, TEXT], &[OURS]]]
        {
            assert_eq!(without_own_thinking(&history(contents)), kept);
        }
        assert_eq!(without_own_thinking(&history(&[&[OURS]])), history(&[]));
    }

    #[test]
    fn a_message_that_was_already_empty_is_kept() {
        assert_eq!(without_own_thinking(&history(&[&[], &[OURS, TEXT]])), history(&[&[], &[TEXT]]));
    }

    #[test]
    fn a_body_without_own_blocks_is_returned_uncopied() {
        let foreign = TEXT.replace("vdm1.", "").replace("text", "thinking");
        for body in [
            history(&[&[TEXT]]),
            history(&[&[&foreign]]),
            Bytes::from(format!(r#"{{"messages":[{{"content":[{OURS}"#)),
        ] {
            assert_eq!(without_own_thinking(&body).as_ptr(), body.as_ptr());
        }
    }

    #[test]
    fn blocks_elsewhere_are_not_touched() {
        let body = Bytes::from(format!(
            r#"{{"system":[{OURS}],"messages":[{{"content":[{{"type":"tool_result","content":[{OURS}]}}]}},{OURS},[{OURS}]]}}"#
        ));
        assert_eq!(without_own_thinking(&body), body);
    }
}
