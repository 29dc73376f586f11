//! Clients of Chat Completions: their own settings, and nothing that they left open.

use super::*;

/// What a client's settings become. The hub has values of its own, which the client did not send.
fn of(name: &str, client: Value) -> (Value, String) {
    let members = OpenAiMembers::of_chat(client.to_string().as_bytes());
    let dialect = Dialect { prompt_cache: true, user_fields: vec!["user".into()], ..Dialect::default() };
    let target = ResponsesUpstream {
        model: name,
        members: Some(&members),
        dialect: &dialect,
        session: Some("abc"),
        ..TARGET
    };
    let hub = json!({"max_tokens": 32000, "temperature": 1, "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"}, "metadata": {"user_id": "u"}, "system": "Answer in JSON.",
        "tools": [{"name": "f", "input_schema": {}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    (to(&target, hub.clone()), dropped(&target, hub))
}

/// Requirement: nothing is set that the client left open.
#[test]
fn a_client_without_settings_sets_none() {
    let (sent, dropped) = of("gpt-6.1-sol", json!({}));
    let mut names: Vec<&String> = sent.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["input", "instructions", "model", "store", "stream", "tool_choice", "tools"]);
    assert_eq!(dropped, "");
}

/// Requirement: the client's own values win.
#[test]
fn settings_of_both_apis_are_sent_in_the_notation_of_the_responses_api() {
    let schema = json!({"type": "object"});
    let (sent, dropped) = of(
        "gpt-6.1-sol",
        json!({"max_completion_tokens": 5, "reasoning_effort": "xhigh", "verbosity": "low", "parallel_tool_calls": true,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": schema, "strict": true}},
            "service_tier": "flex", "metadata": {"a": "b"}, "user": "me", "safety_identifier": "s", "prompt_cache_key": "k",
            "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit"}, "n": 1, "logprobs": false,
            "frequency_penalty": 0}),
    );
    for (name, value) in [
        ("max_output_tokens", json!(16)),
        ("reasoning", json!({"effort": "xhigh"})),
        (
            "text",
            json!({"verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "description": "d", "schema": schema, "strict": true}}),
        ),
        ("parallel_tool_calls", json!(true)),
        ("service_tier", json!("flex")),
        ("metadata", json!({"a": "b"})),
        ("user", json!("me")),
        ("safety_identifier", json!("s")),
        ("prompt_cache_key", json!("k")),
        ("prompt_cache_retention", json!("24h")),
        ("prompt_cache_options", json!({"mode": "explicit"})),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    assert!(sent.get("include").is_none());
    assert_eq!(dropped, "");
}

#[test]
fn what_the_api_does_not_have_is_named() {
    let (sent, dropped) = of(
        "m",
        json!({"seed": 1, "logit_bias": {"1": 2}, "frequency_penalty": 0.5, "presence_penalty": 1, "logprobs": true,
            "top_logprobs": 3, "temperature": 1.5, "top_p": 0.1}),
    );
    assert_eq!(dropped, "logprobs, top_logprobs, seed, frequency_penalty, presence_penalty, logit_bias");
    assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(1.5), &json!(0.1)));
    let (sent, dropped) = of("o3", json!({"temperature": 0.5}));
    assert_eq!((sent.get("temperature"), &*dropped), (None, "temperature"));
    let (sent, _) = of("gpt-6.1-sol", json!({"temperature": 0.5, "reasoning_effort": "none"}));
    assert_eq!(sent["temperature"], 0.5);
    assert!(of("gpt-6.1-sol", json!({"reasoning_effort": "default"})).0.get("reasoning").is_none());
}

/// Requirement: for any JSON object, the API requires that the conversation asks for JSON; it does not look at `instructions`.
#[test]
fn a_system_prompt_that_asks_for_json_is_in_the_conversation() {
    let (sent, _) = of("m", json!({"response_format": {"type": "json_object"}}));
    assert_eq!(sent["text"], json!({"format": {"type": "json_object"}}));
    assert_eq!((&sent["input"][0], sent.get("instructions")), (&developer("Answer in JSON."), None));
}

#[test]
fn settings_that_cannot_be_sent_are_refused() {
    for (client, message) in [
        (json!({"n": 2}), "n: the Responses API gives one answer, so it must be 1"),
        (json!({"max_tokens": 1.5}), "max_tokens: must be an integer, at least 1"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (json!({"response_format": "json"}), "response_format: must be an object"),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema: must be an object",
        ),
        (json!({"stop": [1]}), "stop: must be a string or an array of strings"),
    ] {
        let members = OpenAiMembers::of_chat(client.to_string().as_bytes());
        let target = ResponsesUpstream { members: Some(&members), ..TARGET };
        let error = request(plus(json!({})).to_string().as_bytes(), &target).unwrap_err();
        assert_eq!(error.message, message);
    }
}
