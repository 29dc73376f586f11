//! Settings: limits, sampling, users, and the form of the answer.

use super::*;

/// Complaint of gateway users: the gateway edits the conversation.
#[test]
fn the_smallest_request_has_no_additional_members() {
    assert_eq!(
        with(json!({})),
        json!({"model": "up/m", "store": false, "stream": false, "max_output_tokens": 100, "input": [user("hi")]})
    );
}

#[test]
fn a_stream_is_requested_and_nothing_is_stored() {
    let translated = translate(&plus(json!({"stream": true})), &TARGET);
    assert_eq!(translated.delivery, Delivery::Streamed);
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    assert_eq!((&sent["stream"], &sent["store"]), (&json!(true), &json!(false)));
}

/// Requirement: the API refuses limits below 16, and reasoning that cannot be turned off counts towards the limit.
#[test]
fn the_limit_is_within_the_bounds_of_the_api_and_the_configuration() {
    let limit = |sent: Value| sent["max_output_tokens"].as_u64().unwrap();
    for (asked, told) in [(1, 16), (16, 16), (17, 17), (128_000, 128_000)] {
        assert_eq!(limit(with(json!({"max_tokens": asked}))), told);
    }
    let bounded = Dialect { min_tokens: Some(100), max_tokens: Some(4096), ..Dialect::default() };
    for (asked, told) in [(1, 100), (500, 500), (32_000, 4096)] {
        assert_eq!(limit(through(&bounded, json!({"max_tokens": asked}))), told);
    }
    let off = json!({"thinking": {"type": "disabled"}, "max_tokens": 64});
    assert_eq!(limit(model("o3", off.clone())), 64 + 2048);
    assert_eq!(limit(model("gpt-6.1-sol", off)), 64);
}

/// Requirement: sampling parameters go to models that take them, and are named where they are dropped.
#[test]
fn sampling_goes_to_models_that_take_it() {
    let fields = json!({"temperature": 0.70, "top_p": 0.9, "top_k": 5});
    let off = json!({"temperature": 0.7, "thinking": {"type": "disabled"}});
    for name in ["m", "gpt-4.1", "gpt-5-chat-latest", "gpt-oss-120b", "grok-4.7"] {
        let sent = model(name, fields.clone());
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(0.7), &json!(0.9)), "{name}");
    }
    for name in ["gpt-5", "gpt-6.1-sol", "o3", "openai/o4-mini"] {
        let target = ResponsesUpstream { model: name, ..TARGET };
        let sent = to(&target, fields.clone());
        assert!(sent.get("temperature").is_none() && sent.get("top_p").is_none(), "{name}");
        assert_eq!(dropped(&target, fields.clone()), "top_k, temperature, top_p", "{name}");
        assert_eq!(dropped(&target, json!({"temperature": 1, "top_p": 1.0})), "", "the default is no loss");
    }
    assert_eq!(model("gpt-6.1-sol", off.clone())["temperature"], json!(0.7), "it does not reason then");
    assert!(model("gpt-5", off).get("temperature").is_none(), "it always reasons");
    let wide = Dialect { top_k: true, ..Dialect::default() };
    assert_eq!(through(&wide, fields)["top_k"], 5);
}

#[test]
fn the_form_of_the_answer_is_translated() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    let expected =
        json!({"format": {"type": "json_schema", "name": "response", "schema": schema, "strict": true}});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        assert_eq!(with(fields)["text"], expected);
    }
    let open = json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}});
    assert_eq!(with(open)["text"]["format"]["strict"], false);
    assert!(refusal(json!({"output_format": {"type": "grammar"}})).contains("output_config.format.type"));
}

#[test]
fn the_user_is_sent_in_the_fields_of_the_configuration() {
    let fields = json!({"metadata": {"user_id": "u".repeat(65)}});
    let dialect =
        Dialect { user_fields: vec!["safety_identifier".into(), "user".into()], ..Dialect::default() };
    let sent = through(&dialect, fields.clone());
    let user = sent["safety_identifier"].as_str().unwrap();
    assert!(user.len() == 64 && user != "u".repeat(64) && sent["user"] == user, "{user}");
    assert!(!with(fields).to_string().contains("uuu"));
}
