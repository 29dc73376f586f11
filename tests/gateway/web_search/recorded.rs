//! What the record of a request says about its searches: calls, tokens and the number of searches.

use super::*;
use crate::support::await_that;
use crate::support::canned::anthropic;

/// The last finished request.
fn trace(gateway: &Gateway) -> Value {
    let mut found = Value::Null;
    await_that("the request is recorded", || {
        found = gateway.get("/metrics/logs").json()["traces"][0].clone();
        !found.is_null()
    });
    found
}

fn outcomes(trace: &Value) -> Vec<(u64, String)> {
    let calls = trace["calls"].as_array().unwrap_or_else(|| panic!("{trace}"));
    let outcome = |call: &Value| {
        (call["status"].as_u64().unwrap_or_default(), call["outcome"].as_str().unwrap_or("-").to_owned())
    };
    calls.iter().map(outcome).collect()
}

/// A whole reply that calls the tool.
fn whole_search() -> Answer {
    let call = json!({"id": "c", "type": "function", "function": {"name": "web_search", "arguments": "{\"query\":\"x\"}"}});
    whole(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
}

fn answered(status: u64) -> (u64, String) {
    (status, "answered".to_owned())
}

/// Requirement: the record has the calls of every round with their outcome, and the number of searches, streamed and whole.
#[test]
fn the_calls_of_every_round_are_recorded() {
    for stream in [true, false] {
        let upstream = Upstream::openai();
        let upstream = if stream {
            let rounds = [searching(&["x"]), searching(&["y", "z"]), saying("So.")];
            rounds.map(Answer::events).into_iter().fold(upstream, Upstream::answering)
        } else {
            let last = whole(&json!({"role": "assistant", "content": "So."}), "stop");
            upstream.answering(whole_search()).answering(whole_search()).answering(last)
        };
        let service = service(brave(&["https://a.example/"]));
        let gateway = gateway(&upstream, &service);
        let reply = gateway.messages(&request(&stream.into())).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        let trace = trace(&gateway);
        assert_eq!(outcomes(&trace), vec![answered(200); 3], "{trace}");
        assert_eq!(trace["output_tokens"], 60, "{trace}");
        let searches = if stream { 3 } else { 2 };
        assert_eq!(trace["web_searches"], searches, "{trace}");
        let line = gateway.run.await_log("calls=3");
        assert!(line.contains(&format!("searches={searches}")), "{line}");
        let metrics = gateway.get("/metrics");
        let sample = format!("vdm_web_searches_total{{service=\"brave\"}} {searches}");
        assert!(metrics.raw().contains(&sample), "{metrics}");
    }
}

/// Requirement: a later round that is retried and then refused is recorded with each of its calls; the tokens of the rounds before
/// are kept, whether the reply is streamed or whole.
#[test]
fn a_later_round_that_fails_keeps_calls_and_tokens() {
    for stream in [true, false] {
        let first = if stream { Answer::events(searching(&["x"])) } else { whole_search() };
        let upstream = Upstream::openai()
            .answering(first)
            .answering(Answer::json(503, r#"{"error":{"message":"busy"}}"#))
            .answering(Answer::json(400, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#));
        let service = service(brave(&["https://a.example/"]));
        let gateway = Gateway::before(&upstream)
            .env("MAX_RETRIES", "1")
            .env("BRAVE_API_KEY", KEY)
            .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
            .toml("[web-search]\nby = ['brave']")
            .start();
        let reply = gateway.messages(&request(&stream.into())).reply();
        let trace = trace(&gateway);
        let calls = outcomes(&trace);
        let statuses: Vec<_> = calls.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [200, 503, 400], "{reply}{trace}");
        assert_eq!(calls[0], answered(200), "{trace}");
        assert!(
            calls[1..].iter().all(|(_, outcome)| !matches!(&**outcome, "answered" | "cancelled")),
            "{trace}"
        );
        assert_eq!(
            (&trace["input_tokens"], &trace["cache_read_tokens"], &trace["output_tokens"]),
            (&json!(60), &json!(40), &json!(20)),
            "{trace}"
        );
        assert_eq!((&trace["status"], &trace["web_searches"]), (&json!("error"), &json!(1)), "{trace}");
        gateway.run.await_log("calls=3");
    }
}

/// Requirement: a client that leaves while a whole reply is made has cost the tokens of the rounds before.
#[test]
fn a_client_that_leaves_a_whole_reply_has_cost_its_rounds() {
    let upstream = Upstream::openai().always(whole_search());
    let service = service(Answer::silence());
    let gateway = gateway(&upstream, &service);
    let call = gateway.messages(&request(&false.into())).send();
    service.request(0);
    call.hang_up();
    service.closed(0);
    gateway.run.await_log("tokens=60+40+0/20");
    let trace = trace(&gateway);
    assert_eq!(outcomes(&trace), [answered(200)], "{trace}");
}

/// Requirement: the searches that a provider runs itself are recorded as it reports them, passed through and translated, in the
/// history, too; the gateway's counter has none of them.
#[test]
fn the_searches_of_a_provider_are_recorded() {
    let usage = json!({"input_tokens": 5, "output_tokens": 6, "server_tool_use": {"web_search_requests": 3}});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "So."}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
    let ending = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage});
    let mut events = anthropic::text(&["So."]);
    let at = events.len() - 2;
    events[at] = format!("event: message_delta\ndata: {ending}\n\n").into_bytes();
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]});
    for (path, stream) in [
        ("/v1/messages", true),
        ("/v1/messages", false),
        ("/v1/chat/completions", true),
        ("/v1/chat/completions", false),
    ] {
        let answer =
            if stream { Answer::events(events.clone()) } else { Answer::json(200, message.to_string()) };
        let upstream = Upstream::anthropic().always(answer);
        let gateway = Gateway::before(&upstream).start();
        let mut body = body.clone();
        body["stream"] = stream.into();
        let reply = gateway.call("POST", path).json(&body).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        assert_eq!(trace(&gateway)["web_searches"], 3, "{path} {stream}");
        assert!(!gateway.get("/metrics").raw().contains("vdm_web_searches_total{"));
        let mut row = Value::Null;
        await_that("the history has the request", || {
            row = gateway.get("/api/ui/requests").json()["requests"][0].clone();
            !row.is_null()
        });
        assert_eq!(row["web_searches"], 3, "{row}");
    }
}

/// Requirement: the searches that a vendor of Chat Completions reports are recorded, whatever the client's API; without searches the
/// record has no such member.
#[test]
fn the_searches_of_a_chat_vendor_are_recorded() {
    let mut body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "server_tool_use": {"web_search_requests": 2}}});
    for searches in [json!(2), Value::Null] {
        body["usage"]["server_tool_use"]["web_search_requests"] = searches.clone();
        for path in ["/v1/messages", "/v1/chat/completions"] {
            let upstream = Upstream::openai().always(Answer::json(200, body.to_string()));
            let gateway = Gateway::before(&upstream).start();
            let asked =
                json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]});
            assert_eq!(gateway.call("POST", path).json(&asked).reply().status(), 200);
            assert_eq!(trace(&gateway)["web_searches"], searches, "{path}");
        }
    }
}
