//! What requests cost, on every path, and prompt caches that are lost.

mod cache;
mod diagnostics;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running_totals::ways;
use crate::support::PATIENCE;
use crate::support::canned::openai;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect, Upstream};

const LOGS: &str = "/metrics/logs";

/// The rows of the requests, newest first, once this many have ended.
fn rows(gateway: &Gateway, requests: u64) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let logs = gateway.get(LOGS).json();
        if logs["traces"][0]["seq"] == requests {
            return logs["traces"].as_array().expect("a list").clone();
        }
        assert!(Instant::now() < until, "not {requests} requests: {logs:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

const PRICES: &str = "{ input = 1000, output = 2000, cache-read = 100, cache-write = 1250 }";

/// Requirement: on both endpoints, with both upstream APIs, streamed and whole, the cost is that of the tokens that the upstream
/// sent.
#[test]
fn the_cost_is_that_of_the_upstreams_tokens_on_every_path() {
    for way in ways() {
        let upstream = way.upstream().always(way.tool_call());
        let prices = format!("[{}.prices]\n\"test-*\" = {PRICES}", way.name());
        let gateway = Gateway::before(&upstream).toml(&prices).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200, "{way:?}");

        let [input, output, cache_read, cache_creation] = way.tokens();
        let expected = input * 1_000 + output * 2_000 + cache_read * 100 + cache_creation * 1_250;
        let row = &rows(&gateway, 1)[0];
        assert_eq!(row["cost_micro_dollars"], expected, "{way:?} {row:#}");
        let dollars = match way.provider {
            Dialect::Anthropic => "cost=$0.03345",
            Dialect::OpenAi => "cost=$0.104",
        };
        gateway.run.await_log(dollars);
    }
}

/// Checklist 20: cost is tokens times price, cache prices included; a model without a known price is unpriced, which is not the same as free.
#[test]
fn an_unknown_price_is_not_zero() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("Hello")));
    let free = "[prices]\n\"free-*\" = { input = 0, output = 0 }";
    let gateway = Gateway::before(&upstream).toml(free).start();
    for model in [MODEL, "free-model", "gpt-6.1-sol"] {
        gateway
            .messages(
                &json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}),
            )
            .reply();
    }

    let rows = rows(&gateway, 3);
    let costs: Vec<&Value> = rows.iter().rev().map(|row| &row["cost_micro_dollars"]).collect();
    // 60 tokens of input at $2, 40 cached at $0.10, and 20 of output at $10 per million.
    assert_eq!(costs, [&Value::Null, &json!(0), &json!(324)], "{rows:#?}");
}

/// Requirement: the cost that OpenRouter reports is used; the user's own price for the provider precedes it.
#[test]
fn a_reported_cost_is_used() {
    for (stream, own, expected) in [
        (true, "", 1_234),
        (false, "", 1_234),
        (true, "[openai.prices]\n\"*\" = { input = 0, output = 0 }", 0),
    ] {
        let usage =
            json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.001234});
        let answer = if stream {
            let chunk = json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage});
            Answer::events(vec![
                openai::role(),
                openai::content("Hi"),
                openai::finish("stop"),
                openai::data(&chunk),
                openai::done(),
            ])
        } else {
            let message = json!({"role": "assistant", "content": "Hi"});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            Answer::json(
                200,
                json!({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})
                    .to_string(),
            )
        };
        let upstream = Upstream::openai().always(answer);
        let gateway = Gateway::before(&upstream).toml(own).start();
        for endpoint in ["/v1/messages", "/v1/chat/completions"] {
            let body = json!({"model": MODEL, "max_tokens": 9, "stream": stream,
                "messages": [{"role": "user", "content": "x"}]});
            assert_eq!(gateway.call("POST", endpoint).json(&body).reply().status(), 200);
        }
        for row in rows(&gateway, 2) {
            assert_eq!(row["cost_micro_dollars"], expected, "{stream} {own} {row:#}");
        }
    }
}

/// Requirement: a reload applies new prices to the requests that end after it.
#[test]
fn a_reload_applies_new_prices() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("Hello")));
    let prices = |input: u32| format!("[prices]\n\"*\" = {{ input = {input}, output = 0, cache-read = 0 }}");
    let gateway = Gateway::before(&upstream).file("vandamme-config.toml", &prices(1)).start();
    gateway.ask("one");
    rows(&gateway, 1);
    gateway.run.write("vandamme-config.toml", &prices(3));
    gateway.run.signal("HUP");
    gateway.run.await_log("reload");
    let until = Instant::now() + PATIENCE;
    let mut number = 1;
    loop {
        number += 1;
        gateway.ask("two");
        let cost = rows(&gateway, number)[0]["cost_micro_dollars"].clone();
        if cost == 180 {
            break;
        }
        assert_eq!(cost, 60);
        assert!(Instant::now() < until, "the reload applies no prices");
    }
}
