//! OpenAI's SDKs before an Anthropic-format upstream: the same scenarios as before one of their own, and the same must
//! come of them.

use serde_json::{Value, json};

use crate::script;
use crate::sdk::{PNG, Sdks, WAYS};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Ending, Upstream};
use crate::two_calls;

#[test]
fn text_comes_whole_and_streamed() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("text", &gateway, &[]);

    assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "only the provider's key");
}

#[test]
fn two_calls_at_once_go_there_and_back() {
    let sdks = Sdks::openai();
    let upstream = two_calls::played_by(Upstream::anthropic());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("two_calls", &gateway, &[&json!(two_calls::inputs()).to_string()]);

    two_calls::expect_second_turns(&upstream, sdks.count() * WAYS);
}

#[test]
fn system_texts_and_images_arrive_upstream() {
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

#[test]
fn usage_that_was_not_asked_for_is_not_seen() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("usage_unasked", &gateway, &[]);
}

#[test]
fn the_usage_counts_what_was_cached() {
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
fn an_upstreams_errors_have_their_classes_and_openais_codes() {
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
fn a_reply_that_breaks_off_is_an_error() {
    let sdks = Sdks::openai();
    // A proper end of the body is none of the stream.
    for ending in [Ending::Cut, Ending::Close] {
        let upstream = script::breaking_off(Upstream::anthropic(), ending);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        sdks.hold("cut", &gateway, &[]);
    }
}

#[test]
fn a_client_that_gives_up_frees_the_upstream() {
    let sdks = Sdks::openai();
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("impatient", &gateway, &[]);

    for request in 0..sdks.count() {
        upstream.closed(request);
    }
}
