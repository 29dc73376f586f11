//! Services and upstreams that fail during a web search.

use std::time::Duration;

use super::*;
use crate::support::upstream::{Ending, Piece};

fn error_of(answer: Answer, lines: &str) -> (Value, Reply) {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["secret query"])))
        .answering(Answer::events(saying("It failed.")));
    let service = service(answer);
    let gateway = start(&upstream, &service, lines);
    let reply = gateway.messages(&request(&true.into())).reply();
    let blocks = blocks(&reply);
    assert_eq!(kinds(&blocks), ["server_tool_use", "web_search_tool_result", "text"], "{reply}");
    let log = gateway.run.await_log("web search by brave failed");
    assert!(!log.contains("secret query"), "{log}");
    (blocks[1]["content"].clone(), reply)
}

/// Requirement: what a service does wrong is an error block with the API's code, the request goes on, and the query is not logged.
#[test]
fn a_failing_service_is_an_error_block() {
    let huge = json!({"type": "search", "web": {"results": [], "filler": "x".repeat(3 << 20)}}).to_string();
    for (answer, lines, code) in [
        (Answer::json(500, "{}"), "", "unavailable"),
        (Answer::json(401, "{}"), "", "unavailable"),
        (Answer::json(429, "{}"), "", "too_many_requests"),
        (Answer::json(422, "{}"), "", "invalid_input"),
        (Answer::json(200, "<html>"), "", "unavailable"),
        (Answer::json(200, huge), "", "unavailable"),
        (Answer::hang_up(), "", "unavailable"),
        (Answer::silence(), "timeout = 0.3", "unavailable"),
    ] {
        let (content, reply) = error_of(answer, lines);
        let expected = json!({"type": "web_search_tool_result_error", "error_code": code});
        assert_eq!(content, expected, "{reply}");
        let ending = reply.events().into_iter().find(|event| event.name == "message_delta").unwrap().data;
        assert_eq!(ending["usage"]["server_tool_use"]["web_search_requests"], 0);
    }
}

/// Requirement: an upstream that breaks off in any round ends the stream with an error.
#[test]
fn a_reply_that_is_cut_ends_with_an_error() {
    let cut = |mut events: Vec<Vec<u8>>| {
        events.truncate(events.len() - 3);
        Answer::events(events).ending(Ending::Cut)
    };
    for rounds in [
        vec![cut(searching(&["x"]))],
        vec![Answer::events(searching(&["x"])), cut(saying("So it"))],
        vec![Answer::events(searching(&["x"])), Answer::json(400, r#"{"error":{"message":"no"}}"#)],
    ] {
        let upstream = rounds.into_iter().fold(Upstream::openai(), Upstream::answering);
        let service = service(brave(&["https://a.example/"]));
        let gateway = gateway(&upstream, &service);
        let reply = gateway.messages(&request(&true.into())).reply();
        let last = reply.all_events().pop().unwrap();
        assert_eq!(last.name, "error", "{reply}");
        assert!(!reply.raw().contains("message_stop"), "{reply}");
    }
}

/// Requirement: a failure of a later round has its status in a whole reply.
#[test]
fn a_whole_reply_that_fails_later_has_the_status() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "web_search", "arguments": "{\"query\":\"x\"}"}});
    let first = whole(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls");
    let refusal = Answer::json(400, r#"{"error":{"message":"too strange","type":"invalid_request_error"}}"#);
    let upstream = Upstream::openai().answering(first).answering(refusal);
    let service = service(brave(&["https://a.example/"]));
    let gateway = gateway(&upstream, &service);
    let reply = gateway.messages(&request(&false.into())).reply();
    assert_eq!(reply.status(), 400, "{reply}");
    assert!(reply.raw().contains("too strange"), "{reply}");
}

/// Requirement: while a search takes long, the client gets pings.
#[test]
fn pings_are_sent_during_a_search() {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["x"])))
        .answering(Answer::events(saying("So.")));
    let slow = Answer::pieces(vec![
        Piece::Pause(Duration::from_millis(900)),
        Piece::Bytes(b"{\"type\":\"search\"}".to_vec()),
    ]);
    let service = service(slow);
    let gateway = Gateway::before(&upstream)
        .env("BRAVE_API_KEY", KEY)
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml("[web-search]\nby = ['brave']")
        .limit("ping-interval", "0.2")
        .start();
    let reply = gateway.messages(&request(&true.into())).reply();
    assert!(reply.all_events().iter().filter(|event| event.name == "ping").count() >= 2, "{reply}");
    assert_eq!(kinds(&blocks(&reply)), ["server_tool_use", "web_search_tool_result", "text"], "{reply}");
}

/// Requirement: a mistake in the configuration is one line that names the place and what to do.
#[test]
fn mistakes_in_the_configuration_are_named() {
    for (lines, expected) in [
        ("by = ['brav']", "did you mean \"brave\"?"),
        ("by = ['tavily']", "tavily has no key; set TAVILY_API_KEY"),
        ("by = ['searxng']", "searxng has no address; set searxng-base-url or SEARXNG_BASE_URL"),
        ("max-uses = 3", "max-uses"),
        (
            "by = ['provider']\nmax-results = 21",
            ":15: [web-search] max-results: expected a whole number from 1 to 20, found 21",
        ),
    ] {
        let upstream = Upstream::openai();
        let failed = Gateway::before(&upstream).toml(&format!("[web-search]\n{lines}")).run_to_end();
        assert!(!failed.status.success() && failed.output.contains(expected), "{}", failed.output);
    }
}
