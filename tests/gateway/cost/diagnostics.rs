//! `cache-diagnostics`: asking the provider why a cache was lost.

use serde_json::{Value, json};

use super::cache::{FIRST, NEXT, Turn, request};
use super::rows;
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

const ON: &str = "[anthropic]\ncache-diagnostics = true";

/// A reply with an id and with diagnostics, whole or streamed.
fn reply(id: &str, turn: &Turn<'_>, diagnostics: &Value, stream: bool) -> Answer {
    let (cache_read, cache_creation) = turn.cached;
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": cache_read,
        "cache_creation_input_tokens": cache_creation});
    let mut message = json!({"id": id, "type": "message", "role": "assistant", "model": turn.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage, "diagnostics": diagnostics});
    if stream {
        let mut events = anthropic::text(&["Hi"]);
        events[0] = anthropic::event(&json!({"type": "message_start", "message": message}));
        return Answer::events(events);
    }
    message["content"] = json!([{"type": "text", "text": "Hi"}]);
    message["stop_reason"] = json!("end_turn");
    Answer::json(200, message.to_string())
}

/// Requirement: with `cache-diagnostics`, the request names the previous reply of its conversation, and the provider's reason is
/// reported.
#[test]
fn the_providers_reason_is_reported() {
    for stream in [false, true] {
        let reason =
            json!({"cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 50_000}});
        let upstream = Upstream::anthropic()
            .answering(reply("msg_first", &FIRST, &Value::Null, stream))
            .answering(reply("msg_next", &NEXT, &reason, stream));
        let gateway = Gateway::before(&upstream).toml(ON).start();
        request(&gateway, &FIRST, stream);
        rows(&gateway, 1);
        request(&gateway, &NEXT, stream);

        let loss = &rows(&gateway, 2)[0]["cache_loss"];
        assert_eq!((&loss["cause"], &loss["by_provider"]), (&json!("tools"), &json!(true)), "{loss:#}");
        let asked = |index: usize| upstream.request(index).json()["diagnostics"].clone();
        assert_eq!(asked(0), json!({"previous_message_id": null}));
        assert_eq!(asked(1), json!({"previous_message_id": "msg_first"}));
        gateway.run.await_log("the tools changed (reported by the provider)");
    }
}

/// Requirement: without the setting, or without a session, the body is forwarded unchanged.
#[test]
fn nothing_is_asked_unless_the_user_wants_it() {
    for (toml, session) in [("", FIRST.session), (ON, "")] {
        let upstream = Upstream::anthropic().answering(reply("msg_first", &FIRST, &Value::Null, false));
        let gateway = Gateway::before(&upstream).toml(toml).start();
        request(&gateway, &Turn { session, ..FIRST }, false);
        assert_eq!(upstream.only_request().json().get("diagnostics"), None, "{toml}");
    }
}
