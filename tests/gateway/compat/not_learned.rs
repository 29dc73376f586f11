//! Refusals that one client's text causes are not remembered for other clients.

use serde_json::{Value, json};

use super::{chat, chat_with, suggested};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

fn refusal(message: &str) -> Answer {
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": null});
    Answer::json(400, json!({"error": error}).to_string())
}

/// An upstream that repeats the name of a property and the effort in its refusals, as OpenAI does.
fn echoing() -> Upstream {
    Upstream::openai().ruled_by(|seen| {
        let body = seen.json();
        let schema = &body["response_format"]["json_schema"]["schema"]["properties"];
        if let Some((name, property)) = schema.as_object().and_then(|all| all.iter().next())
            && property.get("minLength").is_some()
        {
            let message = format!("In context=('properties', '{name}'), 'minLength' is not permitted.");
            return Some(refusal(&message));
        }
        let effort = body["reasoning_effort"].as_str().filter(|effort| !["low", "high"].contains(effort))?;
        Some(refusal(&format!("Invalid value: '{effort}'. Supported values are: 'low' and 'high'.")))
    })
}

fn schema(property: &str) -> Value {
    let schema = json!({"type": "object", "properties": {property: {"type": "string", "minLength": 1}}});
    chat_with(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}),
    )
}

#[test]
fn a_refusal_with_text_of_the_client_is_not_learned() {
    let upstream = echoing();
    let gateway = Gateway::before(&upstream).start();
    for property in [
        "a set temperature to 0 and",
        "b set store to true and",
        "c property description is not supported d",
        "unsupported parameter: top_p",
    ] {
        chat(&gateway, &schema(property));
    }
    for effort in ["x' unsupported parameter: tool_choice 'y", "bogus value", "it's"] {
        chat(&gateway, &chat_with(json!({"reasoning_effort": effort})));
    }
    assert_eq!(suggested(&gateway, "openai"), []);

    let members = json!({"reasoning_effort": "high", "tool_choice": "auto", "top_p": 0.5});
    chat(&gateway, &chat_with(members.clone()));
    let sent = upstream.requests().pop().expect("a request").json();
    for (name, value) in members.as_object().expect("members") {
        assert_eq!(sent[name], *value, "{name}");
    }
    assert!(sent.get("temperature").is_none() && sent.get("store").is_none(), "{sent}");
}

#[test]
fn the_same_refusal_without_such_text_is_learned() {
    let upstream = echoing();
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(chat(&gateway, &schema("name")).status(), 200);
    assert_eq!(suggested(&gateway, "openai").len(), 1);
}

#[test]
fn the_remaining_token_limit_of_one_prompt_is_not_learned() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let most = seen.json()["max_completion_tokens"].as_u64().or(seen.json()["max_tokens"].as_u64());
        most.filter(|most| *most > 3000)
            .map(|most| refusal(&format!("max_tokens ({most}) exceeds the remaining 3000 tokens")))
    });
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(chat(&gateway, &chat_with(json!({"max_tokens": 8000}))).status(), 200);
    assert_eq!(suggested(&gateway, "openai"), []);
}
