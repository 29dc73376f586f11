//! Responses requests over an upstream of Chat Completions.

use super::*;
use crate::order::check_order;
use vandamme_protocol::convert::{
    Dropped,
    upstream::chat::{ChatUpstream, Dialect, PLAIN, ReasoningModels, request as chat_request},
};

pub(crate) const CHAT: MessagesTarget<'_> = MessagesTarget {
    provider: "p",
    model: "gpt-4o",
    requested_model: "p:m",
    upstream: UpstreamKind::ChatCompletions,
};

/// The upstream's body, and what was left out.
fn over(fields: Value, model: &str, dialect: &Dialect) -> (Value, Dropped) {
    let translated = translate(&plus(fields), &MessagesTarget { model, ..CHAT });
    let members = Some(&translated.members);
    let target =
        ChatUpstream { provider: "p", model, requested_model: "p:m", dialect, session: None, members };
    let sent = chat_request(&translated.body, &target).unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    check_order(&body["messages"]);
    let mut dropped = translated.dropped;
    dropped.append(sent.dropped);
    (body, dropped)
}

fn openai() -> Dialect {
    Dialect {
        prompt_cache: true,
        user_fields: vec!["safety_identifier".to_owned()],
        system_anywhere: true,
        ..PLAIN.clone()
    }
}

#[test]
fn nothing_is_set_that_the_client_left_open() {
    let (sent, dropped) = over(json!({"instructions": "i"}), "gpt-4o", &openai());
    let messages = json!([{"role": "system", "content": "i"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    let plain = json!([{"role": "system", "content": "i"}, {"role": "user", "content": "hi"}]);
    let mut rest = sent.clone();
    let told = rest.as_object_mut().unwrap().remove("messages").unwrap();
    assert!(told == messages || told == plain, "{told}");
    assert_eq!(rest, json!({"model": "gpt-4o", "stream": false}));
    assert!(dropped.is_empty());
}

#[test]
fn the_clients_settings_are_sent_as_they_are() {
    let format = json!({"type": "json_schema", "name": "n", "description": "d", "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a$"}}, "required": ["a"], "additionalProperties": false}});
    let (sent, dropped) = over(
        json!({"max_output_tokens": 99, "temperature": 1.5, "top_p": 0.9, "parallel_tool_calls": false, "tools": [function("f")], "service_tier": "flex", "metadata": {"a": "b"},
            "safety_identifier": "me@example.com", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"},
            "text": {"verbosity": "low", "format": format}, "reasoning": {"effort": "minimal"}}),
        "gpt-5",
        &openai(),
    );
    let mut schema = format.clone();
    schema.as_object_mut().unwrap().remove("type");
    for (name, value) in [
        ("max_completion_tokens", json!(99)),
        ("temperature", json!(1.5)),
        ("top_p", json!(0.9)),
        ("parallel_tool_calls", json!(false)),
        ("service_tier", json!("flex")),
        ("safety_identifier", json!("me@example.com")),
        ("prompt_cache_key", json!("k")),
        ("prompt_cache_retention", json!("24h")),
        ("prompt_cache_options", json!({"mode": "implicit"})),
        ("verbosity", json!("low")),
        ("reasoning_effort", json!("minimal")),
        ("response_format", json!({"type": "json_schema", "json_schema": schema})),
    ] {
        assert_eq!(sent[name], value, "{name}: {sent}");
    }
    assert_eq!(dropped.header().as_deref(), Some("metadata"));
    let (sent, _) = over(json!({"text": {"format": {"type": "json_object"}}}), "gpt-4o", &openai());
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
}

#[test]
fn an_effort_is_one_that_the_model_has() {
    let listed = Dialect { reasoning_models: ReasoningModels::Listed(vec!["*".to_owned()]), ..openai() };
    for (model, effort, expected) in [
        ("gpt-5.1", "none", json!("none")),
        ("gpt-5.1", "minimal", json!("low")),
        ("gpt-5", "none", json!("minimal")),
        ("gpt-5", "xhigh", json!("high")),
        ("gpt-5.2", "xhigh", json!("xhigh")),
        ("gpt-4o", "high", json!(null)),
        ("o3", "medium", json!("medium")),
    ] {
        let (sent, dropped) =
            over(json!({"reasoning": {"effort": effort, "summary": "auto"}}), model, &listed);
        assert_eq!(sent["reasoning_effort"], expected, "{model} {effort}");
        assert_eq!(dropped.header().as_deref(), (model == "gpt-4o").then_some("reasoning.effort"), "{model}");
    }
    let (sent, _) = over(json!({"reasoning": {"summary": "auto"}}), "gpt-5", &listed);
    assert_eq!(sent.get("reasoning_effort"), None, "the client left it open");
}

#[test]
fn other_vendors_get_no_cache_members_and_no_user() {
    let (sent, dropped) = over(json!({"prompt_cache_key": "k", "user": "u"}), "llama", &PLAIN);
    assert!(sent.get("prompt_cache_key").is_none() && sent.get("user").is_none());
    assert_eq!(dropped.header().as_deref(), Some("prompt_cache_key"));
}

#[test]
fn a_conversation_keeps_its_calls_and_its_system_messages() {
    let (sent, _) = over(
        json!({"instructions": "i", "tools": [function("f"), {"type": "custom", "name": "c"}], "input": [
            said("user", "go"), called("call_1", "{\"a\":1}"), {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "x"}, output("call_1", json!("1")),
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "2"}, said("developer", "d"), said("user", "more")]}),
        "gpt-4o",
        &openai(),
    );
    let roles: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "system", "user"]);
    assert_eq!(sent["messages"][2]["tool_calls"][1]["function"]["arguments"], "{\"input\":\"x\"}");
    assert_eq!(sent["messages"][5]["content"], "d");
}

#[test]
fn reasoning_of_the_model_returns() {
    let signature = vandamme_protocol::signature::mint("p", "deepseek-reasoner");
    let own = thought(&["because"], &sealed("p", "deepseek-reasoner", &signature));
    let (sent, _) = over(
        json!({"input": [said("user", "go"), own, called("call_1", "{}"), output("call_1", json!("1"))]}),
        "deepseek-reasoner",
        &PLAIN,
    );
    assert_eq!(sent["messages"][1]["reasoning_content"], "because");
}
