//! Settings: limits, efforts, users, and the fields of one provider.

use super::*;

/// Complaint of gateway users: the gateway edits the conversation.
#[test]
fn the_smallest_request_has_no_additional_members() {
    assert_eq!(
        with(json!({})),
        json!({"model": "up/m", "max_tokens": 100, "stream": false, "messages": [{"role": "user", "content": "hi"}]})
    );
}

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn settings_are_translated() {
    let body = plus(
        json!({"stream": true, "temperature": 0.70, "top_p": 1, "top_k": 5, "metadata": {"user_id": "x"},
        "stop_sequences": ["a\n", "b", "c", "d", "e"]}),
    );
    let translated = translate(&body);
    assert_eq!(translated.delivery, Delivery::Streamed);
    let chat = chat(&body);
    assert_eq!((&chat["stream"], &chat["stream_options"]), (&json!(true), &json!({"include_usage": true})));
    assert_eq!((&chat["temperature"], &chat["top_p"]), (&json!(0.7), &json!(1)));
    assert_eq!(chat["stop"], json!(["a\n", "b", "c", "d"]));
    assert!(chat["top_k"].is_null() && chat["metadata"].is_null());
}

/// Complaint of gateway users: the wrong limit parameter, and a 400 told as a 500.
#[test]
fn newer_models_receive_max_completion_tokens() {
    let body = plus(json!({})).to_string();
    let target = ChatUpstream { model: "openai/gpt-5.1", ..TARGET };
    let chat: Value = serde_json::from_slice(&request(body.as_bytes(), &target).unwrap().body).unwrap();
    assert_eq!((&chat["max_completion_tokens"], &chat["max_tokens"]), (&json!(100), &Value::Null));
}

#[test]
fn the_form_of_the_answer_is_translated() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    let expected =
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": schema, "strict": true}});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        assert_eq!(with(fields)["response_format"], expected);
    }
    assert!(refusal(json!({"output_format": {"type": "grammar"}})).contains("output_config.format.type"));
    assert!(
        refusal(json!({"output_format": {"type": "json_schema"}})).contains("output_config.format.schema")
    );
}

/// Requirement: `thinking.enabled` with budget 1024/8000/32000 → effort low/medium/high on a reasoning model,
/// absent on others.
/// Complaint of gateway users: adaptive thinking and effort are refused.
#[test]
fn only_models_that_reason_receive_an_effort() {
    let fields = json!({"thinking": {"type": "enabled", "budget_tokens": 20000}, "output_config": {"effort": "xhigh"}});
    let of = |reasoning, models: &[&str]| Dialect {
        reasoning,
        reasoning_models: ReasoningModels::Listed(models.iter().map(|&model| model.to_owned()).collect()),
        ..Dialect::default()
    };
    assert!(with(fields.clone()).get("reasoning_effort").is_none());
    assert!(
        through(&of(ReasoningParameter::Effort, &["gpt-5*"]), fields.clone())
            .get("reasoning_effort")
            .is_none()
    );
    let effort = through(&of(ReasoningParameter::Effort, &["m"]), fields.clone());
    assert_eq!(effort["reasoning_effort"], "high");
    assert!(effort.get("thinking").is_none() && effort.get("reasoning").is_none());
    assert_eq!(
        through(&of(ReasoningParameter::Nested, &["up/*"]), fields.clone())["reasoning"],
        json!({"effort": "high"})
    );
    assert_eq!(
        through(&of(ReasoningParameter::Switch, &["*"]), fields)["thinking"],
        json!({"type": "enabled"})
    );
    let off = json!({"thinking": {"type": "disabled"}});
    assert_eq!(
        through(&of(ReasoningParameter::Switch, &["*"]), off.clone())["thinking"],
        json!({"type": "disabled"})
    );
    assert!(through(&of(ReasoningParameter::Effort, &["*"]), off).get("reasoning_effort").is_none());
}

/// Requirement: With limits set: below minimum raised, above maximum lowered; unset limits do not clamp.
#[test]
fn a_token_limit_is_raised_and_lowered_as_configured() {
    let bounded = Dialect { min_tokens: Some(100), max_tokens: Some(4096), ..Dialect::default() };
    for (asked, bounded_to) in [(1, 100), (100, 100), (500, 500), (4096, 4096), (32_000, 4096)] {
        let fields = json!({"max_tokens": asked});
        assert_eq!(through(&bounded, fields.clone())["max_tokens"], bounded_to, "{asked}");
        assert_eq!(with(fields)["max_tokens"], asked, "nobody asked for bounds");
    }
}

/// Complaint of gateway users: server tools break the request.
/// Complaint of gateway users: the user's id is too long.
#[test]
fn declared_fields_of_a_provider_are_sent() {
    let fields = json!({"top_k": 7, "metadata": {"user_id": "u".repeat(65)}, "max_tokens": 5,
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "T", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "cache_control": {"type": "ephemeral"}}]}]});
    let dialect = Dialect {
        cache_control: true,
        top_k: true,
        user_fields: vec!["user".into(), "prompt_cache_key".into()],
        web_search: Some(HostedSearch::Members("\"web_search_options\":{}".into())),
        min_tokens: Some(16),
        max_tokens: Some(4096),
        ..Dialect::default()
    };
    let sent = through(&dialect, fields.clone());
    assert_eq!(
        (&sent["top_k"], &sent["max_tokens"], &sent["web_search_options"]),
        (&json!(7), &json!(16), &json!({}))
    );
    let user = sent["user"].as_str().unwrap();
    assert!(user.len() == 64 && user != "u".repeat(64) && sent["prompt_cache_key"] == user, "{user}");
    let marked = |text: &str, mark: Value| json!([{"type": "text", "text": text, "cache_control": mark}]);
    assert_eq!(sent["messages"][0]["content"], marked("s", json!({"type": "ephemeral"})));
    assert_eq!(sent["messages"][1]["content"], marked("a", json!({"type": "ephemeral", "ttl": "1h"})));
    assert_eq!(sent["messages"][3]["content"], marked("r", json!({"type": "ephemeral"})));
    let mut unsearched = fields;
    unsearched["tools"] = json!([]);
    let plain = with(unsearched);
    assert!(
        !plain.to_string().contains("cache_control") && plain["user"].is_null() && plain["top_k"].is_null()
    );
    assert_eq!(plain["max_tokens"], 5);
    let large = through(&dialect, json!({"max_tokens": 32000, "metadata": {"user_id": "short"}}));
    assert_eq!((&large["max_tokens"], &large["user"]), (&json!(4096), &json!("short")));
}
