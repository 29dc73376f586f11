//! Settings: limits, samplers, users, the form of an answer, and what the response repeats.

use super::*;

#[test]
fn the_smallest_request_has_no_additional_members() {
    assert_eq!(
        with(json!({})),
        json!({"model": MODEL, "max_tokens": 32000, "stream": false, "messages": [{"role": "user", "content": [text("hi")]}]})
    );
}

#[test]
fn settings_are_translated() {
    let translated = translate(
        &plus(
            json!({"stream": true, "max_output_tokens": 99, "temperature": 0.70, "top_p": 0.5, "safety_identifier": "u1", "user": "u0"}),
        ),
        &TARGET,
    );
    assert_eq!(translated.delivery, Delivery::Streamed);
    assert_eq!(
        body_of(&translated),
        json!({"model": MODEL, "max_tokens": 99, "stream": true, "temperature": 0.7, "metadata": {"user_id": "u1"},
               "messages": [{"role": "user", "content": [text("hi")]}]})
    );
    assert_eq!(with(json!({"temperature": 1.5}))["temperature"], 1);
    assert_eq!(with_for("claude-sonnet-5", json!({"temperature": 0.5})).get("temperature"), None);
    assert_eq!(with(json!({"temperature": 0.5, "reasoning": {"effort": "low"}})).get("temperature"), None);
}

#[test]
fn a_schema_for_the_answer_is_reduced() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "n", "strict": true, "schema": schema});
    assert_eq!(
        with(json!({"text": {"format": format}}))["output_config"],
        json!({"format": {"type": "json_schema", "schema": schema}})
    );
    for format in [json!({"type": "text"}), json!({"type": "json_object"}), json!(null)] {
        assert_eq!(with(json!({"text": {"format": format}})).get("output_config"), None);
    }
}

/// Every field of `ResponseCreateParams` of the Python SDK 3.57.0: where it goes, or that it is named.
#[test]
fn every_field_of_the_api_is_converted_named_or_refused() {
    let is_kept = |fields: Value| with(fields) != with(json!({}));
    for fields in [
        json!({"input": "other"}),
        json!({"instructions": "i"}),
        json!({"max_output_tokens": 7}),
        json!({"parallel_tool_calls": false, "tools": [function("f")]}),
        json!({"reasoning": {"effort": "low"}}),
        json!({"safety_identifier": "u"}),
        json!({"user": "u"}),
        json!({"temperature": 0}),
        json!({"top_p": 0.1}),
        json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}}),
        json!({"tools": [function("f")]}),
        json!({"tool_choice": "required", "tools": [function("f")]}),
        json!({"prompt_cache_key": "k", "instructions": "i"}),
        json!({"stream": true}),
    ] {
        assert!(is_kept(fields.clone()), "{fields}");
        assert_eq!(dropped(fields.clone()), "", "{fields}");
    }
    for (fields, name) in [
        (json!({"access_programs": {"cyber": "standard"}}), "access_programs"),
        (
            json!({"context_management": [{"type": "compaction", "compact_threshold": 1000}]}),
            "context_management",
        ),
        (json!({"image": {"context_compression": "auto"}}), "image"),
        (json!({"include": ["message.output_text.logprobs"]}), "include (message.output_text.logprobs)"),
        (json!({"max_tool_calls": 3}), "max_tool_calls"),
        (json!({"metadata": {"a": "b"}}), "metadata"),
        (json!({"moderation": {"model": "m"}}), "moderation"),
        (json!({"reasoning": {"context": "auto", "mode": "pro"}}), "reasoning.context, reasoning.mode"),
        (json!({"service_tier": "priority"}), "service_tier"),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"stream_options": {"include_obfuscation": true}}), "stream_options.include_obfuscation"),
        (json!({"client_metadata": {"a": "b"}, "extra": 1}), "extra"),
    ] {
        assert_eq!(dropped(fields.clone()), name);
        let mut sent = with(fields.clone());
        sent.as_object_mut().unwrap().remove("thinking");
        assert_eq!(sent, with(json!({})), "{fields}");
    }
    // What they say is what happens anyway.
    for fields in [
        json!({"background": false, "background_options": {"completion_window": "soonest"}, "store": false, "truncation": "disabled", "metadata": {}}),
        json!({"service_tier": "auto", "stream": false, "stream_options": {"include_obfuscation": false}, "top_logprobs": 0}),
        json!({"include": ["reasoning.encrypted_content", "web_search_call.action.sources"], "prompt_cache_options": {"mode": "implicit"}, "prompt_cache_retention": "24h"}),
    ] {
        assert_eq!((dropped(fields.clone()), with(fields)), (String::new(), with(json!({}))));
    }
}

#[test]
fn the_response_repeats_the_request() {
    let reply = reply_of(
        json!({"instructions": "i\n\"q\"", "tools": [function("f")], "temperature": 0.70, "metadata": {"a": "b"}, "service_tier": "flex",
        "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}}),
    );
    for part in
        ["includes_reasoning: true", "shows_summary: true", "requested_model: \"p:m\"", "provider: \"p\""]
    {
        assert!(reply.contains(part), "{part}: {reply}");
    }
    let echo = reply.split("echo: ").nth(1).unwrap();
    let echo: String = serde_json::from_str(echo.trim_end_matches(" }")).unwrap();
    let echo: Value = serde_json::from_str(&format!("{{{echo}}}")).unwrap();
    for (name, value) in [
        ("instructions", json!("i\n\"q\"")),
        ("tools", json!([function("f")])),
        ("tool_choice", json!("auto")),
        ("parallel_tool_calls", json!(true)),
        ("temperature", json!(0.7)),
        ("top_p", json!(null)),
        ("metadata", json!({"a": "b"})),
        ("store", json!(false)),
        ("previous_response_id", json!(null)),
        ("service_tier", json!("flex")),
        ("reasoning", json!({"effort": "low", "summary": "auto"})),
        ("text", json!({"format": {"type": "text"}})),
        ("truncation", json!("disabled")),
    ] {
        assert_eq!(echo[name], value, "{name}");
    }
}

/// An event is one line.
#[test]
fn what_the_response_repeats_is_one_line() {
    let body = "{\"input\":\"hi\",\"metadata\":{\r\n \"a\":\n \"b\"}}";
    let reply = format!("{:?}", request(body.as_bytes(), &TARGET).unwrap().reply);
    assert!(reply.contains(r#"\"metadata\":{ \"a\": \"b\"}"#), "{reply}");
}
