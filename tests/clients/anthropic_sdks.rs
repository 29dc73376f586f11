//! Anthropic's SDKs read the gateway's replies. `anthropic_sdk.py` and `anthropic_sdk.mjs` contain the checks of what they
//! return. The upstream is scripted here.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::script::{self, Conversation, SIGNATURE};
use crate::sdk::{self, PNG, Sdks, WAYS};
use crate::support::canned;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Deaf, Ending, Seen, Upstream};
use crate::two_calls;

/// Requirement: SSE bytes to the client equal the upstream's; official SDK yields all events.
#[test]
fn text_arrives_whole_and_streamed() {
    let sdks = Sdks::anthropic();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("text", &gateway, &[]);
    }
}

/// Complaint of gateway users: replayed thinking changes its order.
#[test]
fn thinking_and_a_tool_call_survive_the_round_trip() {
    let sdks = Sdks::anthropic();
    for (upstream, signature) in [(Upstream::anthropic(), SIGNATURE), (Upstream::openai(), "vdm1.")] {
        let upstream = weather().played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("tools", &gateway, &[signature]);
    }
}

/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
/// Complaint of gateway users: parallel tool calls interleave.
#[test]
fn two_parallel_calls_survive_the_round_trip() {
    let sdks = Sdks::anthropic();
    let inputs = json!(two_calls::inputs()).to_string();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = two_calls::played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("two_calls", &gateway, &[&inputs]);

        two_calls::expect_second_turns(&upstream, sdks.count() * WAYS);
    }
}

/// The streams of the corpus with a proper end, by vendor and file name.
fn streams() -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("readable").path()).collect()
    };
    let others = |path: &PathBuf| path.is_dir() && !path.ends_with("anthropic");
    let files = list(&corpus).into_iter().filter(others).flat_map(|vendor| list(&vendor));
    let streams = files.filter(|path| path.extension().is_some_and(|extension| extension == "sse"));
    let told = |path: &PathBuf| fs::read_to_string(path.with_extension("snap")).expect("a snapshot");
    let well = streams.filter(|path| !told(path).contains("  fault: "));
    let name = |path: &Path| {
        let name = path.strip_prefix(&corpus).expect("below").with_extension("");
        name.to_string_lossy().into_owned()
    };
    let mut found: Vec<_> = well.map(|path| (name(&path), fs::read(&path).expect("readable"))).collect();
    found.sort();
    found
}

/// Requirement: Official Anthropic SDK reads text and tools from every fake scenario without exception.
#[test]
fn the_sdks_read_every_vendors_stream_without_an_exception() {
    let (responses, chat): (Vec<_>, Vec<_>) =
        streams().into_iter().partition(|(name, _)| name.contains("/responses-"));
    for (streams, format, fewest) in [(chat, "openai", 40), (responses, "responses", 8)] {
        assert!(streams.len() > fewest, "the corpus is there");
        let models: Vec<String> = streams.iter().map(|(name, _)| format!("openai:{name}")).collect();
        let upstream = Upstream::openai().ruled_by(move |seen| {
            let model = seen.json()["model"].as_str().unwrap_or_default().to_owned();
            let (_, stream) = streams.iter().find(|(name, _)| *name == model)?;
            Some(Answer::events(vec![stream.clone()]))
        });
        let gateway = Gateway::before(&upstream).env("OPENAI_API_FORMAT", format).start();
        let models: Vec<_> = models.iter().map(String::as_str).collect();

        Sdks::anthropic().hold("reads", &gateway, &models);
    }
}

#[test]
fn images_reach_the_upstream() {
    let sdks = Sdks::anthropic();
    let text = json!({"type": "text", "text": "What are these?"});
    let png = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let far = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}});
    let asked = |content: [&Value; 3]| json!({"messages": [{"role": "user", "content": content}]});
    let sent = asked([&text, &png, &far]);
    let png = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    let far = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});

    sdks.carry(&Upstream::anthropic(), &sent, &sent);
    sdks.carry(&Upstream::openai(), &sent, &asked([&text, &png, &far]));
}

#[test]
fn system_blocks_reach_the_upstream() {
    let sdks = Sdks::anthropic();
    let question = json!({"role": "user", "content": "How is the weather?"});
    let sent = json!({"messages": [question], "system": [
        {"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "You speak \"French\".", "cache_control": {"type": "ephemeral"}},
    ]});
    let system = json!({"role": "system", "content": "You are terse.\n\nYou speak \"French\"."});

    sdks.carry(&Upstream::anthropic(), &sent, &sent);
    sdks.carry(&Upstream::openai(), &sent, &json!({"messages": [system, question], "system": null}));
}

#[test]
fn a_providers_models_are_listed() {
    for (provider, upstream) in [("openai", Upstream::openai()), ("anthropic", Upstream::anthropic())] {
        let upstream = sdk::listing(upstream);
        let gateway = Gateway::before(&upstream).start();

        Sdks::anthropic().hold("models", &gateway, &[provider]);
    }
}

/// Complaint of gateway users: usage at the start of a stream is incomplete.
#[test]
fn usage_and_cached_tokens_are_those_of_the_upstream() {
    let sdks = Sdks::anthropic();
    let counted = json!({"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                         "output_tokens": 9});
    let whole = json!({"id": "msg_01Counted", "type": "message", "role": "assistant", "model": "a-model",
                       "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
                       "stop_sequence": null, "usage": counted});
    let streamed = canned::anthropic::text(&["Hi"]);
    let anthropic = script::by_delivery(
        Upstream::anthropic(),
        Answer::events(streamed),
        Answer::json(200, whole.to_string()),
    );
    // 40 of the 100 tokens were cached. Chat Completions does not count tokens written to a cache.
    let translated = json!({"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40,
                            "output_tokens": 20});
    for (upstream, expected) in [(anthropic, counted), (Upstream::openai(), translated)] {
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("usage", &gateway, &[&expected.to_string()]);
    }
}

#[test]
fn tokens_are_counted_by_an_anthropic_upstream() {
    let sdks = Sdks::anthropic();
    let upstream = Upstream::anthropic().always(Answer::json(200, "{\"input_tokens\": 4711}"));
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("counted", &gateway, &["4711"]);

    let requests = upstream.requests();
    assert_eq!(requests.len(), sdks.count());
    for seen in requests {
        assert_eq!(seen.target(), "/v1/messages/count_tokens");
        assert_eq!(seen.json()["system"], "Be brief.");
        assert_eq!(seen.json()["tools"][0]["name"], "get_weather");
    }
}

#[test]
fn tokens_are_estimated_for_an_openai_upstream() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    Sdks::anthropic().hold("estimated", &gateway, &[]);

    assert_eq!(upstream.count(), 0);
}

#[test]
fn errors_of_an_anthropic_upstream_raise_the_sdks_classes() {
    Sdks::anthropic().know_the_errors_of(Upstream::anthropic);
}

#[test]
fn errors_of_an_openai_upstream_raise_the_sdks_classes() {
    Sdks::anthropic().know_the_errors_of(Upstream::openai);
}

#[test]
fn a_client_without_the_gateway_key_gets_an_authentication_error() {
    let sdks = Sdks::anthropic();
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-gateway").start();

    sdks.hold("refused", &gateway, &["401"]);

    assert_eq!(upstream.count(), 0);
}

/// The SDKs send their key as a bearer token since `anthropic-version: 2026-10-21`.
#[test]
fn the_gateway_key_as_a_bearer_token_opens_every_endpoint() {
    let sdks = Sdks::anthropic();
    let count = |seen: &Seen| seen.target().contains("count_tokens");
    let upstream = Upstream::anthropic()
        .ruled_by(move |seen| count(seen).then(|| Answer::json(200, "{\"input_tokens\": 4711}")));
    let upstream = sdk::listing(upstream);
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-client").start();

    sdks.hold("text", &gateway, &[]);
    sdks.hold("counted", &gateway, &["4711"]);
    sdks.hold("models", &gateway, &["anthropic"]);

    assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "the gateway's key stays here");
}

#[test]
fn a_clients_own_bearer_token_is_sent_upstream_as_a_bearer_token() {
    let sdks = Sdks::anthropic();
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["!PASSTHRU"]).start();

    sdks.hold("text", &gateway, &[]);

    for seen in upstream.requests() {
        let header = |name: &str| seen.head.header(name).map(str::to_owned);
        assert_eq!(header("authorization").as_deref(), Some("Bearer sk-of-the-client"));
        assert_eq!(header("x-api-key"), None);
        assert_eq!(header("anthropic-version").as_deref(), Some("2026-10-21"));
    }
}

#[test]
fn an_unknown_provider_is_a_not_found_error() {
    let sdks = Sdks::anthropic();
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    sdks.hold("refused", &gateway, &["404", "nowhere:some-model"]);
}

#[test]
fn a_truncated_reply_is_an_error() {
    let sdks = Sdks::anthropic();
    for speaking in [Upstream::anthropic, Upstream::openai] {
        // The body ends properly, but the stream does not.
        for ending in [Ending::Cut, Ending::Close] {
            let upstream = script::breaking_off(speaking(), ending);
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

            sdks.hold("cut", &gateway, &[]);
        }
    }
}

#[test]
fn a_client_that_disconnects_frees_the_upstream() {
    let sdks = Sdks::anthropic();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).start();

        sdks.hold("impatient", &gateway, &[]);

        for request in 0..sdks.count() {
            upstream.closed(request);
        }
    }
}

#[test]
fn an_unreachable_upstream_is_a_server_error() {
    let sdks = Sdks::anthropic();
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("ANTHROPIC_API_KEY", "sk-test")
        .env("ANTHROPIC_BASE_URL", format!("http://{}", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();

    sdks.hold("unreachable", &gateway, &[]);
}

fn weather() -> Conversation {
    Conversation {
        tool: "get_weather",
        input: json!({"city": "Genève \"Cornavin\""}),
        last_words: "It is sunny there.",
    }
}
