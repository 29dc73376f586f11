//! OpenAI's SDKs read the gateway's replies. `openai_sdk.py` and `openai_sdk.mjs` contain the checks of what they return.
//! The upstream is scripted here.

use serde_json::json;

use crate::script;
use crate::sdk::{self, PNG, Sdks, WAYS};
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Deaf, Ending, Upstream};
use crate::two_calls;

/// Requirement: SSE bytes to the client equal the upstream's; official SDK yields all events.
#[test]
fn text_arrives_whole_and_streamed() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("text", &gateway, &[]);

    assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "only the provider's key");
}

/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
/// Complaint of gateway users: parallel tool calls interleave.
#[test]
fn two_parallel_calls_survive_the_round_trip() {
    let sdks = Sdks::openai();
    let upstream = two_calls::played_by(Upstream::openai());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("two_calls", &gateway, &[&json!(two_calls::inputs()).to_string()]);

    two_calls::expect_second_turns(&upstream, sdks.count() * WAYS);
}

#[test]
fn images_reach_the_upstream() {
    let sent = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What are these?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]}]});

    Sdks::openai().carry(&Upstream::openai(), &sent, &sent);
}

#[test]
fn system_and_developer_messages_reach_the_upstream() {
    let sent = json!({"messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "developer", "content": [{"type": "text", "text": "You speak \"French\"."}]},
        {"role": "user", "content": "How is the weather in Genève?"},
    ]});

    Sdks::openai().carry(&Upstream::openai(), &sent, &sent);
}

#[test]
fn a_providers_models_are_listed() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let upstream = sdk::listing(upstream);
        let gateway = Gateway::before(&upstream).start();

        Sdks::openai().hold("models", &gateway, &[]);
    }
}

/// Requirement (issue 19, 6): the endpoints beside those for conversations serve the official SDKs.
#[test]
fn embeddings_images_and_audio_are_passed_on() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let is_form = seen.head.header("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
        let has = |part: &str| seen.text().contains(part);
        Some(match seen.target() {
            "/v1/embeddings" if seen.json()["model"] == "embedder" => {
                // The SDKs ask for base64: 0.5 and -1.0.
                let embedding = match seen.json()["encoding_format"] == "base64" {
                    true => json!("AAAAPwAAgL8="),
                    false => json!([0.5, -1.0]),
                };
                let data = json!({"object": "embedding", "index": 0, "embedding": embedding});
                let usage = json!({"prompt_tokens": 8, "total_tokens": 8});
                Answer::json(200, json!({"object": "list", "data": [data], "model": "e", "usage": usage}).to_string())
            }
            "/v1/moderations" if seen.json()["model"] == "judge" => Answer::json(
                200,
                r#"{"id":"modr-1","model":"judge","results":[{"flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{}}]}"#,
            ),
            "/v1/audio/transcriptions" if is_form && has("\r\n\r\near\r\n") && has("talk.mp3") => {
                Answer::json(200, r#"{"text":"Hello there!"}"#)
            }
            "/v1/images/edits" if is_form && has("\r\n\r\nbrush\r\n") && has("a hat") => {
                Answer::json(200, r#"{"created":1,"data":[{"b64_json":"AAAA"}]}"#)
            }
            "/v1/audio/speech" if seen.json()["model"] == "mouth" => {
                Answer::whole(200, "audio/mpeg", (0..=255).collect::<Vec<u8>>())
            }
            _ => Answer::json(500, r#"{"error":{"message":"not what was expected"}}"#),
        })
    });
    let claude = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).provider("anthropic", &claude).start();

    Sdks::openai().hold("endpoints", &gateway, &[]);

    assert_eq!(claude.count(), 0);
}

/// Complaint of gateway users: usage at the start of a stream is incomplete.
#[test]
fn usage_and_cached_tokens_are_those_of_the_upstream() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let counted = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                         "prompt_tokens_details": {"cached_tokens": 40}});

    Sdks::openai().hold("usage", &gateway, &[&counted.to_string()]);
}

/// Requirement: Client without `include_usage` gets no usage-only chunk; metrics still have tokens.
#[test]
fn usage_is_omitted_unless_the_request_asks_for_it() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("usage_unasked", &gateway, &[]);

    for seen in upstream.requests() {
        assert_eq!(seen.json()["stream_options"]["include_usage"], true, "there was some to be hidden");
    }
}

#[test]
fn errors_of_the_upstream_raise_the_sdks_classes() {
    Sdks::openai().know_the_errors_of(Upstream::openai);
}

#[test]
fn a_client_without_the_gateway_key_gets_an_authentication_error() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-gateway").start();

    Sdks::openai().hold("refused", &gateway, &["401", "invalid_api_key"]);

    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_client_with_the_gateway_key_is_served() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-client").start();

    Sdks::openai().hold("text", &gateway, &[]);
}

#[test]
fn an_unknown_provider_is_a_not_found_error() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    Sdks::openai().hold("refused", &gateway, &["404", "model_not_found", "nowhere:some-model"]);
}

#[test]
fn a_truncated_reply_is_an_error() {
    let sdks = Sdks::openai();
    // The body ends properly, but the stream does not.
    for ending in [Ending::Cut, Ending::Close] {
        let upstream = script::breaking_off(Upstream::openai(), ending);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        sdks.hold("cut", &gateway, &[]);
    }
}

#[test]
fn a_client_that_disconnects_frees_the_upstream() {
    let sdks = Sdks::openai();
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("impatient", &gateway, &[]);

    for request in 0..sdks.count() {
        upstream.closed(request);
    }
}

#[test]
fn an_unreachable_upstream_is_a_server_error() {
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", format!("http://{}/v1", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();

    Sdks::openai().hold("unreachable", &gateway, &[]);
}
