//! Settings: limits, samplers, users, and the form of an answer.

use super::*;

/// Complaint of gateway users: the gateway edits the conversation.
#[test]
fn the_smallest_request_says_nothing_that_was_not_asked() {
    assert_eq!(
        with(json!({})),
        json!({"model": MODEL, "max_tokens": 32000, "stream": false,
               "messages": [{"role": "user", "content": [text("hi")]}]})
    );
}

/// Requirement: Missing max_tokens → default, 200.
#[test]
fn a_limit_is_always_there() {
    for (model, fields, expected) in [
        (MODEL, json!({"max_tokens": 5}), 5),
        (MODEL, json!({"max_completion_tokens": 7, "max_tokens": 5}), 7),
        (MODEL, json!({"max_completion_tokens": null, "max_tokens": 5}), 5),
        (MODEL, json!({"max_completion_tokens": null, "max_tokens": null}), 32000),
        ("claude-3-7-sonnet-latest", json!({}), 32000),
        ("claude-3-5-haiku-latest", json!({}), 8192),
        ("claude-3-haiku-20240307", json!({}), 4096),
        ("kimi-k2", json!({}), 4096),
    ] {
        assert_eq!(with_for(model, fields)["max_tokens"], expected, "{model}");
    }
}

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn settings_are_carried_over() {
    let body = plus(
        json!({"stream": true, "temperature": 0.70, "stop": ["a\n", " ", "b"], "user": "u1", "top_k": 5,
        "seed": 1, "logit_bias": {}, "logprobs": true, "presence_penalty": 1, "frequency_penalty": 1, "store": true,
        "metadata": {"a": "b"}, "service_tier": "auto", "n": 1, "extra_headers": {"x": "y"}}),
    );
    let translated = translate(&body, MODEL);
    assert_eq!(translated.delivery, Delivery::Streamed);
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let expected = json!({"model": MODEL, "max_tokens": 32000, "stream": true, "temperature": 0.7, "top_k": 5,
        "stop_sequences": ["a\n", "b"], "metadata": {"user_id": "u1"},
        "messages": [{"role": "user", "content": [text("hi")]}]});
    assert_eq!(sent, expected, "and nothing else");
}

#[test]
fn samplers_are_those_that_the_model_takes() {
    for (model, fields, temperature, top_p) in [
        (MODEL, json!({"temperature": 1.5}), json!(1), json!(null)),
        (MODEL, json!({"temperature": 1.0}), json!(1.0), json!(null)),
        (MODEL, json!({"temperature": null, "top_p": 0.5}), json!(null), json!(0.5)),
        (MODEL, json!({"temperature": 0, "top_p": 0.5}), json!(0), json!(null)),
        (MODEL, json!({"temperature": 0, "reasoning_effort": "low"}), json!(null), json!(null)),
        (MODEL, json!({"temperature": 0, "reasoning_effort": "none"}), json!(0), json!(null)),
        ("claude-opus-4-6", json!({"temperature": 0.5}), json!(0.5), json!(null)),
        ("claude-opus-4-7", json!({"temperature": 0.5}), json!(null), json!(null)),
        ("claude-opus-5", json!({"top_p": 0.5}), json!(null), json!(null)),
        ("glm-5", json!({"temperature": 0.5}), json!(0.5), json!(null)),
    ] {
        let sent = with_for(model, fields.clone());
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&temperature, &top_p), "{model} {fields}");
    }
}

#[test]
fn one_stop_or_none_is_understood_too() {
    assert_eq!(with(json!({"stop": "END"}))["stop_sequences"], json!(["END"]));
    for none in [json!(null), json!([]), json!(""), json!(["\n"])] {
        assert_eq!(with(json!({"stop": none})).get("stop_sequences"), None);
    }
}

#[test]
fn the_newer_word_for_the_user_is_preferred() {
    for fields in [
        json!({"user": "old", "safety_identifier": "new"}),
        json!({"safety_identifier": "new"}),
        json!({"user": "new", "safety_identifier": ""}),
    ] {
        assert_eq!(with(fields)["metadata"], json!({"user_id": "new"}));
    }
}

#[test]
fn a_user_that_anthropic_refuses_is_hashed() {
    let user_id = |fields: Value| with(fields)["metadata"]["user_id"].as_str().unwrap().to_owned();
    for user in ["me@example.com", "+1 (555) 123-4567", "Jo <jo@mail.example>", &"u".repeat(257)] {
        let hashed = user_id(json!({"user": user}));
        assert!(
            hashed.len() == 64 && hashed.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{user}: {hashed}"
        );
        assert_eq!(user_id(json!({"safety_identifier": user, "user": "u1"})), hashed, "always the same");
        assert!(!with(json!({"safety_identifier": user, "user": user})).to_string().contains(user));
    }
    assert_ne!(user_id(json!({"user": "a@b.example"})), user_id(json!({"user": "c@b.example"})));
    let escaped = r#"{"user":"me\u0040example.com","messages":[{"role":"user","content":"hi"}]}"#;
    let target = MessagesUpstream { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent: Value = serde_json::from_slice(&request(escaped.as_bytes(), &target).unwrap().body).unwrap();
    assert_eq!(sent["metadata"]["user_id"], user_id(json!({"user": "me@example.com"})));
    assert_eq!(
        user_id(json!({"user": "550e8400-e29b-41d4-a716-446655440000"})),
        "550e8400-e29b-41d4-a716-446655440000"
    );
}

#[test]
fn a_schema_for_the_answer_is_reduced_to_what_anthropic_supports() {
    let list = json!({"type": "array", "items": {"type": "string", "pattern": "^a$"}, "minItems": 2});
    let schema = json!({"type": "object", "properties": {"a": list}, "additionalProperties": true});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let item = json!({"type": "string", "description": "{pattern: ^a$}"});
    let list = json!({"type": "array", "items": item, "description": "{minItems: 2}"});
    assert_eq!(
        with(json!({"response_format": format}))["output_config"]["format"]["schema"],
        json!({"type": "object", "properties": {"a": list}, "additionalProperties": false})
    );
}

#[test]
fn a_schema_for_the_answer_is_carried_over() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    let expected = json!({"format": {"type": "json_schema", "schema": schema}});
    assert_eq!(with(json!({"response_format": format}))["output_config"], expected);
    let both = with_for("claude-opus-4-6", json!({"response_format": format, "reasoning_effort": "low"}));
    assert_eq!(both["output_config"], json!({"effort": "low", "format": expected["format"]}));
    for format in
        [json!({"type": "text"}), json!({"type": "json_object"}), json!({"type": "json_schema"}), json!(null)]
    {
        assert_eq!(with(json!({"response_format": format})).get("output_config"), None);
    }
}

#[test]
fn json_of_any_shape_is_left_to_the_prompt() {
    let sent = with(json!({"response_format": {"type": "json_object"}}));
    assert_eq!(sent.get("output_config"), None);
}
