//! The log: its formats, the request's id on every line, the sums of an interval, and the start message.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};

use crate::support::await_that;
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup, free_port, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// Every line of a log of JSON objects.
fn objects(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// The gateway's id of a request.
fn id(reply: &Reply) -> &str {
    reply.header("x-vdm-request-id").unwrap_or_else(|| panic!("no id: {reply}"))
}

fn in_json(setup: &Setup) -> Setup {
    setup.clone().env("LOG_FORMAT", "json")
}

/// Checklist 51: `LOG_FORMAT=json` writes one object a line, from the first line to the last, with the fields of the record.
#[test]
fn every_line_is_a_json_object_with_the_fields_of_its_request() {
    let answer = Answer::events(anthropic::text(&["Hello"])).header("request-id", "req_up_1");
    let upstream = Upstream::anthropic().always(answer);
    let gateway = in_json(&Gateway::before(&upstream)).env("FOO_API_KEY", "sk-foo").start();
    let call = gateway.messages(&prompt(MODEL, "hi"));
    let reply =
        call.header("x-claude-code-session-id", "s-1").header("x-claude-code-agent-id", "a-1").reply();
    let id = id(&reply).to_owned();

    let lines = objects(&gateway.stop());

    for line in &lines {
        for name in ["time", "level", "target", "message"] {
            assert!(line[name].is_string(), "{name} {line}");
        }
    }
    let message = |words: &str| {
        let found =
            lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(words)));
        found.unwrap_or_else(|| panic!("no {words}: {lines:#?}"))
    };
    message("listens on http://127.0.0.1:");
    assert_eq!(message("FOO_BASE_URL")["level"], "warn");
    let of_request: Vec<_> = lines.iter().filter(|line| line["request_id"] == *id).collect();
    assert_eq!(of_request.len(), 1, "one line for a request: {lines:#?}");
    let line = of_request[0];
    let expected = json!({"level": "info", "requested_model": MODEL, "model": MODEL, "provider": "anthropic",
        "status": 200, "upstream_status": 200, "upstream_request_id": "req_up_1", "streamed": true, "session": "s-1", "agent": "a-1",
        "api": "messages", "upstream_api": "messages", "stop_reason": "end_turn", "upstream_calls": 1,
        "input_tokens": 11, "output_tokens": 9, "cache_read_tokens": 7, "cache_creation_tokens": 3,
        "tool_calls": 0, "reply_bytes": reply.body.len()});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&line[name], value, "{name} {line:#}");
    }
    let number = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line:#}"));
    assert!(number("first_event_ms") <= number("duration_ms"), "{line:#}");
    assert_eq!(line.get("error_type"), None, "{line:#}");
}

/// Checklist 51: a word that is no format ends the start, and the message names those that are.
#[test]
fn an_unknown_format_is_refused() {
    let upstream = Upstream::openai();
    let ended = Gateway::before(&upstream).env("LOG_FORMAT", "xml").run_to_end();
    let told = "LOG_FORMAT: expected one of text, json, journald, found \"xml\"";
    assert!(ended.output.contains(told), "{}", ended.output);
}

/// Checklist 50: with 100 concurrent requests, every log line carries its own request's id, which is also in a header of the
/// reply.
#[test]
fn lines_of_concurrent_requests_have_their_own_ids() {
    let upstream = Upstream::openai().refusing("sk-refused").always(Answer::json(200, openai::whole("hi")));
    let gateway = in_json(&Gateway::before(&upstream).keys(["sk-refused", "sk-test"])).start();
    let ids: BTreeMap<String, String> = thread::scope(|scope| {
        let ask = |number: usize| {
            let model = format!("m-{number}");
            let reply = gateway.messages(&whole_prompt(&model, "hi")).reply();
            assert_eq!(reply.status(), 200, "{reply}");
            (model, id(&reply).to_owned())
        };
        let asked: Vec<_> = (0..100).map(|number| scope.spawn(move || ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().expect("a reply")).collect()
    });
    await_that("all requests are logged", || gateway.log().matches("\"streamed\":false").count() == 100);

    let lines = objects(&gateway.stop());

    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for line in
        lines.iter().filter(|line| line["model"].as_str().is_some_and(|model| model.starts_with("m-")))
    {
        let model = line["model"].as_str().expect("a model");
        let id = line["request_id"].as_str().unwrap_or_else(|| panic!("no id: {line:#}"));
        assert_eq!(id, ids[model], "{line:#}");
        assert!(line["message"].as_str().is_some_and(|text| text.starts_with(id)), "{line:#}");
        *seen.entry(id).or_default() += 1;
    }
    assert_eq!(seen.len(), 100, "{seen:?}");
    assert!(seen.values().any(|lines| *lines > 1), "no line about a failed call: {seen:?}");
}

/// Requirement: the gateway's id is in both headers of every reply, streamed, whole or an error, and the upstream's own ids
/// stay where the upstream has sent them.
#[test]
fn every_reply_names_its_request() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let ids = |reply: &Reply| {
        ["x-vdm-request-id", "request-id", "x-request-id"].map(|name| {
            assert_eq!(reply.head.count(name), 1, "{name} {reply}");
            reply.header(name).unwrap_or_default().to_owned()
        })
    };
    for endpoint in ["/v1/messages", "/v1/chat/completions"] {
        let ask = |stream: bool| {
            gateway.call("POST", endpoint).json(&json!({"model": MODEL, "max_tokens": 9,
            "stream": stream, "messages": [{"role": "user", "content": "hi"}]}))
        };
        for answer in
            [Answer::json(200, anthropic::whole("a")), Answer::json(400, anthropic::error("x", "no"))]
        {
            upstream.then(answer.clone());
            let [own, id, other] = ids(&ask(false).reply());
            assert!(own.starts_with("req_") && own == id && id == other, "{endpoint} {own} {id} {other}");
            upstream.then(answer.header("request-id", "req_upstream"));
            let [own, id, other] = ids(&ask(false).reply());
            assert!(own.starts_with("req_") && own != id, "{endpoint}");
            assert_eq!([id.as_str(), other.as_str()], ["req_upstream"; 2], "{endpoint}");
        }
        let [own, id, other] = ids(&ask(true).reply());
        assert!(own == id && id == other, "{endpoint}");
        let [own, id, other] = ids(&gateway.call("POST", endpoint).body("{").reply());
        assert!(own == id && id == other, "{endpoint}");
    }
    for path in ["/v1/models", "/v1/nothing"] {
        ids(&gateway.get(path));
    }
}

/// Requirement: `LOG_SUMMARY_INTERVAL` requests are summed up in one line, each interval on its own; 0 turns it off.
#[test]
fn the_requests_of_an_interval_are_summed_up() {
    let upstream = Upstream::anthropic().always(Answer::events(anthropic::text(&["Hello"])));
    let gateway = in_json(&Gateway::before(&upstream)).env("LOG_SUMMARY_INTERVAL", "3").start();
    for model in ["a", "b", "a", "c", "c", "c", "d"] {
        assert_eq!(gateway.messages(&prompt(model, "hi")).reply().status(), 200);
    }
    await_that("all requests are logged", || gateway.log().matches("\"streamed\":true").count() == 7);
    let lines = objects(&gateway.stop());
    let sums: Vec<_> = lines.iter().filter(|line| line["busiest"].is_string()).collect();
    let busiest: Vec<_> = sums.iter().map(|line| line["busiest"].as_str().unwrap_or_default()).collect();
    assert_eq!(busiest, ["anthropic:a 2, anthropic:b 1", "anthropic:c 3"], "{sums:#?}");
    for line in sums {
        assert_eq!((&line["requests"], &line["failed"]), (&json!(3), &json!(0)), "{line:#}");
        assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&json!(33), &json!(27)), "{line:#}");
        assert_eq!((&line["level"], line.get("request_id")), (&json!("info"), None), "{line:#}");
    }

    let silent = Gateway::before(&upstream).env("LOG_SUMMARY_INTERVAL", "0").start();
    for _ in 0..3 {
        silent.ask("hi");
    }
    let log = silent.stop();
    assert!(log.matches("req_").count() >= 3 && !log.contains("requests:"), "{log}");
}

/// Requirement: a reload changes the interval.
#[test]
fn a_reload_changes_the_interval() {
    let upstream = Upstream::anthropic().always(Answer::json(200, anthropic::whole("a")));
    let setup = Gateway::before(&upstream).file("vandamme-config.toml", "log-summary-interval = 0\n");
    let gateway = setup.start();
    gateway.ask_whole("hi");
    gateway.run.write("vandamme-config.toml", "log-summary-interval = 2\n");
    assert!(gateway.server(&["reload"]).output().expect("vdm is built").status.success());
    gateway.ask_whole("hi");
    gateway.ask_whole("hi");
    await_that("the sums are logged", || gateway.log().contains("last "));
    gateway.stop();
}

/// Checklist 52: the start message has at most 25 lines at 80 columns, names the API and the dashboard once both are served,
/// and has no colours without a terminal; `--quiet` prints none, but warnings are logged.
#[test]
fn the_start_message_fits_a_terminal_and_can_be_left_out() {
    let setup = (0..30).fold(Gateway::bare(), |setup, number| {
        setup.env(&format!("P{number}_API_KEY"), "sk-test").env(
            &format!("P{number}_BASE_URL"),
            format!("https://p{number}.example.com/a/long/path/of/an/api/v1"),
        )
    });
    let gateway = setup.start();
    let address = gateway.address;
    let log = gateway.stop();
    let message: Vec<_> =
        log.lines().take_while(|line| !line.contains(" INFO ") && !line.contains(" WARN ")).collect();
    let height: usize = message.iter().map(|line| line.chars().count().div_ceil(80).max(1)).sum();
    assert!((4..=25).contains(&height), "{height} lines: {log}");
    assert!(message[0].ends_with(&format!("listens on http://{address}")), "{log}");
    assert!(message.iter().any(|line| line.contains(&format!("http://{address}/dashboard/"))), "{log}");
    assert!(!log.contains('\x1b'), "{log}");

    let quiet =
        Gateway::bare().env("OPENAI_API_KEY", "sk-test").env("FOO_API_KEY", "sk-foo").argument("--quiet");
    let port = free_port();
    let run = quiet.run(port);
    // The harness waits for a start message.
    await_that("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let gateway = Gateway { run, address: ([127, 0, 0, 1], port).into() };
    assert_eq!(gateway.get("/health").status(), 200);
    let log = gateway.stop();
    assert!(!log.contains("listens on") && !log.contains("Claude Code"), "{log}");
    let warned = log.lines().find(|line| line.contains("FOO_BASE_URL")).expect("the warning");
    assert!(warned.contains(" WARN "), "{log}");
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
}

/// Checklist 49: keys and prompts are not in the log, whatever its format, at the lowest level.
#[test]
fn no_format_logs_keys_or_prompts() {
    let key = "sk-ant-api03-canary0123456789canary0123456789";
    let echo = |kind: &str| {
        format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"bad key {key}\"}}}}")
    };
    for format in ["text", "json"] {
        let upstream = Upstream::anthropic()
            .answering(Answer::json(401, echo("authentication_error")))
            .always(Answer::events(anthropic::text(&["a reply that is not logged"])));
        let setup = Gateway::before(&upstream).keys([key, "sk-or-v1-canary0123456789"]);
        let gateway = setup.env("LOG_FORMAT", format).env("LOG_LEVEL", "DEBUG").start();
        for text in ["a prompt that is not logged", "and another"] {
            let call = gateway.messages(&prompt(MODEL, text)).header("x-api-key", "AIzaCanary0123456789");
            let call = call.header("authorization", "Bearer sk-proj-canary0123456789");
            call.header("x-claude-code-session-id", key).header("x-goog-api-key", "canary-goog").reply();
        }
        let log = gateway.stop();
        assert!(log.contains("req_"), "{log}");
        for secret in ["anary", "not logged", "and another", "Bearer"] {
            assert!(!log.contains(secret), "{format} {secret} {log}");
        }
    }
}
