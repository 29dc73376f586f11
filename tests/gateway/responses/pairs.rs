//! Each API of a client over each API of an upstream, streamed and whole.

use serde_json::{Value, json};

use crate::support::chat;
use crate::support::client;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::responses;
use crate::support::upstream::Upstream;

/// A client's API: its endpoint, its request, and how it reads the text of a reply.
struct Client {
    name: &'static str,
    path: &'static str,
    prompt: fn(&str, &str) -> Value,
    whole_prompt: fn(&str, &str) -> Value,
    text: fn(&Reply) -> String,
}

const CLIENTS: [Client; 3] = [
    Client {
        name: "messages",
        path: "/v1/messages",
        prompt: client::prompt,
        whole_prompt,
        text: Reply::text,
    },
    Client {
        name: "chat-completions",
        path: "/v1/chat/completions",
        prompt: chat::prompt,
        whole_prompt: chat::whole_prompt,
        text: chat::text,
    },
    Client {
        name: "responses",
        path: "/v1/responses",
        prompt: responses::prompt,
        whole_prompt: responses::whole_prompt,
        text: responses::text,
    },
];

/// An upstream's API: `api-format`, its path, and its name in reports.
const UPSTREAMS: [(&str, &str, &str); 3] = [
    ("anthropic", "/v1/messages", "messages"),
    ("openai", "/v1/chat/completions", "chat-completions"),
    ("responses", "/v1/responses", "responses"),
];

fn start(format: &str) -> (Upstream, Gateway) {
    let upstream = if format == "anthropic" { Upstream::anthropic() } else { Upstream::openai() };
    let setup = Gateway::before(&upstream);
    let gateway = match format {
        "responses" => setup.env("OPENAI_API_FORMAT", format).start(),
        _ => setup.start(),
    };
    (upstream, gateway)
}

/// Requirement: clients of all three APIs are served over upstreams of all three APIs, streamed and whole, and the records name
/// both APIs.
#[test]
fn all_nine_pairs_answer_streamed_and_whole() {
    for (format, upstream_path, upstream_api) in UPSTREAMS {
        let (upstream, gateway) = start(format);
        for Client { name, path, prompt, whole_prompt, text } in CLIENTS {
            for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
                let reply = gateway.call("POST", path).json(&body).reply();
                assert_eq!(text(&reply), "Hello there!", "{name} over {format}");
                assert_eq!(reply.is_stream(), body["stream"] == true, "{name} over {format}");
                let seen = upstream.requests().pop().expect("a request");
                assert_eq!(seen.target(), upstream_path, "{name} over {format}");
                assert_eq!(seen.json()["model"], MODEL);
                assert_eq!(seen.json()["stream"] == true, body["stream"] == true, "{name} over {format}");
            }
            let logs = gateway.get("/metrics/logs").json();
            let latest = logs["traces"].as_array().and_then(|requests| requests.first()).cloned();
            let latest = latest.unwrap_or_else(|| panic!("no requests in {logs}"));
            assert_eq!(
                (&latest["api"], &latest["upstream_api"]),
                (&json!(name), &json!(upstream_api)),
                "{latest}"
            );
        }
        assert_eq!(upstream.count(), 6);
    }
}

/// Requirement: tokens are counted in each pair, cached ones apart.
#[test]
fn the_usage_of_a_responses_upstream_reaches_every_client() {
    let (_upstream, gateway) = start("responses");
    let of = |path: &str, body: &Value| gateway.call("POST", path).json(body).reply().json()["usage"].clone();
    let messages = of("/v1/messages", &whole_prompt(MODEL, "hi"));
    assert_eq!(
        (&messages["input_tokens"], &messages["cache_read_input_tokens"], &messages["output_tokens"]),
        (&json!(60), &json!(40), &json!(20))
    );
    let completion = of("/v1/chat/completions", &chat::whole_prompt(MODEL, "hi"));
    assert_eq!(
        (&completion["prompt_tokens"], &completion["prompt_tokens_details"]["cached_tokens"]),
        (&json!(100), &json!(40))
    );
    let response = of("/v1/responses", &responses::whole_prompt(MODEL, "hi"));
    assert_eq!(
        (&response["input_tokens"], &response["input_tokens_details"]["cached_tokens"]),
        (&json!(100), &json!(40))
    );
    let logs = gateway.get("/metrics/logs").json();
    for request in logs["traces"].as_array().into_iter().flatten() {
        assert_eq!(
            (&request["input_tokens"], &request["cache_read_tokens"]),
            (&json!(60), &json!(40)),
            "{request}"
        );
    }
}

/// Requirement: an unversioned base URL works, too.
#[test]
fn the_endpoint_is_found_without_v1() {
    let (_upstream, gateway) = start("responses");
    for path in ["/responses", "/v1/v1/responses", "//v1/responses/"] {
        let reply = gateway.call("POST", path).json(&responses::whole_prompt(MODEL, "hi")).reply();
        assert_eq!(responses::text(&reply), "Hello there!", "{path}");
    }
}
