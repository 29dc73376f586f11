//! Whole replies.

use serde_json::{Value, json};

use super::{Delivery, answered, thinking};
use crate::support::canned::openai;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Seen, Upstream};

fn whole(message: Value, reason: &str) -> Reply {
    answered(json!({}), Answer::json(200, openai::completion(&message, reason)), Delivery::Whole)
}

fn function(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// Requirement: The answer's `model` equals the requested string including prefix.
#[test]
fn the_reply_has_the_requested_model() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for model in [MODEL, "openai:test-model", "OpenAI:test-model", "haiku"] {
        let mut body = super::request(json!({"model": model}));
        assert_eq!(gateway.messages(&body).reply().message()["model"], model);
        body["stream"] = json!(true);
        assert_eq!(gateway.messages(&body).reply().message()["model"], model);
    }
}

/// Requirement: `id` starts with `msg_`.
#[test]
fn every_answer_has_its_own_id() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let mut ids: Vec<String> = (0..4).map(|_| gateway.ask("hi").message()["id"].to_string()).collect();
    ids.extend((0..4).map(|_| gateway.ask_whole("hi").message()["id"].to_string()));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    for id in ids {
        let hex = id.trim_matches('"').strip_prefix("msg_").expect("msg_…").to_owned();
        assert!(
            hex.len() == 24 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)),
            "{id}"
        );
    }
}

/// Requirement: Text + two tool calls → text block, then two tool_use blocks, `stop_reason:"tool_use"`.
#[test]
fn text_comes_before_the_calls_and_their_order_is_kept() {
    let calls = json!([function("call_a", "f", "{\"x\":1}"), function("call_b", "g", "{}")]);
    let reply = whole(json!({"role": "assistant", "content": "Working", "tool_calls": calls}), "tool_calls");
    let content = reply.content();
    assert_eq!(content[0], json!({"type": "text", "text": "Working"}));
    assert_eq!(content[1], json!({"type": "tool_use", "id": "call_a", "name": "f", "input": {"x": 1}}));
    assert_eq!(content[2], json!({"type": "tool_use", "id": "call_b", "name": "g", "input": {}}));
    assert_eq!(reply.stop_reason(), "tool_use");
    assert_eq!(reply.message()["stop_sequence"], Value::Null);
}

/// Requirement: Unparsable arguments → `{"raw_arguments":...}`.
/// Requirement: Empty arguments → `{}`.
#[test]
fn arguments_that_are_no_object_become_an_object() {
    let input = |arguments: &str| {
        let calls = json!([function("call_a", "f", arguments)]);
        whole(json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls").tools()[0]
            .1
            .clone()
    };
    assert_eq!(input(""), json!({}));
    assert_eq!(input("{\"a\":"), json!({"raw_arguments": "{\"a\":"}));
    assert_eq!(input("{\"n\":1.50,\"u\":\"é\"}"), json!({"n": 1.5, "u": "é"}));
}

/// Requirement: Sanitiser examples, collisions `a b,a-b,a_b` → distinct names; restored in JSON and SSE answers.
/// Requirement: Given kimi and a tool `my.tool/x y`, then upstream sees `my_tool_x_y` and the client's response
/// shows the original.
#[test]
fn renamed_tools_have_the_clients_names_in_replies_streamed_and_whole() {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let names = ["get weather!", "a-b", "a_b", "1abc"];
    let echo = |seen: &Seen| {
        let body = seen.json();
        let called =
            |at: usize| body["tools"][at]["function"]["name"].as_str().unwrap_or_default().to_owned();
        let calls: Vec<Value> = (0..4).map(|at| function(&format!("c{at}"), &called(at), "{}")).collect();
        let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
        Some(match body["stream"] == true {
            false => Answer::json(200, openai::completion(&message, "tool_calls")),
            true => {
                let piece = |(at, call): (usize, &Value)| {
                    let mut call = call.clone();
                    call["index"] = json!(at);
                    openai::tool(&call)
                };
                Answer::events(openai::stream(calls.iter().enumerate().map(piece).collect(), "tool_calls"))
            }
        })
    };
    let upstream = Upstream::openai().ruled_by(echo);
    let gateway = Gateway::before(&upstream).toml("[openai]\ntool-name-sanitization = true").start();
    for stream in [true, false] {
        let mut body = super::request(json!({"tools": names.map(tool)}));
        body["stream"] = json!(stream);
        let called: Vec<String> =
            gateway.messages(&body).reply().tools().into_iter().map(|tool| tool.0).collect();
        assert_eq!(called, names, "streamed {stream}");
    }
    let sent = upstream.request(0).json();
    let sent: Vec<&str> = sent["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tool| tool["function"]["name"].as_str())
        .collect();
    assert_eq!((sent[0], sent[2], sent[3]), ("get_weather_", "a_b", "t_1abc"), "what fits keeps its name");
    assert!(sent[1].starts_with("a_b_") && sent[1].len() <= 64, "{sent:?}");
}

/// Requirement: Length→max_tokens, stop→end_turn, function_call→tool_use.
/// Requirement: Content_filter→refusal; `refusal` text is shown; tool calls with finish stop → tool_use.
/// Complaint of gateway users: turns end silently or for the wrong reason.
#[test]
fn finish_reasons_become_stop_reasons() {
    let text = || json!({"role": "assistant", "content": "x"});
    let called = || json!({"role": "assistant", "content": null, "tool_calls": [function("c", "f", "{}")]});
    let table = [
        (text(), "stop", "end_turn"),
        (text(), "length", "max_tokens"),
        (text(), "content_filter", "refusal"),
        (text(), "something_new", "end_turn"),
        (text(), "tool_calls", "end_turn"),
        (called(), "tool_calls", "tool_use"),
        (called(), "stop", "tool_use"),
        (called(), "function_call", "tool_use"),
    ];
    for (message, reason, expected) in table {
        assert_eq!(whole(message, reason).stop_reason(), expected, "{reason}");
    }
}

/// Requirement: Content_filter→refusal; `refusal` text is shown; tool calls with finish stop → tool_use.
#[test]
fn a_refusal_is_text_with_its_stop_reason() {
    let reply = whole(json!({"role": "assistant", "content": null, "refusal": "I can't."}), "stop");
    assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("I can't.", "refusal"));
}

/// Requirement: No content → one empty text block.
#[test]
fn an_answer_without_content_is_one_empty_text() {
    let reply = whole(json!({"role": "assistant", "content": null}), "stop");
    assert_eq!(reply.content(), [json!({"type": "text", "text": ""})]);
}

/// Requirement: Cached_tokens 40 of 100 → input 60, cache_read 40.
/// Complaint of gateway users: cached tokens are lost or counted as fresh.
#[test]
fn cached_tokens_are_subtracted_from_the_input() {
    let usage = answered(json!({}), Answer::json(200, openai::whole("x")), Delivery::Whole).usage();
    assert_eq!(usage["input_tokens"], 60);
    assert_eq!(usage["cache_read_input_tokens"], 40);
    assert_eq!(usage["cache_creation_input_tokens"], 0);
    assert_eq!(usage["output_tokens"], 20);
}

/// Requirement: Missing or null usage → 200.
#[test]
fn missing_usage_is_no_error() {
    for usage in [Value::Null, json!("none")] {
        let mut completion: Value = serde_json::from_str(&openai::whole("x")).unwrap();
        completion["usage"] = usage;
        let reply = answered(json!({}), Answer::json(200, completion.to_string()), Delivery::Whole);
        assert_eq!(reply.text(), "x");
        assert!(reply.usage()["input_tokens"].is_u64() && reply.usage()["output_tokens"].is_u64(), "{reply}");
    }
}

/// Requirement: Reasoning_content → thinking block with non-empty signature when thinking was enabled, nothing
/// otherwise.
#[test]
fn reasoning_becomes_thinking_for_clients_that_request_it() {
    for field in ["reasoning_content", "reasoning"] {
        let mut message = json!({"role": "assistant", "content": "Four."});
        message[field] = json!("Two and two.");
        let answer = Answer::json(200, openai::completion(&message, "stop"));
        let asked = answered(thinking(), answer.clone(), Delivery::Whole);
        assert_eq!(asked.content()[0]["type"], "thinking", "{asked}");
        assert_eq!((asked.thinking().as_str(), asked.text().as_str()), ("Two and two.", "Four."));
        assert!(asked.content()[0]["signature"].as_str().is_some_and(|s| s.starts_with("vdm1.")), "{asked}");
        let adaptive = answered(json!({"thinking": {"type": "adaptive"}}), answer.clone(), Delivery::Whole);
        assert_eq!(adaptive.thinking(), "Two and two.");
        for unasked in [json!({}), json!({"thinking": {"type": "disabled"}})] {
            let reply = answered(unasked, answer.clone(), Delivery::Whole);
            assert_eq!(reply.content(), [json!({"type": "text", "text": "Four."})]);
        }
    }
}

/// Requirement: `choices: []` → 502 api_error; `{"error":...}` with 200 → mapped error with its message.
#[test]
fn an_answer_that_is_none_is_a_502() {
    let bodies = [
        "{\"choices\": []}",
        "{}",
        "{\"choices\": [{\"message\": null}]}",
        "not json",
        "<html>internals</html>",
        "",
    ];
    for body in bodies {
        let reply = answered(json!({}), Answer::json(200, body), Delivery::Whole);
        assert_eq!(reply.status(), 502, "{body}: {reply}");
        assert_eq!(reply.error_type(), "api_error");
        assert!(!reply.raw().contains("internals"), "{reply}");
    }
}

/// Requirement: `choices: []` → 502 api_error; `{"error":...}` with 200 → mapped error with its message.
#[test]
fn an_error_body_with_status_200_is_an_error() {
    let body = openai::error("The engine is on fire", "server_error", "500");
    let reply = answered(json!({}), Answer::json(200, body), Delivery::Whole);
    assert!(reply.status() >= 500, "{reply}");
    assert!(reply.error_message().contains("The engine is on fire"), "{reply}");
    let reply =
        answered(json!({}), Answer::json(200, "{\"code\": 429, \"msg\": \"slow down\"}"), Delivery::Whole);
    assert_eq!(reply.status(), 429, "{reply}");
    assert!(reply.error_message().contains("slow down"));
}

/// Requirement: Upstream 400/401/429/500/529 before the first byte → that mapped HTTP status with JSON, no SSE.
/// Complaint of gateway users: the wrong limit parameter, and a 400 told as a 500.
#[test]
fn errors_of_the_upstream_are_translated() {
    let table = [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (402, 402, "billing_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (408, 504, "timeout_error"),
        (409, 409, "invalid_request_error"),
        (413, 413, "request_too_large"),
        (422, 422, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (502, 502, "api_error"),
        (503, 503, "api_error"),
        (529, 529, "overloaded_error"),
    ];
    for (theirs, ours, kind) in table {
        for delivery in [Delivery::Streamed, Delivery::Whole] {
            let body = openai::error("the upstream's own words", "x", "y");
            let reply = answered(json!({}), Answer::json(theirs, body), delivery);
            assert_eq!((reply.status(), reply.error_type().as_str()), (ours, kind), "{theirs}: {reply}");
            assert!(!reply.is_stream());
            // If all keys are in cooldown, the gateway answers with its own error and no call.
            if theirs != 429 {
                assert!(reply.error_message().contains("the upstream's own words"), "{theirs}: {reply}");
            }
        }
    }
}

/// Complaint of gateway users: a prompt that is too long is reported as a server error.
#[test]
fn the_error_for_a_long_prompt_has_the_wording_that_claude_code_recognises() {
    let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 \
                   tokens. Please reduce the length of the messages.";
    let body = openai::error(message, "invalid_request_error", "context_length_exceeded");
    let reply = answered(json!({}), Answer::json(400, body), Delivery::Streamed);
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.error_type(), "invalid_request_error");
    let said = reply.error_message();
    assert!(said.starts_with("prompt is too long: 131072 tokens > 128000 maximum"), "{said}");
}

/// Requirement: Timeout → 504, refused → 502, HTML 502 body not forwarded.
#[test]
fn error_pages_are_reduced_to_their_title() {
    let page = "<html><head><title>Bad gateway of the vendor</title></head><body>internals</body></html>";
    let reply = answered(json!({}), Answer::whole(502, "text/html", page), Delivery::Streamed);
    assert_eq!(reply.status(), 502);
    assert!(reply.error_message().contains("Bad gateway of the vendor"), "{reply}");
    assert!(!reply.raw().contains("internals") && !reply.raw().contains('<'), "{reply}");
}

/// Complaint of gateway users: content block not found.
#[test]
fn json_instead_of_a_stream_becomes_a_stream() {
    let reply = answered(json!({}), Answer::json(200, openai::whole("Whole.")), Delivery::Streamed);
    assert!(reply.is_stream(), "{reply}");
    assert_eq!(reply.text(), "Whole.");
}

#[test]
fn a_stream_instead_of_a_whole_reply_is_collected() {
    let reply = answered(json!({}), Answer::events(openai::tool_call()), Delivery::Whole);
    assert!(!reply.is_stream(), "{reply}");
    assert_eq!(reply.tools(), [("get_weather".to_owned(), json!({"city": "Genève"}))]);
}

#[test]
fn unusual_replies_of_vendors_are_the_same_message_streamed_and_whole() {
    let bodies = [
        (include_str!("../../fixtures/perplexity/whole-message-beside-an-empty-delta.json"), "text", 0),
        (include_str!("../../fixtures/copilot/whole-text-and-call-in-two-choices.json"), "text", 1),
        (include_str!("../../fixtures/kimi/whole-blank-text-before-a-call.json"), "tool_use", 1),
        (
            include_str!("../../fixtures/others/whole-arguments-twice-and-behind-a-placeholder.json"),
            "tool_use",
            3,
        ),
        (include_str!("../../fixtures/databricks/whole-reasoning-in-the-content.json"), "thinking", 0),
    ];
    for (body, first, calls) in bodies {
        let whole = answered(thinking(), Answer::json(200, body), Delivery::Whole);
        let content = whole.content();
        assert_eq!((&content[0]["type"], whole.tools().len()), (&json!(first), calls), "{whole}");
        assert!(!whole.tools().iter().any(|(_, input)| input.get("raw_arguments").is_some()), "{whole}");
        let streamed = answered(thinking(), Answer::json(200, body), Delivery::Streamed);
        assert_eq!(streamed.content(), content, "{streamed}");
    }
    let streams = [
        include_str!("../../fixtures/perplexity/stream-messages-repeat-what-the-deltas-said.sse"),
        include_str!("../../fixtures/copilot/stream-text-and-call-in-two-choices.sse"),
        include_str!("../../fixtures/kimi/stream-ids-of-its-own-form-and-a-blank-before-them.sse"),
        include_str!("../../fixtures/others/stream-arguments-sent-twice.sse"),
        include_str!("../../fixtures/others/stream-arguments-grow-with-every-piece.sse"),
        include_str!("../../fixtures/others/stream-placeholders-before-the-arguments-of-two-calls.sse"),
        include_str!("../../fixtures/databricks/stream-reasoning-in-the-content.sse"),
    ];
    for stream in streams {
        let answer = || Answer::events(vec![stream.as_bytes().to_vec()]);
        let streamed = answered(thinking(), answer(), Delivery::Streamed);
        let whole = answered(thinking(), answer(), Delivery::Whole);
        assert_eq!(streamed.content(), whole.content(), "{streamed}");
        let blank = |block: &Value| block["text"].as_str().is_some_and(|text| text.trim().is_empty());
        assert!(!whole.content().iter().any(blank), "{whole}");
        assert!(!whole.tools().iter().any(|(_, input)| input.get("raw_arguments").is_some()), "{whole}");
    }
}
