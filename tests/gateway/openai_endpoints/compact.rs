//! `POST /v1/responses/compact`, over upstreams with and without that endpoint.

use serde_json::{Value, json};

use super::{post, trace};
use crate::support::canned::{anthropic, openai};
use crate::support::chat::Error;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Upstream};

const COMPACTED: &str = r#"{"id":"resp_9","object":"response.compaction","created_at":1,"output":[{"type":"compaction","id":"cmp_1","encrypted_content":"gAAAA"}],"usage":{"input_tokens":90,"output_tokens":9}}"#;

fn conversation(model: &str) -> Value {
    json!({"model": model, "instructions": "Be brief.", "prompt_cache_key": "k", "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Rename the crate"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "opaque"},
        {"type": "function_call", "call_id": "c", "name": "exec", "arguments": "{\"cmd\":\"ls\"}"},
        {"type": "function_call_output", "call_id": "c", "output": "Cargo.toml"},
    ]})
}

fn responses(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("OPENAI_API_FORMAT", "responses").env("MAX_RETRIES", "0")
}

/// Requirement: over a Responses upstream the request goes to its own endpoint as it is.
#[test]
fn an_upstream_with_the_endpoint_compacts_itself() {
    let upstream = Upstream::openai().always(Answer::json(200, COMPACTED));
    let gateway = responses(&upstream).start();
    let body = conversation("openai:gpt-5.5").to_string();
    let reply = post(&gateway, "responses/compact")
        .header("content-type", "application/json")
        .body(body.clone())
        .reply();
    assert_eq!((reply.status(), reply.raw().as_str()), (200, COMPACTED));
    let seen = upstream.only_request();
    assert_eq!(
        (seen.target(), seen.text()),
        ("/v1/responses/compact", body.replace("openai:gpt-5.5", "gpt-5.5"))
    );
    assert_eq!(trace(&gateway, "responses-compact")["input_tokens"], 90);
}

/// Requirement: other upstreams are asked for a summary, which becomes a `compaction` item that this gateway can read.
#[test]
fn other_upstreams_write_a_summary() {
    for upstream in [
        Upstream::openai().always(Answer::json(200, openai::whole("They rename the crate."))),
        Upstream::anthropic().always(Answer::json(200, anthropic::whole("They rename the crate."))),
    ] {
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = post(&gateway, "responses/compact").json(&conversation("m")).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        let compaction = reply.json();
        assert_eq!(compaction["object"], "response.compaction");
        assert!(compaction["id"].as_str().is_some_and(|id| id.starts_with("resp_")), "{compaction}");
        assert!(compaction["created_at"].as_u64().is_some_and(|at| at > 1_700_000_000), "{compaction}");
        assert!(compaction["usage"]["input_tokens"].is_u64(), "{compaction}");
        let output = compaction["output"].as_array().cloned().unwrap_or_default();
        assert_eq!(output[0], conversation("m")["input"][0], "the user's own words stay");
        assert_eq!((&output[1]["type"], output.len()), (&json!("compaction"), 2));
        // `vdm1c.` and base64url of the text.
        assert_eq!(output[1]["encrypted_content"], "vdm1c.VGhleSByZW5hbWUgdGhlIGNyYXRlLg");
        let asked = upstream.only_request().text();
        for words in ["Rename the crate", "Cargo.toml", "call of the tool exec"] {
            assert!(asked.contains(words), "{asked}");
        }
        assert!(!asked.contains("opaque") && !asked.contains("\"tools\""), "{asked}");
    }
}

#[test]
fn the_summary_stands_for_the_conversation_in_the_next_request() {
    let upstream =
        Upstream::anthropic().always(Answer::json(200, anthropic::whole("They rename the crate.")));
    let gateway = Gateway::before(&upstream).start();
    let compaction = post(&gateway, "responses/compact").json(&conversation("m")).reply().json();
    let mut input = compaction["output"].as_array().cloned().unwrap_or_default();
    input.push(json!({"role": "user", "content": "Go on"}));
    let reply =
        post(&gateway, "responses").json(&json!({"model": "m", "store": false, "input": input})).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    let asked = upstream.request(1).text();
    assert!(asked.contains("They rename the crate.") && asked.contains("Go on"), "{asked}");
}

#[test]
fn a_conversation_that_cannot_be_summarised_is_an_error() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("")));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let empty = post(&gateway, "responses/compact").json(&conversation("m")).reply();
    assert_eq!(empty.status(), 502, "{empty}");
    for (body, words) in [
        (json!({"model": "m"}), "input: field required"),
        (json!({"model": "m", "input": [], "previous_response_id": "resp_1"}), "previous_response_id"),
        (
            json!({"model": "m", "input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}),
            "input.0.encrypted_content",
        ),
    ] {
        let reply = post(&gateway, "responses/compact").json(&body).reply();
        assert_eq!(reply.status(), 400, "{reply}");
        assert!(Error::of(&reply).message.starts_with(words), "{reply}");
    }
}
