//! Refusals that require another value, another limit or another form: the request is changed accordingly, and the
//! change is remembered for the model.

use serde_json::{Value, json};

use super::{chat, chat_with, suggested, with, without};
use crate::support::canned::anthropic;
use crate::support::chat as chats;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Seen, Upstream};

const SET_NONE: &str = "Function tools with reasoning_effort are not supported for test-model in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.";

/// An error without a code in OpenAI's shape.
fn refusal(message: &str, param: &str) -> Answer {
    let error = json!({"message": message, "type": "invalid_request_error", "param": param, "code": null});
    Answer::json(400, json!({"error": error}).to_string())
}

/// An error in Anthropic's shape.
fn refused(message: &str) -> Answer {
    Answer::json(400, anthropic::error("invalid_request_error", message))
}

fn tool() -> Value {
    let parameters = json!({"type": "object", "properties": {}});
    json!({"type": "function", "function": {"name": "f", "parameters": parameters}})
}

/// The text of a whole completion, which can be empty.
fn text_of(completion: &Value) -> String {
    completion["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

fn reasoning_model() -> Upstream {
    Upstream::openai().ruled_by(|seen| {
        let body = seen.json();
        let is_off = body["reasoning_effort"] == "none";
        (body.get("tools").is_some() && !is_off).then(|| refusal(SET_NONE, "reasoning_effort"))
    })
}

/// Refuses token limits above or below these, under any name.
fn limited(seen: &Seen, allowed: std::ops::RangeInclusive<u64>) -> bool {
    let body = seen.json();
    let names = ["max_tokens", "max_completion_tokens"];
    let limit = names.iter().find_map(|name| body.get(*name)).and_then(Value::as_u64);
    limit.is_some_and(|limit| !allowed.contains(&limit))
}

#[test]
fn a_member_is_set_as_the_refusal_requires() {
    let upstream = reasoning_model();
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"reasoning_effort": "low", "tools": [tool()]}));

    for calls in [2, 3] {
        assert_eq!((chats::text(&chat(&gateway, &body)).as_str(), upstream.count()), ("Hello there!", calls));
    }
    let claude =
        with(prompt(MODEL, "hi"), json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    assert_eq!(gateway.messages(&claude).reply().text(), "Hello there!");
    chat(&gateway, &chat_with(json!({"reasoning_effort": "low"})));

    assert_eq!(upstream.count(), 5);
    let sent: Vec<_> =
        upstream.requests().iter().map(|seen| seen.json()["reasoning_effort"].clone()).collect();
    assert_eq!(sent, ["low", "none", "none", "none", "low"], "without tools the effort stays");
    let rule = format!("set-params = ['reasoning_effort=none&tools@{MODEL}']");
    assert_eq!(suggested(&gateway, "openai"), [(MODEL.to_owned(), rule.clone())]);
    gateway.run.await_log(&rule);

    let upstream = reasoning_model();
    let gateway = Gateway::before(&upstream).toml(&format!("[openai]\n{rule}")).start();
    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");
    chat(&gateway, &with(body, json!({"model": "other"})));
    assert_eq!(upstream.request(0).json()["reasoning_effort"], "none");
    assert_eq!(upstream.request(1).json()["reasoning_effort"], "low", "the rule is for one model");
}

#[test]
fn counting_tokens_receives_no_member_that_only_replies_need() {
    let upstream = Upstream::anthropic();
    let rules =
        "[anthropic]\nset-params = ['temperature=1', 'output_config.effort=high&output_config.effort=max']";
    let gateway = Gateway::before(&upstream).toml(rules).start();
    let body = with(whole_prompt(MODEL, "hi"), json!({"output_config": {"effort": "max"}}));

    gateway.call("POST", "/v1/messages/count_tokens").json(&body).reply();

    let sent = upstream.request(0).json();
    assert_eq!((sent.get("temperature"), &sent["output_config"]["effort"]), (None, &json!("high")));
}

#[test]
fn an_unsupported_effort_becomes_the_nearest_supported_one() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let message = "output_config.effort: Input should be 'low', 'medium', 'high' or 'max'";
        (seen.json()["output_config"]["effort"] == "xhigh").then(|| refused(message))
    });
    let gateway = Gateway::before(&upstream).start();
    let body = with(prompt(MODEL, "hi"), json!({"output_config": {"effort": "xhigh"}}));

    for calls in [2, 3] {
        assert_eq!(
            (gateway.messages(&body).reply().text().as_str(), upstream.count()),
            ("Hello there!", calls)
        );
    }
    let sent = upstream.request(2).text();
    assert_eq!(sent, body.to_string().replace("xhigh", "high"), "every other byte stays");
}

#[test]
fn an_effort_is_removed_only_without_thinking() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let body = seen.json();
        let is_off = body["thinking"]["type"] == "disabled";
        let message = "thinking options type cannot be disabled when reasoning_effort is set";
        (is_off && !body["output_config"]["effort"].is_null()).then(|| refused(message))
    });
    let gateway = Gateway::before(&upstream).start();
    let ask = |thinking: &str| {
        let members = json!({"thinking": {"type": thinking}, "output_config": {"effort": "high"}});
        assert_eq!(gateway.messages(&with(prompt(MODEL, "hi"), members)).reply().text(), "Hello there!");
        upstream.count()
    };

    assert_eq!((ask("disabled"), ask("disabled"), ask("adaptive")), (2, 3, 4));

    let sent: Vec<_> = upstream.requests().iter().map(|seen| seen.json()["output_config"].clone()).collect();
    assert_eq!(sent, [json!({"effort": "high"}), json!({}), json!({}), json!({"effort": "high"})]);
    let rule = "drop-params = ['output_config.effort&thinking.type=disabled']";
    assert_eq!(suggested(&gateway, "anthropic")[0].1, rule);
}

#[test]
fn the_token_limit_is_lowered_to_the_named_maximum_at_both_endpoints() {
    let openai = || {
        let message = "max_tokens is too large: 64000. This model supports at most 32768 completion tokens, whereas you provided 64000.";
        Upstream::openai()
            .ruled_by(move |seen| limited(seen, 1..=32768).then(|| refusal(message, "max_tokens")))
    };
    let anthropic = || {
        let message =
            "max_tokens: 64000 > 32768, which is the maximum allowed number of output tokens for test-model";
        Upstream::anthropic().ruled_by(move |seen| limited(seen, 1..=32768).then(|| refused(message)))
    };
    for (upstream, provider) in [(openai(), "openai"), (anthropic(), "anthropic")] {
        let gateway = Gateway::before(&upstream).start();
        let claude = with(prompt(MODEL, "hi"), json!({"max_tokens": 64000}));

        assert_eq!(gateway.messages(&claude).reply().text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
        assert_eq!(chats::text(&chat(&gateway, &chat_with(json!({"max_tokens": 64000})))), "Hello there!");
        assert_eq!(upstream.count(), 3, "the endpoints share what is known");
        gateway.messages(&with(claude, json!({"max_tokens": 5000}))).reply();

        let sent: Vec<_> = upstream.requests().iter().map(|seen| seen.json()["max_tokens"].clone()).collect();
        assert_eq!(sent, [64000, 32768, 32768, 5000]);
        let rule = format!("limit-params = ['max_tokens<=32768@{MODEL}']");
        assert_eq!(suggested(&gateway, provider), [(MODEL.to_owned(), rule.clone())]);

        let gateway = Gateway::before(&upstream).toml(&format!("[{provider}]\n{rule}")).start();
        let calls = upstream.count();
        gateway.messages(&with(prompt(MODEL, "hi"), json!({"max_tokens": 64000}))).reply();
        assert_eq!(upstream.count(), calls + 1, "the rule spares the refusal");
    }
}

#[test]
fn the_token_limit_is_raised_to_the_named_minimum() {
    let message = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.";
    let upstream = Upstream::openai()
        .ruled_by(move |seen| limited(seen, 16..=9999).then(|| refusal(message, "max_output_tokens")));
    let gateway = Gateway::before(&upstream).start();

    for calls in [2, 3] {
        let body = with(whole_prompt(MODEL, "hi"), json!({"max_tokens": 1}));
        assert_eq!(gateway.messages(&body).reply().text(), "Hello there!");
        assert_eq!(upstream.count(), calls);
    }
    assert_eq!(upstream.request(2).json()["max_tokens"], 16);
}

#[test]
fn a_reply_without_content_at_the_token_limit_is_answered_without_content() {
    let message = "Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.";
    for upstream in
        [Upstream::openai().always(refusal(message, "")), Upstream::anthropic().always(refused(message))]
    {
        let gateway = Gateway::before(&upstream).start();
        for streamed in [true, false] {
            let members = json!({"max_tokens": 1, "stream": streamed});

            let reply = gateway.messages(&with(whole_prompt(MODEL, "hi"), members.clone())).reply();
            assert_eq!((reply.status(), reply.is_stream()), (200, streamed), "{reply}");
            let message = if streamed { reply.message() } else { reply.json() };
            assert_eq!(
                (message["stop_reason"].as_str(), message["role"].as_str()),
                (Some("max_tokens"), Some("assistant"))
            );
            let texts = message["content"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|block| block["text"].as_str());
            assert_eq!(texts.collect::<String>(), "");

            let reply = chat(&gateway, &chat_with(members));
            assert_eq!((reply.status(), reply.is_stream()), (200, streamed), "{reply}");
            let text = if streamed { chats::text(&reply) } else { text_of(&reply.json()) };
            assert_eq!(text, "");
            assert!(reply.raw().contains(r#""finish_reason":"length""#), "{reply}");
        }
        assert_eq!(upstream.count(), 4, "nothing is asked twice");
    }
}

#[test]
fn tool_schemas_are_fitted_to_what_the_provider_requires() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let schema = seen.json()["tools"][0]["function"]["parameters"].clone();
        let fits = schema["type"] == "object" && schema.get("properties").is_some() && schema.get("anyOf").is_none();
        let message = "Invalid schema for function 'f': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.";
        (!fits).then(|| refusal(message, "tools[0].function.parameters"))
    });
    let gateway = Gateway::before(&upstream).start();
    let schema = json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
    ]});
    let claude = with(prompt(MODEL, "hi"), json!({"tools": [{"name": "f", "input_schema": schema}]}));
    assert_eq!(gateway.messages(&claude).reply().text(), "Hello there!");
    assert_eq!(upstream.count(), 2);
    let function = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
    assert_eq!(chats::text(&chat(&gateway, &chat_with(json!({"tools": [function]})))), "Hello there!");

    assert_eq!(upstream.count(), 3);
    let fitted = json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}, "b": {"type": "string"}}});
    for seen in &upstream.requests()[1..] {
        assert_eq!(seen.json()["tools"][0]["function"]["parameters"], fitted);
    }
    assert_eq!(suggested(&gateway, "openai")[0].1, "fit-tool-schemas = true");
}

#[test]
fn schema_keywords_refused_by_kind_are_removed_at_both_endpoints() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let message = "tools.0.custom: For 'integer' type, properties maximum, minimum are not supported";
        seen.text().contains("\"minimum\"").then(|| refused(message))
    });
    let gateway = Gateway::before(&upstream).start();
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}});
    let claude = with(prompt(MODEL, "hi"), json!({"tools": [{"name": "f", "input_schema": schema}]}));
    let function = json!({"type": "function", "function": {"name": "f", "parameters": schema}});

    assert_eq!(gateway.messages(&claude).reply().text(), "Hello there!");
    assert_eq!(chats::text(&chat(&gateway, &chat_with(json!({"tools": [function]})))), "Hello there!");

    assert_eq!(upstream.count(), 3);
    for seen in &upstream.requests()[1..] {
        let schema = &seen.json()["tools"][0]["input_schema"];
        assert_eq!(schema["properties"]["n"], json!({"type": "integer"}));
    }
}

#[test]
fn the_schema_of_an_answer_is_reduced_before_it_is_sent() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});

    chat(&gateway, &chat_with(json!({"response_format": format})));

    let sent = upstream.only_request().json()["output_config"]["format"]["schema"].clone();
    let number = json!({"type": "integer", "description": "{minimum: 1}"});
    assert_eq!(sent, json!({"type": "object", "properties": {"n": number}, "additionalProperties": false}));
}

#[test]
fn a_tool_choice_that_thinking_excludes_is_removed() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let message = "tool_choice 'required' is incompatible with thinking enabled";
        (seen.json()["tool_choice"] == "required").then(|| refusal(message, ""))
    });
    let gateway = Gateway::before(&upstream).start();
    let members =
        json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}});

    for calls in [2, 3] {
        let reply = gateway.messages(&with(prompt(MODEL, "hi"), members.clone())).reply();
        assert_eq!((reply.text().as_str(), upstream.count()), ("Hello there!", calls));
    }
}

#[test]
fn missing_reasoning_in_earlier_turns_is_filled_in() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let turn = seen.json()["messages"][1].clone();
        let message =
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1";
        (turn["reasoning_content"] != "").then(|| refusal(message, ""))
    });
    let gateway = Gateway::before(&upstream).start();
    let function = json!({"name": "f", "arguments": "{}"});
    let turns = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]);
    let body = chat_with(json!({"messages": turns}));

    for calls in [2, 3] {
        assert_eq!((chats::text(&chat(&gateway, &body)).as_str(), upstream.count()), ("Hello there!", calls));
    }
    let claude = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}]},
    ]);
    let reply = gateway.messages(&with(prompt(MODEL, "hi"), json!({"messages": claude}))).reply();

    assert_eq!((reply.text().as_str(), upstream.count()), ("Hello there!", 4));
    assert_eq!(suggested(&gateway, "openai")[0].1, r#"missing-reasoning = "empty""#);
}

#[test]
fn a_refused_empty_text_is_replaced_by_a_blank() {
    let message = "The `reasoning_content` in the thinking mode must be passed back to the API.";
    let upstream = Upstream::openai().ruled_by(move |seen| {
        (seen.json()["messages"][0]["reasoning_content"] != " ").then(|| refusal(message, ""))
    });
    let gateway = Gateway::before(&upstream).start();
    let turn = json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]});

    let reply = chat(&gateway, &chat_with(json!({"messages": [turn, {"role": "user", "content": "x"}]})));

    assert_eq!((chats::text(&reply).as_str(), upstream.count()), ("Hello there!", 3));
}

#[test]
fn sampling_parameters_that_a_newer_version_refuses_are_removed() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let body = seen.json();
        let is_there = ["temperature", "top_p", "top_k"].iter().any(|name| body.get(*name).is_some());
        let message =
            "`temperature`, `top_p` and `top_k` are not supported with anthropic-version 2026-10-21.";
        is_there.then(|| refused(message))
    });
    let gateway = Gateway::before(&upstream).start();
    let body = with(prompt(MODEL, "hi"), json!({"temperature": 1, "top_k": 5}));

    for calls in [2, 3] {
        let reply = gateway.messages(&body).header("anthropic-version", "2026-10-21").reply();
        assert_eq!((reply.text().as_str(), upstream.count()), ("Hello there!", calls));
    }
}

#[test]
fn errors_that_make_claude_code_retry_reach_it_unchanged() {
    let message = "messages.1.output_config: Extra inputs are not permitted";
    let body = anthropic::error("invalid_request_error", message);
    let upstream = Upstream::anthropic().always(Answer::json(400, body.clone()));
    let gateway = Gateway::before(&upstream).start();
    let turns = json!([
        {"role": "user", "content": "hi"},
        {"role": "system", "content": [], "output_config": {"effort": "low"}},
    ]);

    let reply = gateway.messages(&with(prompt(MODEL, "hi"), json!({"messages": turns}))).reply();

    assert_eq!((reply.status(), reply.raw(), upstream.count()), (400, body, 1));
}

#[test]
fn the_error_for_a_long_prompt_makes_claude_code_compact() {
    for (message, told) in [
        (
            "The input (345516 tokens) is longer than the model's context length (262144 tokens).",
            "prompt is too long: 345516 tokens > 262144 maximum",
        ),
        (
            "Your request exceeded model token limit: 262144",
            "prompt is too long: 262145 tokens > 262144 maximum",
        ),
    ] {
        let upstreams =
            [Upstream::openai().always(refusal(message, "")), Upstream::anthropic().always(refused(message))];
        for upstream in upstreams {
            let gateway = Gateway::before(&upstream).start();
            let reply = gateway.messages(&prompt(MODEL, "hi")).reply();
            assert_eq!((reply.status(), reply.error_message().as_str(), upstream.count()), (400, told, 1));
        }
    }
    let own = anthropic::error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum");
    let upstream = Upstream::anthropic().always(Answer::json(400, own.clone()));
    let reply = Gateway::before(&upstream).start().messages(&prompt(MODEL, "hi")).reply();
    assert_eq!(reply.raw(), own, "Anthropic's own words pass as they are");
}

#[test]
fn the_gateway_applies_stop_sequences_that_a_model_refuses() {
    let upstream = without("stop");
    let gateway = Gateway::before(&upstream).start();
    for streamed in [true, false] {
        let members = json!({"stop_sequences": ["there"], "stream": streamed});
        let reply = gateway.messages(&with(whole_prompt(MODEL, "hi"), members)).reply();
        let message = reply.message();
        assert_eq!(reply.text(), "Hello ");
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("stop_sequence"), &json!("there"))
        );
    }
    assert_eq!(upstream.count(), 3, "the second request goes without from the start");
}

#[test]
fn an_invalid_rule_prevents_the_start() {
    for (rule, words) in [
        ("set-params = ['messages=x']", "[openai] set-params: expected a list of members and their values"),
        (
            "limit-params = ['max_tokens']",
            "[openai] limit-params: expected a list of members and their bounds",
        ),
        ("missing-reasoning = 'x'", "expected one of empty, blank, thinking-block, found \"x\""),
        ("fit-tool-schemas = 'yes'", "expected true or false"),
    ] {
        let finished = Gateway::bare().toml(&format!("[openai]\n{rule}")).run_to_end();
        assert_eq!(finished.status.code(), Some(1), "{rule}");
        assert!(finished.output.contains(words), "{rule}\n{}", finished.output);
    }
}
