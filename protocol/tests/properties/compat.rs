//! What holds of every refusal and every request that is edited for it.

use bytes::Bytes;
use serde_json::{Map, Value};
use vandamme_protocol::compat::{FixedRequest, Fixup, FixupRule, apply, recognise};
use vandamme_protocol::request::is_complete_json;
use vandamme_protocol::tool_id::Form;

/// A refusal up to the first line end, and behind it the request that was refused.
pub(crate) fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (refusal, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let fixups: Vec<Fixup> =
        recognise(400, refusal).into_iter().map(|fixup| fixup.completed_by(body)).collect();
    fixups.iter().for_each(check_rule);
    let body = Bytes::copy_from_slice(body);
    let FixedRequest { body: edited, betas } = apply(&fixups, &body, "a-1, b-2");
    assert!("a-1, b-2".contains(betas.trim()) || betas == "a-1,b-2", "{betas}");
    if is_complete_json(&body) {
        assert!(is_complete_json(&edited), "a fixup leaves JSON");
    }
    // A number that this parser does not read is not the fixup's doing.
    let Ok(before) = serde_json::from_slice::<Map<String, Value>>(&body) else { return };
    let after: Map<String, Value> = serde_json::from_slice(&edited).expect("a fixup leaves an object");
    for name in ["model", "stream"] {
        assert_eq!(before.get(name), after.get(name), "{name}");
    }
    if fixups.iter().any(|fixup| matches!(fixup, Fixup::Reasoning(_))) {
        check_turns(before.get("messages"), after.get("messages"));
    } else if !fixups.iter().any(|fixup| matches!(fixup, Fixup::ToolIds(_))) {
        assert_eq!(before.get("messages"), after.get("messages"), "what was said stays");
    }
    for name in ["tools", "system", "functions"] {
        assert_eq!(before.contains_key(name), after.contains_key(name), "{name}");
    }
    let limit = |body: &Map<String, Value>| {
        ["max_tokens", "max_completion_tokens"].into_iter().find_map(|name| body.get(name)).is_some()
    };
    assert_eq!(limit(&before), limit(&after), "the limit of tokens stays, under whatever name");
    assert_eq!(apply(&fixups, &edited, &betas).body, edited, "what is gone does not go twice");
}

/// What the log suggests is a rule that asks for the same.
fn check_rule(fixup: &Fixup) {
    let line = fixup.to_string();
    let (key, value) = line.split_once(" = ").expect("a line of a configuration");
    // A list of one entry in quotes.
    let text = if value.starts_with('[') { &value[2..value.len() - 2] } else { value };
    match key {
        "drop-params" => assert_eq!(Fixup::param(text).as_ref(), Some(fixup), "{line}"),
        "drop-betas" => assert_eq!(Fixup::beta(text).as_ref(), Some(fixup), "{line}"),
        "tool-ids" => assert_eq!(Form::named(text).map(Fixup::ToolIds).as_ref(), Some(fixup), "{line}"),
        "set-params" => {
            assert_eq!(FixupRule::set(text).map(|rule| rule.fixup).as_ref(), Some(fixup), "{line}")
        }
        "limit-params" => {
            assert_eq!(FixupRule::limit(text).map(|rule| rule.fixup).as_ref(), Some(fixup), "{line}")
        }
        _ => assert!(matches!(key, "max-tokens-as" | "fit-tool-schemas" | "missing-reasoning"), "{line}"),
    }
}

/// Reasoning is added to turns, and nothing else happens to them.
fn check_turns(before: Option<&Value>, after: Option<&Value>) {
    let list = |turns: Option<&Value>| turns.and_then(Value::as_array).cloned().unwrap_or_default();
    let (before, after) = (list(before), list(after));
    assert_eq!(before.len(), after.len(), "no turn is lost");
    for (mut before, mut after) in before.into_iter().zip(after) {
        for turn in [&mut before, &mut after] {
            if let Some(turn) = turn.as_object_mut() {
                turn.remove("reasoning_content");
            }
            if let Some(blocks) = turn.get_mut("content").and_then(Value::as_array_mut) {
                blocks.retain(|block| block.get("thinking").and_then(Value::as_str) != Some(""));
            }
        }
        assert_eq!(before, after, "what was said stays");
    }
}
