//! Anthropic's SDKs read what the gateway says as if it were Anthropic's. What they must make of it stands in
//! `anthropic_sdk.py` and `anthropic_sdk.mjs`; here the upstream is scripted.

use serde_json::{Value, json};

use crate::script::{self, Conversation, SIGNATURE};
use crate::sdk::{self, Sdk};
use crate::support::canned;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Deaf, Dialect, Ending, Upstream};
use crate::two_calls;

#[test]
fn text_comes_whole_and_streamed() {
    let sdks = sdk::anthropic();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();

        all_hold(&sdks, &["text", &url(&gateway)]);
    }
}

#[test]
fn a_thought_and_a_tool_call_go_there_and_back() {
    let sdks = sdk::anthropic();
    for (upstream, signature) in [(Upstream::anthropic(), SIGNATURE), (Upstream::openai(), "vdm1.")] {
        let upstream = weather().played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        all_hold(&sdks, &["tools", &url(&gateway), signature]);
    }
}

#[test]
fn two_calls_at_once_go_there_and_back() {
    let sdks = sdk::anthropic();
    let inputs = json!(two_calls::inputs()).to_string();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = two_calls::played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        all_hold(&sdks, &["two_calls", &url(&gateway), &inputs]);

        two_calls::expect_second_turns(&upstream, sdks.len() * WAYS);
    }
}

#[test]
fn images_arrive_upstream() {
    let text = json!({"type": "text", "text": "What are these?"});
    let png = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let far = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}});
    let sent = json!({"messages": [{"role": "user", "content": [text, png, far]}]});
    let png = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    let far = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});

    carried(&Upstream::anthropic(), &sent, &sent);
    carried(
        &Upstream::openai(),
        &sent,
        &json!({"messages": [{"role": "user", "content": [text, png, far]}]}),
    );
}

#[test]
fn system_blocks_arrive_upstream() {
    let question = json!({"role": "user", "content": "How is the weather?"});
    let sent = json!({"messages": [question], "system": [
        {"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "You speak \"French\".", "cache_control": {"type": "ephemeral"}},
    ]});
    let system = json!({"role": "system", "content": "You are terse.\n\nYou speak \"French\"."});

    carried(&Upstream::anthropic(), &sent, &sent);
    carried(&Upstream::openai(), &sent, &json!({"messages": [system, question], "system": null}));
}

#[test]
fn usage_and_cache_are_what_the_upstream_counted() {
    let sdks = sdk::anthropic();
    let counted = json!({"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                         "output_tokens": 9});
    let whole = json!({"id": "msg_01Counted", "type": "message", "role": "assistant", "model": "a-model",
                       "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
                       "stop_sequence": null, "usage": counted});
    let streamed = canned::anthropic::text(&["Hi"]);
    let anthropic =
        by_delivery(Upstream::anthropic(), Answer::events(streamed), Answer::json(200, whole.to_string()));
    // Of 100 tokens 40 were cached; there, nobody counts what is written to a cache.
    let translated = json!({"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40,
                            "output_tokens": 20});
    for (upstream, expected) in [(anthropic, counted), (Upstream::openai(), translated)] {
        let gateway = Gateway::before(&upstream).start();

        all_hold(&sdks, &["usage", &url(&gateway), &expected.to_string()]);
    }
}

#[test]
fn an_anthropic_upstream_counts_tokens_itself() {
    let sdks = sdk::anthropic();
    let upstream = Upstream::anthropic().always(Answer::json(200, "{\"input_tokens\": 4711}"));
    let gateway = Gateway::before(&upstream).start();

    all_hold(&sdks, &["counted", &url(&gateway), "4711"]);

    let requests = upstream.requests();
    assert_eq!(requests.len(), sdks.len());
    for seen in requests {
        assert_eq!(seen.target(), "/v1/messages/count_tokens");
        assert_eq!(seen.json()["system"], "Be brief.");
        assert_eq!(seen.json()["tools"][0]["name"], "get_weather");
    }
}

#[test]
fn before_an_openai_upstream_tokens_are_estimated() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    all_hold(&sdk::anthropic(), &["estimated", &url(&gateway)]);

    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_anthropic_upstreams_errors_have_their_classes() {
    errors_have_their_classes(Upstream::anthropic);
}

#[test]
fn an_openai_upstreams_errors_have_their_classes() {
    errors_have_their_classes(Upstream::openai);
}

#[test]
fn a_client_without_the_gateways_key_is_not_authenticated() {
    let sdks = sdk::anthropic();
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-gateway").start();

    all_hold(&sdks, &["refused", &url(&gateway), "401"]);

    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_provider_that_is_not_there_is_not_found() {
    let sdks = sdk::anthropic();
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    all_hold(&sdks, &["refused", &url(&gateway), "404", "nowhere:some-model"]);
}

#[test]
fn a_reply_that_breaks_off_is_an_error() {
    let sdks = sdk::anthropic();
    let words = ["Hello ", "there!"];
    // Streamed up to the first of two words.
    for (upstream, events, kept, whole) in [
        (Upstream::anthropic(), canned::anthropic::text(&words), 4, canned::anthropic::whole("Hello there!")),
        (Upstream::openai(), canned::openai::text(&words), 2, canned::openai::whole("Hello there!")),
    ] {
        let begun = events[..kept].concat().len();
        let streamed = Answer::events(events).broken_after(begun, Ending::Cut);
        let upstream =
            by_delivery(upstream, streamed, Answer::json(200, whole).broken_after(50, Ending::Cut));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        all_hold(&sdks, &["cut", &url(&gateway)]);
    }
}

#[test]
fn a_client_that_gives_up_frees_the_upstream() {
    let sdks = sdk::anthropic();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).start();

        all_hold(&sdks, &["impatient", &url(&gateway)]);

        for request in 0..sdks.len() {
            upstream.closed(request);
        }
    }
}

#[test]
fn an_upstream_that_does_not_listen_is_a_servers_error() {
    let sdks = sdk::anthropic();
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("ANTHROPIC_API_KEY", "sk-test")
        .env("ANTHROPIC_BASE_URL", format!("http://{}", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();

    all_hold(&sdks, &["unreachable", &url(&gateway)]);
}

/// A gateway and an upstream for each status, so that none meets a key that another has put out.
fn errors_have_their_classes(speaking: fn() -> Upstream) {
    let sdks = sdk::anthropic();
    let upstreams = ERRORS.map(|(status, kind)| (status, refusing(speaking(), status, kind)));
    let gateways: Vec<(u16, Gateway)> = upstreams
        .iter()
        .map(|(status, upstream)| (*status, Gateway::before(upstream).env("MAX_RETRIES", "0").start()))
        .collect();
    let pairs = gateways.iter().map(|(status, gateway)| format!("{status}={}", url(gateway)));
    let arguments: Vec<String> = ["all_errors".to_owned()].into_iter().chain(pairs).collect();

    all_hold(&sdks, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Statuses, each with the error type that Anthropic gives it.
const ERRORS: [(u16, &str); 9] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (503, "overloaded_error"),
    (529, "overloaded_error"),
];

/// OpenAI's own types say less than the status: the gateway must go by that.
fn refusing(upstream: Upstream, status: u16, kind: &str) -> Upstream {
    let body = match upstream.dialect() {
        Dialect::Anthropic => canned::anthropic::error(kind, REFUSAL),
        Dialect::OpenAi => canned::openai::error(REFUSAL, "invalid_request_error", "a_code"),
    };
    upstream.always(Answer::json(status, body))
}

const REFUSAL: &str = "upstream said no";

/// Sends these parts of a request; all of `expected` must be in what arrives.
fn carried(upstream: &Upstream, sent: &Value, expected: &Value) {
    let sdks = sdk::anthropic();
    let gateway = Gateway::before(upstream).start();

    all_hold(&sdks, &["carries", &url(&gateway), &sent.to_string()]);

    let requests = upstream.requests();
    assert_eq!(requests.len(), sdks.len() * WAYS);
    for body in requests.iter().map(script::body) {
        for (key, value) in expected.as_object().expect("parts of a request") {
            assert_eq!(body[key], *value, "{key}");
        }
    }
}

/// One answer to those who want a stream, another to the rest.
fn by_delivery(upstream: Upstream, streamed: Answer, whole: Answer) -> Upstream {
    upstream.ruled_by(move |seen| {
        let answer = if script::body(seen)["stream"] == true { &streamed } else { &whole };
        Some(answer.clone())
    })
}

/// In how many ways the scripts ask one question.
const WAYS: usize = 2;

/// One pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn weather() -> Conversation {
    Conversation {
        tool: "get_weather",
        input: json!({"city": "Genève \"Cornavin\""}),
        last_words: "It is sunny there.",
    }
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address)
}

/// Every SDK finds all as it expects it in this scenario.
fn all_hold(sdks: &[Sdk], arguments: &[&str]) {
    for sdk in sdks {
        sdk.holds(arguments);
    }
}
