//! OpenAI's SDKs with an Anthropic-format upstream: the same scenarios as with an OpenAI-format one, and the same
//! results.

use serde_json::{Value, json};

use crate::script::{self, Conversation};
use crate::sdk::{PNG, Sdks, WAYS};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Ending, Upstream};
use crate::two_calls;

/// Requirement: SSE bytes to the client equal the upstream's; official SDK yields all events.
#[test]
fn text_arrives_whole_and_streamed() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("text", &gateway, &[]);

    assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "only the provider's key");
}

/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
/// Complaint of gateway users: parallel tool calls interleave.
#[test]
fn two_parallel_calls_survive_the_round_trip() {
    let sdks = Sdks::openai();
    let upstream = two_calls::played_by(Upstream::anthropic());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("two_calls", &gateway, &[&json!(two_calls::inputs()).to_string()]);

    two_calls::expect_second_turns(&upstream, sdks.count() * WAYS);
}

#[test]
fn a_custom_tool_is_called_and_its_result_is_answered() {
    let sdks = Sdks::openai();
    let text = "*** Begin \"Patch\"\n+\tGenève \\ 🌹\n*** End Patch";
    let conversation =
        Conversation { tool: "patch", input: json!({ "input": text }), last_words: "It is applied." };
    let upstream = conversation.played_by(Upstream::anthropic());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("custom", &gateway, &[text]);

    let requests: Vec<Value> = upstream.requests().iter().map(script::body).collect();
    let (seconds, firsts): (Vec<_>, Vec<_>) =
        requests.iter().partition(|body| script::result(body).is_some());
    assert_eq!((firsts.len(), seconds.len()), (sdks.count() * WAYS, sdks.count() * WAYS));
    for first in firsts {
        assert_eq!(first["tools"][0]["input_schema"]["required"], json!(["input"]), "{first}");
        assert_eq!(first["tool_choice"], json!({"type": "tool", "name": "patch"}));
    }
    for second in seconds {
        let call = &second["messages"][1]["content"][0];
        assert_eq!((&call["type"], &call["input"]["input"]), (&json!("tool_use"), &json!(text)), "{second}");
        assert_eq!(script::result(second).expect("just found")["content"], "applied");
    }
}

#[test]
fn the_sources_of_an_answer_become_annotations() {
    let citation = |url: &str| {
        json!({"type": "web_search_result_location", "url": url, "title": "T", "cited_text": "c",
               "encrypted_index": "e"})
    };
    let sources = [("Sunny. ", "https://a.example/"), ("And warm.", "https://b.example/")];
    let mut events = vec![anthropic::start()];
    let mut content = Vec::new();
    for (index, (text, url)) in (0..).zip(sources) {
        let cited = json!({"type": "citations_delta", "citation": citation(url)});
        events.extend([
            anthropic::block_start(index, &json!({"type": "text", "text": "", "citations": []})),
            anthropic::delta(index, &json!({"type": "text_delta", "text": text})),
            anthropic::delta(index, &cited),
            anthropic::block_stop(index),
        ]);
        content.push(json!({"type": "text", "text": text, "citations": [citation(url)]}));
    }
    events.extend(anthropic::end("end_turn"));
    let mut whole: Value = serde_json::from_str(&anthropic::whole("")).expect("JSON");
    whole["content"] = json!(content);
    let (streamed, whole) = (Answer::events(events), Answer::json(200, whole.to_string()));
    let upstream = script::by_delivery(Upstream::anthropic(), streamed, whole);
    let gateway = Gateway::before(&upstream).start();
    let annotation = |start: u32, end: u32, url: &str| {
        json!({"type": "url_citation",
               "url_citation": {"start_index": start, "end_index": end, "title": "T", "url": url}})
    };
    let expected = json!([annotation(0, 7, "https://a.example/"), annotation(7, 16, "https://b.example/")]);

    Sdks::openai().hold("cited", &gateway, &[&expected.to_string()]);
}

#[test]
fn system_texts_and_images_reach_the_upstream() {
    let sent = json!({"messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "developer", "content": [{"type": "text", "text": "You speak \"French\"."}]},
        {"role": "user", "content": [
            {"type": "text", "text": "What are these?"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ]});
    let expected = json!({
        "system": "You are terse.\n\nYou speak \"French\".",
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What are these?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}],
    });

    Sdks::openai().carry(&Upstream::anthropic(), &sent, &expected);
}

/// Requirement: Client without `include_usage` gets no usage-only chunk; metrics still have tokens.
#[test]
fn usage_is_omitted_unless_the_request_asks_for_it() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("usage_unasked", &gateway, &[]);
}

#[test]
fn the_usage_includes_cached_tokens() {
    let usage = json!({"input_tokens": 11, "output_tokens": 9, "cache_read_input_tokens": 7,
                       "cache_creation_input_tokens": 3});
    let mut whole: Value = serde_json::from_str(&anthropic::whole("Hello there!")).expect("JSON");
    whole["usage"] = usage;
    let streamed = Answer::events(anthropic::text(&["Hello ", "there!"]));
    let upstream = script::by_delivery(Upstream::anthropic(), streamed, Answer::json(200, whole.to_string()));
    let gateway = Gateway::before(&upstream).start();
    let counted = json!({"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
                         "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}});

    Sdks::openai().hold("usage", &gateway, &[&counted.to_string()]);
}

#[test]
fn errors_of_the_upstream_raise_the_sdks_classes_with_openais_codes() {
    let sdks = Sdks::openai();
    for (status, kind, code) in [
        (401, "authentication_error", "invalid_api_key"),
        (403, "permission_error", "permission_denied"),
        (404, "not_found_error", "model_not_found"),
        (413, "request_too_large", "request_too_large"),
    ] {
        let refusal = Answer::json(status, anthropic::error(kind, "upstream said no"));
        let upstream = Upstream::anthropic().always(refusal);
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("refused", &gateway, &[&status.to_string(), code]);
    }
}

#[test]
fn a_truncated_reply_is_an_error() {
    let sdks = Sdks::openai();
    // The body ends properly, but the stream does not.
    for ending in [Ending::Cut, Ending::Close] {
        let upstream = script::breaking_off(Upstream::anthropic(), ending);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        sdks.hold("cut", &gateway, &[]);
    }
}

#[test]
fn a_client_that_disconnects_frees_the_upstream() {
    let sdks = Sdks::openai();
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("impatient", &gateway, &[]);

    for request in 0..sdks.count() {
        upstream.closed(request);
    }
}
