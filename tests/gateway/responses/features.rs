//! What the gateway does for requests of every API, at the Responses API: web search by a service, verdicts of auto mode,
//! descriptions of images, roles, and the price of tokens.

use serde_json::{Value, json};

use super::{call, over_responses};
use crate::support::await_that;
use crate::support::canned::{anthropic, openai, responses as canned};
use crate::support::chat;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};

fn brave() -> Upstream {
    let page = json!({"title": "A page", "url": "https://a.example/", "description": "What it says."});
    Upstream::openai()
        .always(Answer::json(200, json!({"type": "search", "web": {"results": [page]}}).to_string()))
}

fn searched_by(service: &Upstream, setup: Setup) -> Gateway {
    setup
        .env("BRAVE_API_KEY", "brave-key-1234567890")
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml("[web-search]\nby = ['brave']")
        .start()
}

fn asking_for_a_search(stream: Value) -> Value {
    let mut body = responses::whole_prompt(MODEL, "Search the web for rust.");
    body["tools"] = json!([{"type": "web_search"}]);
    body["service_tier"] = json!("flex");
    body["stream"] = stream;
    body
}

fn kinds(response: &Value) -> Vec<String> {
    let items = response["output"].as_array().into_iter().flatten();
    items.filter_map(|item| item["type"].as_str().map(str::to_owned)).collect()
}

/// Requirement: a search of a Responses client is run by the service, over an upstream of Chat Completions, and appears in the
/// reply as an item; settings of the request reach each round.
#[test]
fn a_service_searches_for_responses_clients() {
    let arguments = json!({"query": "rust"}).to_string();
    let search = json!({"index": 0, "id": "call_0", "type": "function", "function": {"name": "web_search", "arguments": arguments}});
    for stream in [true, false] {
        let upstream = Upstream::openai()
            .answering(Answer::events(openai::stream(vec![openai::tool(&search)], "tool_calls")))
            .answering(Answer::events(openai::stream(vec![openai::content("It is a language.")], "stop")));
        let service = brave();
        let gateway = searched_by(&service, Gateway::before(&upstream));
        let reply = call(&gateway, &asking_for_a_search(json!(stream))).reply();
        let response = responses::response(&reply);
        assert_eq!(kinds(&response), ["web_search_call", "message"], "{reply}");
        assert_eq!(responses::text(&reply), "It is a language.");
        assert_eq!((service.count(), upstream.count()), (1, 2));
        for round in 0..2 {
            let sent = upstream.request(round).json();
            assert_eq!(sent["service_tier"], "flex", "{sent}");
            assert!(sent.get("max_tokens").is_none(), "nothing is set that the client left open: {sent}");
        }
    }
}

/// Requirement: the search of the service works over a Responses upstream, too, for clients of Messages.
#[test]
fn a_service_searches_over_a_responses_upstream() {
    let upstream = Upstream::openai()
        .answering(Answer::events(canned::stream(&[canned::function_call(
            "call_0",
            "web_search",
            &json!({"query": "rust"}),
        )])))
        .answering(Answer::events(canned::text(&["It is a language."])));
    let service = brave();
    let gateway = searched_by(&service, over_responses(&upstream));
    let body = json!({"model": MODEL, "max_tokens": 64, "stream": true,
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [{"role": "user", "content": "Search the web for rust."}]});
    let reply = gateway.messages(&body).reply();
    assert!(
        reply.raw().contains("web_search_tool_result") && reply.raw().contains("https://a.example/"),
        "{reply}"
    );
    assert_eq!((service.count(), upstream.count()), (1, 2));
    assert!(upstream.requests().iter().all(|seen| seen.is_of_responses()));
}

/// Requirement: Codex's way to say that its search is off is no search.
#[test]
fn a_search_that_is_off_is_left_out() {
    let upstream = Upstream::openai();
    let service = brave();
    let gateway = searched_by(&service, Gateway::before(&upstream));
    let mut body = asking_for_a_search(json!(true));
    body["tools"] = json!([{"type": "web_search", "external_web_access": false},
                           {"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let reply = call(&gateway, &body).reply();
    assert_eq!(responses::text(&reply), "Hello there!");
    let sent = upstream.only_request().json();
    assert_eq!(sent["tools"].as_array().map(Vec::len), Some(1), "{sent}");
    assert_eq!(service.count(), 0);
}

/// Requirement: calls of a Responses upstream are judged for Claude Code's auto mode; without a judge the answer is `unsupported`.
#[test]
fn calls_of_a_responses_upstream_are_judged() {
    let calling = || {
        let call = canned::function_call("call_a", "get_weather", &json!({"city": "Genève"}));
        Upstream::openai().always(Answer::events(canned::stream(&[call])))
    };
    let body = json!({"model": MODEL, "max_tokens": 1024, "stream": true,
        "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1, "permission_mode": "auto"}}],
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "How is the weather in Genève?"}]});
    let results = |gateway: &Gateway| {
        let reply = gateway.messages(&body).reply();
        let end = reply.events().into_iter().find(|event| event.name == "message_delta").expect("an end");
        end.data["delta"]["safeguard_results"][0]["status"].clone()
    };
    let upstream = calling();
    assert_eq!(results(&over_responses(&upstream).start())["type"], "unsupported");
    assert!(upstream.only_request().json().get("safeguards").is_none());

    let referee = Upstream::openai().ruled_by(|seen| {
        let messages = seen.json()["messages"].clone();
        let form =
            messages.as_array().and_then(|messages| messages.last()).map(|last| last["content"].to_string());
        let form = form.unwrap_or_default().replace("\\\"", "\"");
        let (_, rest) = form.rsplit_once("\"check\":\"")?;
        let verdict = json!({"check": &rest[..16], "verdict": "allow", "reason": ""});
        Some(Answer::json(200, openai::whole(&verdict.to_string())))
    });
    let upstream = calling();
    let gateway = over_responses(&upstream)
        .provider("referee", &referee)
        .toml("[safeguards]\njudge = \"referee:mini\"")
        .start();
    let verdicts = results(&gateway);
    assert_eq!(verdicts["type"], "available", "{verdicts}");
    assert!(verdicts.to_string().contains("not_flagged"), "{verdicts}");
}

/// Requirement: a description takes the place of an image in a Responses request, whatever the upstream's API.
#[test]
fn images_of_responses_clients_are_described() {
    for format in ["responses", "openai"] {
        let text = Upstream::openai();
        let eyes = Upstream::anthropic().always(Answer::json(200, anthropic::whole("A red square.")));
        let gateway = Setup::default()
            .provider("text", &text)
            .env("TEXT_API_FORMAT", format)
            .provider("eyes", &eyes)
            .toml("[text]\ntext-only-models = [\"blind*\"]\n[defaults]\ndescribe-images-with = \"eyes:vision-1\"")
            .start();
        let mut body = responses::whole_prompt("text:blind-1", "What is it?");
        let image = json!({"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,iVBORw0KGgo="});
        body["input"][0]["content"].as_array_mut().expect("parts").push(image);
        let reply = call(&gateway, &body).reply();
        assert_eq!(responses::text(&reply), "Hello there!");
        assert_eq!(
            reply.header("x-vdm-dropped").map(|names| names.contains("input.0.content.1")),
            Some(true),
            "{reply}"
        );
        let sent = text.only_request().text();
        assert!(sent.contains("A red square.") && !sent.contains("iVBORw0KGgo="), "{format}: {sent}");
        if format == "responses" {
            assert_eq!(text.only_request().json()["input"][0]["content"][1]["type"], "input_text", "{sent}");
        }
    }
}

/// Requirement: rules of `[routing]` read items as they read messages.
#[test]
fn roles_read_the_items_of_a_request() {
    let upstream = Upstream::openai();
    let gateway = over_responses(&upstream)
        .toml("[routing]\nimage = \"openai:sees\"\nlong-context = \"openai:long\"\nlong-context-threshold = 5000\nthink = \"openai:thinks\"")
        .start();
    let ask = |members: Value| {
        let mut body = responses::whole_prompt(MODEL, "hi");
        for (name, value) in members.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        call(&gateway, &body).reply();
        upstream.requests().pop().map(|seen| seen.json()["model"].clone())
    };
    let image = json!({"type": "input_image", "image_url": "https://a.example/x.png"});
    for (members, model) in [
        (json!({}), MODEL),
        (json!({"reasoning": {"effort": "high"}}), "thinks"),
        (json!({"input": [{"role": "user", "content": [image]}]}), "sees"),
        (json!({"instructions": "word ".repeat(8_000)}), "long"),
    ] {
        assert_eq!(ask(members.clone()), Some(json!(model)));
    }
}

/// Requirement: tokens that are written to the cache have their price, over Responses and over Chat Completions.
#[test]
fn cache_writes_are_priced() {
    let usage = json!({"input_tokens": 1_000_000, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 400_000},
                       "output_tokens": 0, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 1_000_000});
    let mut response: Value =
        serde_json::from_str(&canned::whole(&[canned::message("Hello")])).expect("a response");
    response["usage"] = usage;
    let mut completion: Value = serde_json::from_str(&openai::whole("Hello")).expect("a completion");
    completion["usage"] = json!({"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000,
                                 "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 400_000}});
    let upstream = Upstream::openai().ruled_by(move |seen| {
        let body = if seen.is_of_responses() { &response } else { &completion };
        Some(Answer::json(200, body.to_string()))
    });
    let prices = "prices = { \"*\" = { input = 1.0, output = 1.0, cache-write = 10.0 } }";
    for format in ["responses", "openai"] {
        let gateway = Gateway::before(&upstream)
            .env("OPENAI_API_FORMAT", format)
            .toml(&format!("[openai]\n{prices}"))
            .start();
        let reply = match format {
            "responses" => call(&gateway, &responses::whole_prompt(MODEL, "hi")).reply(),
            _ => gateway.call("POST", "/v1/chat/completions").json(&chat::whole_prompt(MODEL, "hi")).reply(),
        };
        assert_eq!(reply.status(), 200, "{reply}");
        let mut log = Value::Null;
        await_that("the request is recorded", || {
            log = gateway.get("/metrics/logs").json()["traces"][0].clone();
            !log.is_null()
        });
        assert_eq!(
            (&log["input_tokens"], &log["cache_creation_tokens"], &log["cost_micro_dollars"]),
            (&json!(600_000), &json!(400_000), &json!(4_600_000)),
            "{format}: {log}"
        );
    }
}
