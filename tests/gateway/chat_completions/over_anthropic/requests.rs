//! The requests that the upstream receives.

use serde_json::json;

use super::{request, translated};
use crate::chat_completions::{call, post};
use crate::support::chat::{self, Error};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk";

#[test]
fn the_request_is_sent_to_the_messages_api_with_its_headers_and_its_key() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["configured-key"]).start();
    let asked = gateway.call("POST", "/v1/chat/completions?api-version=1").json(&chat::prompt(MODEL, "hi"));
    asked
        .header("authorization", "Bearer client-key")
        .header("anthropic-beta", "a,b")
        .header("openai-organization", "org")
        .reply();
    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/v1/messages", "the query is another API's");
    assert_eq!(seen.head.header("x-api-key"), Some("configured-key"));
    assert_eq!(seen.head.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.head.header("anthropic-beta"), Some("a,b"));
    assert_eq!(seen.head.header("content-type"), Some("application/json"));
    assert_eq!(seen.head.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.head.header("authorization"), None);
    assert_eq!(seen.head.header("openai-organization"), None, "a word of the other vendor");
    assert!(!format!("{:?}", seen.head).contains("client-key"), "{:?}", seen.head);
}

/// Requirement: Missing max_tokens → default, 200.
#[test]
fn a_minimal_request_becomes_a_minimal_request_with_a_limit() {
    let said = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    let expected = json!({"model": MODEL, "max_tokens": 4096, "stream": false, "messages": said});
    assert_eq!(translated(json!({})), expected);
}

#[test]
fn unsupported_values_are_sent_in_a_supported_form() {
    let sent = translated(json!({
        "user": "me@example.com", "reasoning_effort": "default", "temperature": 0.5,
        "messages": [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Once upon "},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}},
                {"type": "text", "text": "a time, \n"}]}]}));
    let user = sent["metadata"]["user_id"].as_str().expect("a user");
    assert!(user.len() == 64 && user.bytes().all(|byte| byte.is_ascii_hexdigit()), "{user}");
    assert_eq!((sent.get("thinking"), &sent["temperature"]), (None, &json!(0.5)), "{sent}");
    let text = |text: &str| json!({"type": "text", "text": text});
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": [text("Begin."), image]},
            {"role": "assistant", "content": [text("Once upon "), text("a time,")]}])
    );
}

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn system_image_and_settings_are_translated() {
    let sent = translated(json!({
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}],
        "temperature": 1.7, "stop": "END", "max_completion_tokens": 64, "user": "u", "stream": true,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "required", "parallel_tool_calls": false,
    }));
    assert_eq!(
        sent,
        json!({"model": MODEL, "max_tokens": 64, "stream": true, "temperature": 1, "stop_sequences": ["END"],
            "metadata": {"user_id": "u"}, "system": "be brief\n\nbe kind",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true}})
    );
}

#[test]
fn parallel_calls_and_their_results_are_one_turn_each() {
    let called = |id: &str, city: &str| {
        json!({"id": id, "type": "function",
               "function": {"name": "get_weather", "arguments": json!({"city": city}).to_string()}})
    };
    let tool =
        json!({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}});
    let sent = translated(json!({"tools": [tool], "messages": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "Both:",
         "tool_calls": [called("toolu_a", "Genève"), called("toolu_b", "Oslo")]},
        {"role": "tool", "tool_call_id": "toolu_b", "content": "snow"},
        {"role": "tool", "tool_call_id": "toolu_a", "content": "sun"},
        {"role": "user", "content": "and?"},
    ]}));
    let used = |id: &str, city: &str| json!({"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": city}});
    let result = |id: &str, said: &str| json!({"type": "tool_result", "tool_use_id": id, "content": said});
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Both:"}, used("toolu_a", "Genève"), used("toolu_b", "Oslo")]},
            {"role": "user", "content": [
                result("toolu_a", "sun"), result("toolu_b", "snow"), {"type": "text", "text": "and?"}]},
        ])
    );
}

#[test]
fn an_unsupported_request_is_a_400_that_says_why_and_causes_no_call() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let audio = json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]);
    for (members, about) in [
        (json!({"n": 2}), "n: "),
        (json!({"messages": audio}), "messages.0.content.0: an input_audio part"),
        (json!({"messages": []}), "messages: at least one"),
        (json!({"max_tokens": 0}), "max_tokens: must be"),
        (json!({"stream": true, "temperature": "hot"}), "temperature: must be"),
    ] {
        let reply = call(&gateway, &request(members)).reply();
        assert_eq!(reply.status(), 400, "{reply}");
        let error = Error::of(&reply);
        assert_eq!(error.words(), ("invalid_request_error", None));
        assert!(error.message.starts_with(about), "{reply}");
    }
    assert_eq!(post(&gateway, "{\"model\":\"m\",\"messages\":").reply().status(), 400);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn repeated_betas_are_sent_as_one_list() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let asked = call(&gateway, &request(json!({})));
    let asked = asked.header("anthropic-beta", "one-1").header("anthropic-beta", "two-2,three-3");
    assert_eq!(asked.header("anthropic-version", "2023-06-01").reply().status(), 200);
    let head = upstream.only_request().head;
    assert_eq!(head.header("anthropic-beta"), Some("one-1,two-2,three-3"), "{head:?}");
    assert_eq!((head.count("anthropic-beta"), head.count("anthropic-version")), (1, 1));
}
