//! The requests to the built-in providers: URL, key, model and the vendor's own fields, with a configuration of
//! variables alone.

use serde_json::{Value, json};

use crate::support::canned::openai;
use crate::support::chat;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, whole_prompt};
use crate::support::upstream::{Answer, Seen, Upstream};

/// The requests that a vendor requires.
struct Vendor {
    name: &'static str,
    /// The end of its base URL.
    path: &'static str,
    /// The model that `claude-opus-5-5` resolves to.
    opus: &'static str,
    haiku: &'static str,
    max_tokens: &'static str,
    key_header: (&'static str, &'static str),
}

const BEARER: (&str, &str) = ("authorization", "Bearer sk-test");
const VENDORS: [Vendor; 6] = [
    Vendor {
        name: "gemini",
        path: "/v1beta/openai",
        opus: "gemini-4-argon",
        haiku: "gemini-3.5-flash-lite",
        max_tokens: "max_tokens",
        key_header: BEARER,
    },
    Vendor {
        name: "azure",
        path: "/openai/v1",
        opus: "gpt-6-astra",
        haiku: "gpt-6-luna",
        max_tokens: "max_completion_tokens",
        key_header: ("api-key", "sk-test"),
    },
    Vendor {
        name: "xai",
        path: "/v1",
        opus: "grok-4.7",
        haiku: "grok-4.3",
        max_tokens: "max_tokens",
        key_header: BEARER,
    },
    Vendor {
        name: "mistral",
        path: "/v1",
        opus: "mistral-large-4-0",
        haiku: "mistral-small-latest",
        max_tokens: "max_tokens",
        key_header: BEARER,
    },
    Vendor {
        name: "groq",
        path: "/openai/v1",
        opus: "openai/gpt-oss-120b",
        haiku: "openai/gpt-oss-20b",
        max_tokens: "max_tokens",
        key_header: BEARER,
    },
    Vendor {
        name: "ollama",
        path: "/v1",
        opus: "gpt-oss:20b",
        haiku: "gpt-oss:20b",
        max_tokens: "max_tokens",
        key_header: BEARER,
    },
];

fn gateway_for(vendor: &Vendor, upstream: &Upstream) -> Setup {
    let prefix = vendor.name.to_uppercase();
    let base_url = upstream.base_url().replace("/v1", vendor.path);
    let setup = Setup::default()
        .env(&format!("{prefix}_API_KEY"), "sk-test")
        .env(&format!("{prefix}_BASE_URL"), base_url)
        .env("MAX_RETRIES", "0");
    // At a host that is not Azure's own, the version marks the provider as Azure.
    if vendor.name == "azure" { setup.env("AZURE_API_VERSION", "preview") } else { setup }
}

/// A second turn of Claude Code, with effort.
fn second_turn(model: &str) -> Value {
    json!({"model": model, "max_tokens": 1024, "output_config": {"effort": "high"}, "thinking": {"type": "adaptive"},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hidden", "signature": "of another model"},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "text"}]}],
        "tools": [{"name": "Read", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}]})
}

fn receives_what_it_requires(vendor: &Vendor, seen: &Seen, model: &str) {
    let query = if vendor.name == "azure" { "?api-version=preview" } else { "" };
    assert_eq!(seen.target(), format!("{}/chat/completions{query}", vendor.path));
    let (header, value) = vendor.key_header;
    assert_eq!(seen.head.header(header), Some(value), "{}", vendor.name);
    for other in ["authorization", "api-key", "x-api-key"].into_iter().filter(|other| *other != header) {
        assert_eq!(seen.head.header(other), None, "{}: {other}", vendor.name);
    }
    let body = seen.json();
    assert_eq!(body["model"], model, "{}", vendor.name);
    for field in ["reasoning", "thinking", "user", "cache_control", "top_k"] {
        assert!(body[field].is_null(), "{}: {field} in {body}", vendor.name);
    }
    assert!(!seen.text().contains("reasoning_content"), "{}: {body}", vendor.name);
}

#[test]
fn each_built_in_vendor_is_called_at_its_url_with_its_key_and_its_fields() {
    for vendor in &VENDORS {
        let upstream = Upstream::openai();
        let gateway = gateway_for(vendor, &upstream).start();

        let reply = gateway.messages(&prompt("claude-haiku-4-5-20251001", "hi")).reply();
        assert_eq!(reply.text(), "Hello there!", "{}", vendor.name);
        let reply = gateway.messages(&second_turn("claude-opus-5-5")).reply();
        assert_eq!(reply.text(), "Hello there!", "{}", vendor.name);

        receives_what_it_requires(vendor, &upstream.request(0), vendor.haiku);
        let second = upstream.request(1);
        receives_what_it_requires(vendor, &second, vendor.opus);
        let body = second.json();
        assert_eq!(body["reasoning_effort"], "high", "{}: {body}", vendor.name);
        assert_eq!(body[vendor.max_tokens], 1024, "{}: {body}", vendor.name);
    }
}

#[test]
fn a_chat_completions_client_reaches_each_built_in_vendor_too() {
    for vendor in &VENDORS {
        let upstream = Upstream::openai();
        let gateway = gateway_for(vendor, &upstream).start();
        let model = format!("{}:opus", vendor.name);
        for body in [chat::prompt(&model, "hi"), chat::whole_prompt(&model, "hi")] {
            let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
            assert_eq!(chat::text(&reply), "Hello there!", "{}", vendor.name);
        }
        receives_what_it_requires(vendor, &upstream.request(0), vendor.opus);
        receives_what_it_requires(vendor, &upstream.request(1), vendor.opus);
    }
}

/// Vendors that refuse unknown members of a message receive no thinking, not even their own.
#[test]
fn thinking_is_removed_from_the_history_for_a_vendor_that_refuses_it() {
    for vendor in VENDORS.iter().filter(|vendor| vendor.name != "azure") {
        let thought = json!({"role": "assistant", "reasoning_content": "hidden thought", "content": "Yes."});
        let upstream = Upstream::openai().answering(Answer::json(200, openai::completion(&thought, "stop")));
        let gateway = gateway_for(vendor, &upstream).start();
        let mut body = second_turn("opus");
        body["messages"] = json!([{"role": "user", "content": "go"}]);
        let reply = gateway.messages(&body).reply().json();
        assert_eq!(reply["content"][0]["thinking"], "hidden thought", "{}: {reply}", vendor.name);
        body["messages"] = json!([{"role": "user", "content": "go"},
            {"role": "assistant", "content": reply["content"]}, {"role": "user", "content": "on"}]);
        assert_eq!(gateway.messages(&body).reply().status(), 200, "{}", vendor.name);

        let sent = upstream.request(1).json();
        assert_eq!(sent["messages"][1], json!({"role": "assistant", "content": "Yes."}), "{}", vendor.name);
    }
}

#[test]
fn mistral_and_ollama_receive_the_token_limit_under_their_name() {
    for vendor in VENDORS.iter().filter(|vendor| ["mistral", "ollama"].contains(&vendor.name)) {
        let upstream = Upstream::openai();
        let gateway = gateway_for(vendor, &upstream).start();
        let mut body = chat::whole_prompt(&format!("{}:opus", vendor.name), "hi");
        body["max_completion_tokens"] = json!(99);
        let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        let sent = upstream.only_request().json();
        assert_eq!((&sent["max_tokens"], &sent["max_completion_tokens"]), (&json!(99), &Value::Null));
    }
}

#[test]
fn a_local_server_needs_no_key_and_is_not_called_before_a_request() {
    let list = r#"{"object":"list","data":[{"id":"gpt-oss:20b","object":"model","created":1,"owned_by":"library"}]}"#;
    let upstream = Upstream::openai()
        .ruled_by(move |seen| seen.target().ends_with("/models").then(|| Answer::json(200, list)));
    // The address as in Ollama's documentation, without a path.
    let address = upstream.base_url().replace("/v1", "");
    let gateway = Setup::default().env("OLLAMA_BASE_URL", address).start();
    assert_eq!(upstream.count(), 0, "nobody asked");

    assert_eq!(gateway.messages(&whole_prompt("sonnet", "hi")).reply().text(), "Hello there!");
    let seen = upstream.request(0);
    assert_eq!((seen.target(), &seen.json()["model"]), ("/v1/chat/completions", &json!("gpt-oss:20b")));
    assert_eq!(seen.key(), "no-key-needed");
    let models = gateway.get("/v1/models?provider=ollama").json();
    assert_eq!(models["data"][0]["id"], "gpt-oss:20b");
    assert_eq!(upstream.request(1).target(), "/v1/models");
}

#[test]
fn an_incomplete_built_in_provider_names_what_is_missing() {
    let setup = Gateway::bare().env("AZURE_API_KEY", "sk-test").env("VDM_DEMO", "0");
    let gateway = setup.start();
    let log = gateway.log();
    assert!(log.contains("set AZURE_BASE_URL to https://RESOURCE.openai.azure.com/openai/v1"), "{log}");
    let reply = gateway.messages(&prompt("azure:gpt-6-luna", "hi")).reply();
    assert!(reply.raw().contains("set AZURE_BASE_URL"), "{reply}");
    let reply = gateway.messages(&prompt("groq:haiku", "hi")).reply();
    assert!(reply.raw().contains("set GROQ_API_KEY"), "{reply}");
}
