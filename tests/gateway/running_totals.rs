//! The running totals match the scripted upstream's numbers, on every path and with every end.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Piece, Upstream};

const TOTALS: &str = "/metrics/running-totals";

/// An endpoint and the API of the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) endpoint: &'static str,
    pub(crate) provider: Dialect,
    pub(crate) stream: bool,
}

pub(crate) fn ways() -> Vec<Way> {
    let pairs = [
        ("/v1/messages", Dialect::Anthropic),
        ("/v1/messages", Dialect::OpenAi),
        ("/v1/chat/completions", Dialect::OpenAi),
        ("/v1/chat/completions", Dialect::Anthropic),
    ];
    let both = |(endpoint, provider)| [true, false].map(|stream| Way { endpoint, provider, stream });
    pairs.into_iter().flat_map(both).collect()
}

impl Way {
    pub(crate) fn upstream(self) -> Upstream {
        match self.provider {
            Dialect::Anthropic => Upstream::anthropic(),
            Dialect::OpenAi => Upstream::openai(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self.provider {
            Dialect::Anthropic => "anthropic",
            Dialect::OpenAi => "openai",
        }
    }

    /// A request whose history has one tool call and its result.
    pub(crate) fn ask(self, gateway: &Gateway) -> Call {
        let user = json!({"role": "user", "content": "Weather?"});
        let input = json!({"city": "Genève"});
        let history = if self.endpoint == "/v1/messages" {
            let call = json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": input});
            let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"});
            json!([user, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}])
        } else {
            let function = json!({"name": "get_weather", "arguments": input.to_string()});
            let call = json!({"id": "call_1", "type": "function", "function": function});
            let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "rain"});
            json!([user, {"role": "assistant", "content": null, "tool_calls": [call]}, result])
        };
        let body = json!({"model": MODEL, "max_tokens": 64, "stream": self.stream, "messages": history});
        gateway.call("POST", self.endpoint).json(&body)
    }

    /// A reply that calls a tool.
    pub(crate) fn tool_call(self) -> Answer {
        match (self.provider, self.stream) {
            (Dialect::Anthropic, true) => Answer::events(anthropic::thinking_and_tool()),
            (Dialect::OpenAi, true) => Answer::events(openai::tool_call()),
            (Dialect::Anthropic, false) => {
                let block = json!({"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}});
                let usage = json!({"input_tokens": 11, "output_tokens": 9, "cache_read_input_tokens": 7,
                                   "cache_creation_input_tokens": 3});
                let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
                    "content": [block], "stop_reason": "tool_use", "stop_sequence": null, "usage": usage});
                Answer::json(200, message.to_string())
            }
            (Dialect::OpenAi, false) => {
                let function = json!({"name": "get_weather", "arguments": "{}"});
                let call = json!({"id": "call_2", "type": "function", "function": function});
                let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                Answer::json(200, openai::completion(&message, "tool_calls"))
            }
        }
    }

    /// Input, output, cache read and cache creation tokens of that reply.
    pub(crate) fn tokens(self) -> [u64; 4] {
        match self.provider {
            Dialect::Anthropic => [11, 9, 7, 3],
            Dialect::OpenAi => [60, 20, 40, 0],
        }
    }

    pub(crate) fn error(self) -> Answer {
        match self.provider {
            Dialect::Anthropic => Answer::json(400, anthropic::error("invalid_request_error", "no")),
            Dialect::OpenAi => Answer::json(400, openai::error("no", "invalid_request_error", "x")),
        }
    }

    /// A stream that sends one word and then nothing.
    pub(crate) fn stalling(self) -> Answer {
        let events = match self.provider {
            Dialect::Anthropic => anthropic::text(&["Hello"]),
            Dialect::OpenAi => openai::text(&["Hello"]),
        };
        Answer::pieces(events.into_iter().take(2).map(Piece::Bytes).chain([Piece::Silence]).collect())
    }

    /// The row of the only model for this form of reply.
    fn row(self, totals: &Value) -> Value {
        let model = &totals["providers"][self.name()]["models"][MODEL];
        let (used, unused) =
            if self.stream { ("streaming", "non_streaming") } else { ("non_streaming", "streaming") };
        assert_eq!(model.get(unused), None, "{self:?} {totals:#}");
        assert_eq!(model["total"], model[used], "{self:?} {totals:#}");
        assert_eq!(totals["providers"][self.name()]["rollup"]["total"], model["total"], "{totals:#}");
        model["total"].clone()
    }
}

fn json_totals(gateway: &Gateway, query: &str) -> Value {
    gateway.get(&format!("{TOTALS}?format=json{query}")).json()
}

/// The totals once this many requests have ended.
fn settled(gateway: &Gateway, requests: u64) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let totals = json_totals(gateway, "");
        let summary = &totals["summary"];
        if summary["active_requests"] == 0 && summary["total_requests"] == requests {
            return totals;
        }
        assert!(Instant::now() < until, "not {requests} requests that are over: {totals:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn ends(row: &Value) -> [u64; 3] {
    ["requests", "errors", "cancelled"].map(|name| row[name].as_u64().expect("a number"))
}

/// Requirement: Metrics for streams have tokens and cache tokens from message_start/message_delta.
/// Requirement: Client without `include_usage` gets no usage-only chunk; metrics still have tokens.
#[test]
fn a_success_counts_the_data_of_the_upstream_and_the_client() {
    for way in ways() {
        let upstream = way.upstream().always(way.tool_call());
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200, "{way:?}");

        let totals = settled(&gateway, 1);

        let row = way.row(&totals);
        let count = |name: &str| row[name].as_u64().expect("a number");
        assert_eq!(ends(&row), [1, 0, 0], "{way:?} {totals:#}");
        let tokens = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"];
        assert_eq!(tokens.map(count), way.tokens(), "{way:?}");
        assert_eq!(["tool_uses", "tool_results", "tool_calls"].map(count), [1, 1, 1], "{way:?}");
        assert!(row["total_duration_ms"].as_f64().is_some_and(|time| time > 0.0), "{row:#}");
        for (name, of_row) in row.as_object().expect("a map").iter().filter(|(name, _)| !name.contains('_')) {
            assert_eq!(&totals["summary"][format!("total_{name}")], of_row, "{way:?} {name}");
        }
    }
}

/// Requirement: `total_requests` = finished + active, each once; every failed request leaves "active".
#[test]
fn an_upstream_error_is_an_error_and_not_active() {
    for way in ways() {
        let upstream = way.upstream().always(way.error());
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(way.ask(&gateway).reply().status(), 400, "{way:?}");
        assert_eq!(ends(&way.row(&settled(&gateway, 1))), [1, 1, 0], "{way:?}");
    }
}

#[test]
fn a_timeout_before_the_first_byte_is_an_error() {
    for way in ways() {
        let upstream = way.upstream().always(Answer::silence());
        let gateway = Gateway::before(&upstream).env("REQUEST_TIMEOUT", "0.3").start();
        assert_eq!(way.ask(&gateway).reply().status(), 504, "{way:?}");
        assert_eq!(ends(&way.row(&settled(&gateway, 1))), [1, 1, 0], "{way:?}");
    }
}

#[test]
fn a_stream_that_stalls_is_an_error_with_the_tokens_so_far() {
    for way in ways().into_iter().filter(|way| way.stream) {
        let upstream = way.upstream().always(way.stalling());
        let gateway = Gateway::before(&upstream).limit("idle-timeout", 0.3).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200, "{way:?}");
        let row = way.row(&settled(&gateway, 1));
        assert_eq!(ends(&row), [1, 1, 0], "{way:?}");
        let expected = if way.provider == Dialect::Anthropic { 11 } else { 0 };
        assert_eq!(row["input_tokens"], expected, "{way:?}");
    }
}

/// Requirement: Client closes → upstream connection closed within 1 s (streaming and not, and during a retry
/// wait); trace `client_disconnect`.
/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn a_disconnect_is_counted_as_cancelled_in_every_phase() {
    for way in ways() {
        let upstream = way.upstream().answering(Answer::silence()).answering(way.stalling());
        let gateway = Gateway::before(&upstream).start();
        let before_the_head = way.ask(&gateway).send();
        upstream.request(0);
        before_the_head.hang_up();
        upstream.closed(0);
        let requests = if way.stream {
            let mut in_the_middle = way.ask(&gateway).open();
            in_the_middle.event().expect("the first event");
            in_the_middle.hang_up();
            upstream.closed(1);
            2
        } else {
            1
        };
        assert_eq!(ends(&way.row(&settled(&gateway, requests))), [requests, 0, requests], "{way:?}");
    }
}

#[test]
fn a_late_failure_after_status_200_is_an_error() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let setup = Gateway::before(&upstream).limit("head-patience", 0.1).env("REQUEST_TIMEOUT", "0.5");
    let gateway = setup.start();
    let reply = gateway.ask("hi");
    assert_eq!((reply.status(), reply.error_type().as_str()), (200, "timeout_error"));
    let totals = settled(&gateway, 1);
    assert_eq!(ends(&totals["providers"]["anthropic"]["rollup"]["streaming"]), [1, 1, 0]);
}

/// Requirement: `total_requests` = finished + active, each once; every failed request leaves "active".
#[test]
fn requests_without_a_route_are_errors_without_a_provider() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "pk").start();
    let with_key = |call: Call| call.header("x-api-key", "pk");
    let unknown = json!({"model": "nobody:m", "max_tokens": 1, "messages": []});
    for endpoint in ["/v1/messages", "/v1/chat/completions"] {
        assert_eq!(gateway.call("POST", endpoint).json(&unknown).reply().status(), 401, "{endpoint}");
        assert_eq!(with_key(gateway.call("POST", endpoint)).body("{").reply().status(), 400, "{endpoint}");
        assert_eq!(
            with_key(gateway.call("POST", endpoint)).json(&unknown).reply().status(),
            404,
            "{endpoint}"
        );
    }
    assert_eq!(gateway.get(TOTALS).status(), 401);
    let ask = || with_key(gateway.call("GET", &format!("{TOTALS}?format=json"))).reply().json();
    let until = Instant::now() + PATIENCE;
    let mut totals = ask();
    while totals["summary"]["active_requests"] != 0 && Instant::now() < until {
        totals = ask();
    }
    assert_eq!(ends(&totals["providers"]["unknown"]["models"]["unknown"]["total"]), [6, 6, 0], "{totals:#}");
    assert_eq!(totals["summary"]["total_errors"], 6);
    assert_eq!(totals["providers"].as_object().map(|map| map.len()), Some(1), "{totals:#}");
}

#[test]
fn a_request_without_a_free_key_is_an_error_of_its_provider() {
    let limited = Answer::json(429, openai::error("slow", "x", "y")).header("retry-after", "60");
    let upstream = Upstream::openai().always(limited);
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..2 {
        assert_eq!(gateway.ask_whole("hi").status(), 429);
    }
    assert_eq!(upstream.count(), 1, "the second one got no key");
    let totals = settled(&gateway, 2);
    assert_eq!(ends(&totals["providers"]["openai"]["models"][MODEL]["total"]), [2, 2, 0], "{totals:#}");
}

fn two_providers() -> (Setup, [Upstream; 2]) {
    let [one, two] = [Upstream::anthropic(), Upstream::openai()];
    let setup = Gateway::before(&one).provider("two", &two).toml("[two.aliases]\nfast = \"vendor/m:free\"");
    (setup, [one, two])
}

/// Checklist 23: globs work.
/// Requirement: Running-totals parses to `summary` and `providers`, filter comment line present, wildcards work
/// case-insensitively.
/// Requirement: Models with colons keep their full name; aliases never appear as model rows.
#[test]
fn filters_are_patterns_in_any_case_and_models_keep_their_whole_name() {
    let (setup, _upstreams) = two_providers();
    let gateway = setup.start();
    for model in ["anthropic:claude-x", "two:fast", "two:vendor/other:free"] {
        let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(gateway.messages(&body).reply().status(), 200, "{model}");
    }
    let all = settled(&gateway, 3);
    let models = |provider: &str| -> Vec<String> {
        all["providers"][provider]["models"].as_object().expect("a map").keys().cloned().collect()
    };
    assert_eq!(models("two"), ["vendor/m:free", "vendor/other:free"], "the alias is no model");
    assert_eq!(models("anthropic"), ["claude-x"]);
    for (query, requests) in [
        ("&provider=A*", 1),
        ("&provider=TWO", 2),
        ("&model=vendor/*:FREE", 2),
        ("&provider=two&model=*m:*", 1),
        ("&provider=tw", 0),
        ("&provider=t?o&model=vendor/[n-p]*", 1),
    ] {
        let totals = json_totals(&gateway, query);
        assert_eq!(totals["summary"]["total_requests"], requests, "{query} {totals:#}");
    }
    assert_eq!(gateway.get("/metrics/running-totals?include_active=perhaps").status(), 400);
}

/// Checklist 23: `include_active` works.
/// Requirement: `total_requests` = finished + active, each once; every failed request leaves "active".
#[test]
fn a_request_in_flight_is_counted_once_and_can_be_excluded() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let running = gateway.messages(&json!({"model": MODEL, "stream": true, "messages": []})).send();
    upstream.request(0);
    let totals = json_totals(&gateway, "");
    assert_eq!(totals["summary"]["active_requests"], 1);
    assert_eq!(totals["summary"]["total_requests"], 1, "{totals:#}");
    assert_eq!(ends(&totals["providers"]["anthropic"]["models"][MODEL]["streaming"]), [1, 0, 0]);
    let without = json_totals(&gateway, "&include_active=false");
    assert_eq!(without["summary"]["total_requests"], 0);
    assert_eq!(without["summary"]["active_requests"], 1, "they are there all the same");
    running.hang_up();
    settled(&gateway, 1);
}

/// Checklist 23: YAML with the summary and the keys of providers, rollups and models.
/// Requirement: Running-totals parses to `summary` and `providers`, filter comment line present, wildcards work
/// case-insensitively.
#[test]
fn the_report_is_yaml_in_the_originals_layout() {
    let (setup, _upstreams) = two_providers();
    let gateway = setup.start();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    settled(&gateway, 1);
    let reply: Reply = gateway.get("/metrics/running-totals?provider=A*&model=*");
    assert_eq!(reply.header("content-type"), Some("text/yaml; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    let file = reply.header("content-disposition").expect("a name to save it under");
    assert!(file.starts_with("inline; filename=running-totals-20"), "{file}");
    let text = reply.raw();
    let expected = [
        "# Running Totals Report",
        "# Filter: provider=A* & model=*",
        "summary:",
        "  last_accessed:",
        "  total_requests: 1",
        "  total_input_tokens: 11",
        "  active_requests: 0",
        "providers:",
        "  # Anthropic Provider",
        "  anthropic:",
        "    rollup:",
        "      total:",
        "        requests: 1",
        "      non_streaming:",
        "    models:",
        "      test-model:",
        "        total:",
        "          output_tokens: 9",
    ];
    let mut lines = text.lines();
    for line in expected {
        assert!(lines.any(|told| told == line), "{line:?} is missing or out of place:\n{text}");
    }
}

#[test]
fn without_a_gateway_key_the_totals_are_for_local_callers() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let from_afar = gateway.call("GET", TOTALS).header("x-forwarded-for", "192.0.2.1").reply();
    assert_eq!((from_afar.status(), from_afar.error_type().as_str()), (403, "permission_error"));
    assert_eq!(gateway.get(TOTALS).status(), 200);
    let wrong = gateway.call("POST", TOTALS).reply();
    assert_eq!((wrong.status(), wrong.header("allow")), (405, Some("GET, HEAD")));
}
