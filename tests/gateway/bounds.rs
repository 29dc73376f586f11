//! Limits for data from outside that is kept: names, and texts of upstreams.

mod channel;
mod overload;

use serde_json::json;

use crate::running_totals::ways;
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Dialect, Upstream};

const MIB: usize = 1 << 20;

/// Resident memory of the gateway, in MiB.
fn resident(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.worker())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running process");
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib / 1024
}

#[test]
fn the_length_of_a_model_name_is_limited_on_every_path() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let longest = "m".repeat(256);
    for path in ["/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"] {
        let ask = |model: &str| gateway.call("POST", path).json(&whole_prompt(model, "hi")).reply();
        assert_eq!(ask(&longest).status(), 200, "{path}");
        for model in [format!("{longest}m"), format!("anthropic:{longest}"), "é".repeat(129), "m".repeat(MIB)]
        {
            let reply = ask(&model);
            assert_eq!(reply.status(), 400, "{path}: {reply}");
            let message = reply.json()["error"]["message"].as_str().expect("a message").to_owned();
            assert!(message.contains("256") && message.contains("limits.model-name"), "{message}");
            assert!(
                message.len() < 200 && reply.json()["error"]["type"] == "invalid_request_error",
                "{reply}"
            );
        }
    }
    assert_eq!(upstream.count(), 3);
    for path in [
        format!("/v1/models/{longest}m"),
        format!("/v1/models?provider={longest}m"),
        format!("/v1/models?after_id={longest}m"),
        format!("/test-connection?model={longest}m"),
        format!("/test-connection?provider={longest}m"),
    ] {
        assert_eq!(gateway.get(&path).status(), 400, "{path}");
    }
    assert_eq!(gateway.get(&format!("/metrics/running-totals?model={}", "*a".repeat(300))).status(), 400);
    assert_eq!(upstream.count(), 3);

    let gateway = Gateway::before(&upstream).limit("model-name", 10).start();
    assert_eq!(gateway.messages(&whole_prompt("0123456789", "hi")).reply().status(), 200);
    assert_eq!(gateway.messages(&whole_prompt("0123456789a", "hi")).reply().status(), 400);
}

#[test]
fn a_flood_of_names_and_long_names_does_not_increase_memory() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let before = resident(&gateway);
    for number in 0..3 {
        let long = format!("{number}{}", "m".repeat(12 * MIB));
        for path in ["/v1/messages", "/v1/chat/completions"] {
            assert_eq!(gateway.call("POST", path).json(&whole_prompt(&long, "hi")).reply().status(), 400);
        }
    }
    let long = |number: usize, length: usize| format!("{number}-{}", "m".repeat(length));
    for number in 0..600 {
        let call = gateway.messages(&whole_prompt(&long(number, 200), "hi"));
        assert_eq!(call.header("x-claude-code-session-id", &long(number, 50_000)).reply().status(), 200);
    }
    for number in 0..200 {
        let name = long(number, 30_000);
        assert_eq!(gateway.get(&format!("/v1/{name}")).status(), 404);
        assert_eq!(gateway.get(&format!("/v1/models?provider={name}")).status(), 400);
        assert_eq!(gateway.call("POST", "/v1/messages").replacing_host(&name).reply().status(), 403);
        let origin = gateway.call("POST", "/v1/messages").header("origin", &name);
        assert_eq!(origin.reply().status(), 403);
    }
    let totals = gateway.get("/metrics/running-totals?format=json").raw().len();
    assert!(totals < 4 * MIB, "{totals} bytes of totals");
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < 120, "{grown} MiB are kept");
    assert!(gateway.stop().len() < 4 * MIB);
}

#[test]
fn a_long_upstream_error_is_reported_and_logged_shortened() {
    let long = "long ".repeat(MIB / 10);
    for way in ways() {
        let body = match way.provider {
            Dialect::OpenAi => openai::error(&long, "x", "y"),
            Dialect::Anthropic => anthropic::error("api_error", &long),
        };
        let event = match way.provider {
            Dialect::OpenAi => openai::data(&json!({"error": {"message": long}})),
            Dialect::Anthropic => {
                anthropic::event(&json!({"type": "error", "error": {"type": "api_error", "message": long}}))
            }
        };
        let head = "x".repeat(5_000);
        let upstream = way
            .upstream()
            .answering(Answer::json(400, body).header("anthropic-note", &head))
            .answering(Answer::whole(200, &format!("text/{}", "x".repeat(3_000)), "x"))
            .answering(Answer::events(vec![event]));
        let gateway = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").env("MAX_RETRIES", "0").start();
        for _ in 0..3 {
            let reply = way.ask(&gateway).reply();
            assert!(reply.status() >= 400, "{way:?}");
            assert_eq!(reply.header("anthropic-note"), None, "{way:?}");
            // An error of an upstream with the client's API is forwarded unchanged.
            let relayed =
                reply.body.len() > MIB / 4 && way.endpoint.contains("chat") == (way.name() == "openai");
            assert!(relayed || reply.body.len() < 10_000, "{way:?}: {} bytes", reply.body.len());
        }
        assert!(gateway.get("/metrics/logs").body.len() < 10_000, "{way:?}");
        let log = gateway.stop();
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 1_000, "{way:?}: a line of {longest} bytes");
    }
}

#[test]
fn the_size_of_a_list_of_models_is_limited() {
    let id = |number: usize| format!(r#"{{"id":"m{number}"}}"#);
    let many: Vec<String> = (0..30_000).map(id).collect();
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MIB));
    let list = format!(r#"{{"data":[{long},{}]}}"#, many.join(","));
    let huge = format!(r#"{{"data":[{{"id":"m","x":"{}"}}]}}"#, "x".repeat(9 * MIB));
    let upstream = Upstream::openai().answering(Answer::json(200, list)).answering(Answer::json(200, huge));
    let gateway = Gateway::before(&upstream).start();
    let listed = gateway.get("/v1/models").json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(20_000));
    let refreshed = gateway.get("/v1/models?refresh=true");
    assert!(matches!(refreshed.status(), 200 | 502), "{}", refreshed.status());
    assert!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().status() == 200);
    assert!(resident(&gateway) < 300);
}
