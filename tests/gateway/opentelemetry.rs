//! Traces and metrics as OTLP over HTTP with JSON, received by a scripted collector; and trace context between client and provider.

mod collector;

use serde_json::{Value, json};

use self::collector::{Collector, attribute, texts};
use crate::running_totals::ways;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::upstream::{Answer, Dialect, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn sampled() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// A gateway that exports traces only, to this collector.
fn traced(upstream: &Upstream, collector: &Collector) -> Setup {
    Gateway::before(upstream).env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url("/v1/traces"))
}

/// Requirement: one SERVER span for each request with one CLIENT span for its call, with the GenAI names and the upstream's tokens, on
/// both endpoints, with both upstream APIs, streamed and whole; the call carries its span's id.
#[test]
fn each_request_is_a_span_with_a_child_for_its_call() {
    for way in ways() {
        let (upstream, collector) = (way.upstream(), Collector::start());
        let gateway = traced(&upstream, &collector).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200, "{way:?}");
        let spans = collector.spans(2);
        let (server, call) = (&spans[0], &spans[1]);
        assert_eq!((server["kind"].as_u64(), call["kind"].as_u64()), (Some(2), Some(3)), "{way:?}");
        assert_eq!(server["name"], format!("POST {}", way.endpoint));
        assert_eq!(
            call["name"],
            format!("chat {}", attribute(call, "gen_ai.request.model").as_str().expect("a text"))
        );
        assert_eq!(server["parentSpanId"], Value::Null);
        assert_eq!((&call["parentSpanId"], &call["traceId"]), (&server["spanId"], &server["traceId"]));
        assert_eq!((&server["status"], &call["status"]), (&json!({}), &json!({})));
        assert_eq!(attribute(server, "http.response.status_code"), json!("200"));
        assert_eq!(attribute(call, "gen_ai.operation.name"), "chat");
        assert_eq!(attribute(call, "gen_ai.provider.name"), way.name());
        assert_eq!(attribute(call, "gen_ai.request.stream"), way.stream);
        assert_eq!(attribute(call, "server.address"), "127.0.0.1");
        assert_eq!(attribute(call, "server.port"), upstream.address().port().to_string());
        let totals = gateway.get("/metrics/running-totals?format=json").json()["summary"].clone();
        let tokens = |name: &str| totals[name].as_u64().expect("a number");
        let input = tokens("total_input_tokens")
            + tokens("total_cache_read_tokens")
            + tokens("total_cache_creation_tokens");
        assert_eq!(attribute(call, "gen_ai.usage.input_tokens"), input.to_string(), "{way:?}");
        assert_eq!(attribute(call, "gen_ai.usage.output_tokens"), tokens("total_output_tokens").to_string());
        assert_eq!(
            attribute(call, "gen_ai.usage.cache_read.input_tokens"),
            tokens("total_cache_read_tokens").to_string()
        );
        assert_eq!(attribute(server, "gen_ai.usage.input_tokens"), Value::Null, "tokens are counted once");
        assert_eq!(!attribute(call, "gen_ai.response.time_to_first_chunk").is_null(), way.stream, "{way:?}");
        assert_eq!(texts(call, "gen_ai.response.finish_reasons").len(), 1, "{way:?}: {call:#}");
        let sent = upstream.only_request().head.header("traceparent").expect("a context").to_owned();
        let id = |span: &Value, name: &str| span[name].as_str().expect("an id").to_owned();
        assert_eq!(sent, format!("00-{}-{}-01", id(call, "traceId"), id(call, "spanId")), "{way:?}");
    }
}

/// Requirement: `traceparent` and `tracestate` of the client are honoured and passed on; the client's sampling decision holds.
#[test]
fn a_clients_trace_is_continued() {
    let (upstream, collector) = (Upstream::openai(), Collector::start());
    let gateway = traced(&upstream, &collector).start();
    let call = gateway.messages(&whole_prompt(MODEL, "hi")).header("tracestate", "vendor=1,other=2");
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    assert_eq!(call.clone().header("traceparent", &unsampled).reply().status(), 200);
    assert_eq!(call.clone().header("traceparent", &sampled()).reply().status(), 200);
    let spans = collector.spans(2);
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&json!(TRACE), &json!(CALLER)));
    assert_eq!(
        (&spans[0]["traceState"], &spans[1]["traceState"]),
        (&json!("vendor=1,other=2"), &json!("vendor=1,other=2"))
    );
    let sent =
        |index: usize, name: &str| upstream.request(index).head.header(name).unwrap_or_default().to_owned();
    let passed = sent(0, "traceparent");
    assert!(passed.starts_with(&format!("00-{TRACE}-")) && passed.ends_with("-00"), "{passed}");
    assert_ne!(passed, unsampled, "the parent is our span");
    let id = spans[1]["spanId"].as_str().expect("an id");
    assert_eq!(sent(1, "traceparent"), format!("00-{TRACE}-{id}-01"));
    assert_eq!(sent(1, "tracestate"), "vendor=1,other=2");
    // An invalid context starts a new trace.
    assert_eq!(call.header("traceparent", "00-nonsense").reply().status(), 200);
    let spans = collector.spans(4);
    assert_ne!(spans[2]["traceId"], TRACE);
    assert_eq!((&spans[2]["parentSpanId"], &spans[2]["traceState"]), (&Value::Null, &Value::Null));
}

/// Requirement: without an export the client's trace context reaches the provider unchanged, whatever its API.
#[test]
fn without_an_export_the_trace_context_passes_unchanged() {
    for way in ways() {
        let upstream = way.upstream();
        let gateway = Gateway::before(&upstream).start();
        let call = way.ask(&gateway).header("traceparent", &sampled()).header("tracestate", "vendor=1");
        assert_eq!(call.reply().status(), 200);
        let seen = upstream.only_request();
        assert_eq!(seen.head.header("traceparent"), Some(&*sampled()), "{way:?}");
        assert_eq!(seen.head.header("tracestate"), Some("vendor=1"), "{way:?}");
        let bare = way.upstream();
        let gateway = Gateway::before(&bare).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200);
        assert_eq!(bare.only_request().head.header("traceparent"), None, "{way:?}");
    }
}

/// Requirement: each upstream try is a span, with its error; a failed request is an error of its own span.
#[test]
fn failed_calls_and_failed_requests_are_errors() {
    let failing = Upstream::openai()
        .always(Answer::json(401, r#"{"error": {"message": "Incorrect API key provided"}}"#));
    let (other, collector) = (Upstream::anthropic(), Collector::start());
    let gateway = traced(&failing, &collector)
        .provider("anthropic", &other)
        .toml("[openai.fallbacks]\ntest-model = [\"anthropic:claude-x\"]")
        .start();
    assert_eq!(gateway.messages(&whole_prompt(&format!("openai:{MODEL}"), "hi")).reply().status(), 200);
    let spans = collector.spans(3);
    let errors: Vec<_> = spans.iter().map(|span| attribute(span, "error.type")).collect();
    assert_eq!(errors, [Value::Null, json!("key_rejected"), Value::Null], "{spans:#?}");
    assert_eq!((&spans[1]["status"]["code"], &spans[2]["status"]), (&json!(2), &json!({})));
    assert_eq!(attribute(&spans[1], "http.response.status_code"), "401");
    assert_eq!(attribute(&spans[2], "gen_ai.provider.name"), "anthropic");
    assert_eq!(texts(&spans[0], "vdm.failed_targets"), [format!("openai:{MODEL}")]);
    let ids: Vec<_> = [&failing, &other]
        .map(|upstream| {
            let header = upstream.only_request().head.header("traceparent").expect("a context").to_owned();
            header.split('-').nth(2).expect("an id").to_owned()
        })
        .into();
    assert_eq!(
        ids,
        [spans[1]["spanId"].as_str().expect("an id"), spans[2]["spanId"].as_str().expect("an id")]
    );

    let broken = Upstream::openai().always(Answer::json(500, r#"{"error": {"message": "prompt-canary"}}"#));
    let collector = Collector::start();
    let gateway = traced(&broken, &collector).env("MAX_RETRIES", "0").start();
    assert_eq!(gateway.ask_whole("prompt-canary").status(), 500);
    let spans = collector.spans(2);
    assert_eq!(
        (&spans[0]["status"]["code"], attribute(&spans[0], "error.type")),
        (&json!(2), json!("api_error"))
    );
}

/// Requirement: no prompt, no reply and no key is exported; the session is, as `gen_ai.conversation.id`.
#[test]
fn no_prompt_no_reply_and_no_key_is_exported() {
    let (upstream, collector) = (Upstream::openai(), Collector::start());
    let gateway = traced(&upstream, &collector)
        .env("PROXY_API_KEY", "gateway-key-canary-0123456789")
        .env("OPENAI_API_KEY", "sk-provider-canary-0123456789")
        .start();
    let call = gateway
        .messages(&prompt(MODEL, "prompt-canary"))
        .header("x-api-key", "gateway-key-canary-0123456789");
    let call = call.header("x-claude-code-session-id", "9a2f4c1e-0000-4000-8000-000000000001");
    assert_eq!(call.reply().text(), "Hello there!");
    let spans = collector.spans(2);
    assert_eq!(attribute(&spans[0], "gen_ai.conversation.id"), "9a2f4c1e-0000-4000-8000-000000000001");
    let exported = collector.text();
    assert!(!exported.contains("canary") && !exported.contains("Hello"), "{exported}");
}

/// Requirement: a request that is refused before its body is read has a span, with its own path, and no child.
#[test]
fn a_refused_request_is_a_span_without_a_child() {
    let (upstream, collector) = (Upstream::openai(), Collector::start());
    let gateway = traced(&upstream, &collector).env("PROXY_API_KEY", "the-key").start();
    let refused = gateway.call("POST", "/v1/chat/completions").body("{}").reply();
    assert_eq!(refused.status(), 401);
    let spans = collector.spans(1);
    assert_eq!(spans[0]["name"], "POST /v1/chat/completions");
    assert_eq!(attribute(&spans[0], "error.type"), "authentication_error");
    assert_eq!((spans.len(), upstream.count()), (1, 0));
}

/// Requirement: an export that fails for a moment is repeated; one that is refused is dropped, and counted; requests do not notice.
#[test]
fn exports_are_repeated_or_dropped_and_counted() {
    let upstream = Upstream::openai();
    let collector = Collector::answering(vec![
        Answer::json(503, "{}").header("retry-after", "0"),
        Answer::json(200, "{}"),
        Answer::json(400, r#"{"message": "no thanks"}"#),
        Answer::json(200, r#"{"partialSuccess": {"rejectedSpans": "1"}}"#),
    ]);
    let gateway = traced(&upstream, &collector).start();
    let scrape = |name: &str| {
        let text = gateway.get("/metrics").raw();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("vdm_otlp_spans_total{{result=\"{name}\"}} ")));
        line.map_or(0, |number| number.parse::<u64>().expect("a number"))
    };
    let await_counts = |exported: u64, dropped: u64| {
        collector::wait(&format!("{exported} exported, {dropped} dropped"), || {
            (scrape("exported"), scrape("dropped")) == (exported, dropped)
        });
    };
    assert_eq!(gateway.ask("one").status(), 200);
    await_counts(2, 0);
    assert_eq!(collector.exports().len(), 2);
    assert_eq!(gateway.ask("two").status(), 200);
    await_counts(2, 2);
    gateway.run.await_log("telemetry cannot be exported to");
    assert_eq!(gateway.ask("three").status(), 200);
    await_counts(3, 3);
    gateway.run.await_log("telemetry is exported again");
}

/// Requirement: what has ended is exported when the gateway stops, and a collector that does not answer delays the stop only for a
/// bounded time.
#[test]
fn the_last_spans_are_exported_at_the_end() {
    let (upstream, collector) = (Upstream::openai(), Collector::start());
    let gateway = traced(&upstream, &collector).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    gateway.stop();
    assert_eq!(collector.received().len(), 2);

    let silent = Collector::answering(vec![Answer::silence()]);
    let gateway = traced(&upstream, &silent).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let log = gateway.stop();
    assert!(log.contains("the last telemetry could not be exported in time"), "{log}");
}

/// Requirement: the headers of exports are sent, and are secrets; protocols that vdm does not speak are a warning.
#[test]
fn headers_are_sent_and_never_logged() {
    let (upstream, collector) = (Upstream::openai(), Collector::start());
    let gateway = traced(&upstream, &collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector-canary-0123456789,x-team=a")
        .env("LOG_LEVEL", "DEBUG")
        .start();
    assert_eq!(gateway.ask("hi").status(), 200);
    collector.spans(2);
    let export = collector.exports().remove(0);
    assert_eq!(export.target(), "/v1/traces");
    assert_eq!(export.head.header("authorization"), Some("Bearer collector-canary-0123456789"));
    assert_eq!(
        (export.head.header("x-team"), export.head.header("content-type")),
        (Some("a"), Some("application/json"))
    );
    let log = gateway.stop();
    assert!(log.contains("exporting traces to") && !log.contains("canary"), "{log}");

    let gateway = traced(&upstream, &collector).env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").start();
    gateway
        .run
        .await_log("environment variable OTEL_EXPORTER_OTLP_PROTOCOL: vdm sends OTLP as http/json only");
    assert_eq!(gateway.ask("hi").status(), 200);
}

/// Requirement: metrics are exported at their interval with the current names, and with the old ones on request.
#[test]
fn metrics_are_exported_with_current_and_old_names() {
    let current = ["gen_ai.client.inference.duration", "gen_ai.client.inference.usage.output_tokens"];
    let old = ["gen_ai.client.operation.duration", "gen_ai.client.token.usage"];
    for (words, has_current, has_old) in
        [("", true, false), ("gen_ai/dup", true, true), ("http,gen_ai/old", false, true)]
    {
        let (upstream, collector) = (Upstream::anthropic(), Collector::start());
        let gateway = Gateway::before(&upstream)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url("/"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
            .env("OTEL_SEMCONV_STABILITY_OPT_IN", words)
            .start();
        assert_eq!(gateway.ask("hi").status(), 200);
        collector::wait("metrics", || !collector.exports().is_empty());
        let export = collector.exports().remove(0);
        assert_eq!(export.target(), "/v1/metrics");
        let metrics = collector::metrics(&export.json());
        for (names, is_there) in [(current, has_current), (old, has_old)] {
            for name in names {
                assert_eq!(metrics.contains_key(name), is_there, "{words}: {name} in {:?}", metrics.keys());
            }
        }
        let duration = if has_current { current[0] } else { old[0] };
        let point = &metrics[duration]["histogram"]["dataPoints"][0];
        assert_eq!(
            (point["count"].as_str(), attribute(point, "gen_ai.operation.name")),
            (Some("1"), json!("chat"))
        );
        if has_current {
            let tokens = &metrics[current[1]]["sum"]["dataPoints"][0];
            assert_eq!(
                (tokens["asInt"].as_str(), attribute(tokens, "gen_ai.provider.name")),
                (Some("9"), json!("anthropic"))
            );
        }
        assert_eq!(upstream.dialect(), Dialect::Anthropic);
    }
}
