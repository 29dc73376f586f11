//! The replies that clients receive: the upstream's bytes, or an error with the true reason.

use serde_json::json;

use super::ask_before;
use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Event;
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

/// Requirement: SSE bytes to the client equal the upstream's; official SDK yields all events.
/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
#[test]
fn a_streamed_reply_is_byte_identical() {
    let streams = [anthropic::text(&["Hé", "llo\u{1F600}"]), anthropic::thinking_and_tool(), odd_stream()];
    for events in streams {
        let (_, reply) = ask_before(Answer::events(events.clone()));
        assert_eq!(reply.raw(), String::from_utf8(events.concat()).unwrap());
        assert!(reply.complete && reply.is_stream());
    }
}

/// Rare but valid framing, which must be preserved: comments, CRLF, spaces, unknown fields and events.
fn odd_stream() -> Vec<Vec<u8>> {
    vec![
        b": a comment\n\n".to_vec(),
        b"event:message_start\r\ndata:{ \"type\" : \"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\r\n\r\n"
            .to_vec(),
        b"id: 7\nretry: 10\nevent: from_the_future\ndata: {\ndata: }\n\n".to_vec(),
        b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_vec(),
    ]
}

#[test]
fn a_streamed_reply_is_byte_identical_wherever_its_bytes_are_split() {
    let answer = Answer::events(anthropic::text(&["Hé\u{1F600}"]));
    let (_, reply) = ask_before(answer.clone().byte_by_byte());
    assert_eq!(reply.body, answer.body());
}

#[test]
fn an_event_is_delivered_as_soon_as_it_is_complete() {
    let events = anthropic::text(&["a", "b"]);
    let pieces = events.iter().flat_map(|event| [Piece::Bytes(event.clone()), Piece::Permit]).collect();
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = gateway.messages(&prompt("m", "hello")).open();
    for event in &events {
        assert_eq!(exchange.event().expect("an event").raw.as_bytes(), event.as_slice());
        upstream.permit();
    }
    assert!(exchange.finish().complete);
}

#[test]
fn a_whole_reply_is_byte_identical() {
    let body = anthropic::whole("Hé \"quoted\"");
    let upstream = Upstream::anthropic().always(Answer::json(200, body.clone()));
    let reply = Gateway::before(&upstream).start().messages(&whole_prompt(MODEL, "hello")).reply();
    assert_eq!(reply.raw(), body);
    assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn a_whole_message_instead_of_a_stream_becomes_a_stream() {
    let body = json!({"id": "msg_01Upstream", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "text", "text": "Hé \"quoted\""}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 11, "output_tokens": 9, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}});
    let upstream = Upstream::anthropic().always(Answer::json(200, body.to_string()));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.messages(&prompt(MODEL, "hello")).reply();
    assert!(reply.is_stream() && reply.complete, "{reply}");
    assert_eq!(
        (reply.header("cache-control"), reply.header("x-accel-buffering")),
        (Some("no-cache"), Some("no"))
    );
    assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("Hé \"quoted\"", "end_turn"));
    // A client that requested no stream receives the upstream's bytes.
    let whole = gateway.messages(&whole_prompt(MODEL, "hello")).reply();
    assert_eq!(whole.raw(), body.to_string());
    let totals = gateway.get("/metrics/running-totals").raw();
    assert!(totals.contains("total_output_tokens: 18"), "{totals}");
}

#[test]
fn a_stream_instead_of_a_whole_message_is_collected() {
    for answer in [
        Answer::events(anthropic::thinking_and_tool()),
        Answer::events(anthropic::thinking_and_tool()).byte_by_byte(),
    ] {
        let upstream = Upstream::anthropic().always(answer);
        let reply = Gateway::before(&upstream).start().messages(&whole_prompt(MODEL, "hello")).reply();
        assert_eq!(
            (reply.status(), reply.header("content-type")),
            (200, Some("application/json")),
            "{reply}"
        );
        let message = reply.json();
        assert_eq!(
            message["content"][0],
            json!({"type": "thinking", "thinking": "Where is it?", "signature": "EqQBCgIYAhIM"})
        );
        assert_eq!(message["content"][1]["input"], json!({"city": "Genève"}));
        assert_eq!(
            (&message["stop_reason"], &message["usage"]["output_tokens"], &message["usage"]["input_tokens"]),
            (&json!("tool_use"), &json!(9), &json!(11))
        );
    }
    let cut = anthropic::text(&["Hello"])[..4].to_vec();
    let upstream = Upstream::anthropic().always(Answer::events(cut));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    assert_eq!(gateway.messages(&whole_prompt(MODEL, "hello")).reply().status(), 502);
}

/// Requirement: Upstream error status, body and `retry-after`, `request-id` reach the client unchanged.
#[test]
fn headers_about_the_upstream_reach_the_client() {
    let passed = [
        ("request-id", "req_011CUpstream"),
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-organization-id", "org-1"),
        ("x-should-retry", "false"),
    ];
    let with = |mut answer: Answer| {
        for (name, value) in passed {
            answer = answer.header(name, value);
        }
        answer
    };
    let answers = [
        with(Answer::events(anthropic::text(&["a"]))),
        with(Answer::json(200, anthropic::whole("a"))),
        with(Answer::json(400, anthropic::error("invalid_request_error", "no"))),
    ];
    for answer in answers {
        let (_, reply) = ask_before(answer);
        for (name, value) in passed {
            assert_eq!(reply.header(name), Some(value), "{reply}");
            assert_eq!(reply.head.count(name), 1, "{reply}");
        }
    }
}

#[test]
fn hop_by_hop_headers_and_cookies_of_the_upstream_are_not_forwarded() {
    let answer = Answer::events(anthropic::text(&["a"]))
        .header("set-cookie", "track=1")
        .header("keep-alive", "timeout=1")
        .header("x-named-by-connection", "hop")
        .header("connection", "x-named-by-connection")
        .header("proxy-authenticate", "Basic");
    let (_, reply) = ask_before(answer);
    for name in ["set-cookie", "keep-alive", "x-named-by-connection", "proxy-authenticate"] {
        assert_eq!(reply.header(name), None, "{reply}");
    }
    assert_eq!(reply.text(), "a");
}

/// Requirement: Upstream error status, body and `retry-after`, `request-id` reach the client unchanged.
#[test]
fn error_bodies_are_byte_exact_with_their_status() {
    let errors = [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
        (402, "billing_error", "credit"),
        (404, "not_found_error", "model: m"),
        (409, "invalid_request_error", "conflict"),
        (413, "request_too_large", "too large"),
        (422, "invalid_request_error", "unprocessable"),
        (500, "api_error", "internal"),
        (503, "api_error", "unavailable"),
        (529, "overloaded_error", "Overloaded"),
    ];
    for (status, kind, message) in errors {
        let body = anthropic::error(kind, message);
        let (_, reply) = ask_before(Answer::json(status, body.clone()));
        assert_eq!((reply.status(), reply.raw()), (status, body));
        assert!(!reply.is_stream());
    }
}

#[test]
fn error_bodies_that_are_not_anthropics_are_replaced_and_keep_their_status() {
    let bodies = [
        ("text/html", "<html><head><title>502 Bad Gateway</title></head><body>nginx internals</body></html>"),
        ("text/plain", "upstream connect error"),
        ("application/json", ""),
        ("application/json", "{\"error\":"),
    ];
    for (content_type, body) in bodies {
        let (_, reply) = ask_before(Answer::whole(502, content_type, body));
        assert_eq!(reply.status(), 502, "{reply}");
        assert_eq!(reply.error_type(), "api_error", "{reply}");
        assert!(!reply.raw().contains("internals") && !reply.raw().contains("<html"), "{reply}");
    }
}

#[test]
fn an_error_that_quotes_a_configured_key_is_not_forwarded() {
    let body = anthropic::error("invalid_request_error", "bad key sk-quoted-canary");
    let upstream = Upstream::anthropic().always(Answer::json(400, body));
    let gateway = Gateway::before(&upstream).keys(["sk-quoted-canary"]).start();
    let reply = gateway.ask("hello");
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.error_type(), "invalid_request_error");
    assert!(!reply.raw().contains("sk-quoted-canary"), "{reply}");
}

#[test]
fn a_stream_truncated_inside_an_event_omits_that_event_and_ends_with_an_error() {
    let events = anthropic::text(&["first", "second"]);
    let complete = events[..4].concat();
    for ending in [Ending::Cut, Ending::Reset] {
        let answer = Answer::events(events.clone()).broken_after(complete.len() + 30, ending);
        let upstream = Upstream::anthropic().always(answer.clone());
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.ask("hello");
        if ending == Ending::Cut {
            assert!(reply.raw().starts_with(&String::from_utf8_lossy(&complete).into_owned()), "{reply}");
        }
        assert_eq!(reply.error_type(), "api_error");
        assert!(!reply.raw().contains("second"), "{reply}");
    }
}

#[test]
fn a_stream_that_ends_before_message_stop_ends_with_an_error() {
    let events = anthropic::text(&["first"]);
    for kept in 1..events.len() {
        let (_, reply) = ask_before(Answer::events(events[..kept].to_vec()));
        assert!(
            reply.raw().starts_with(&String::from_utf8_lossy(&events[..kept].concat()).into_owned()),
            "{reply}"
        );
        assert_eq!(reply.error_type(), "api_error", "{kept}: {reply}");
    }
}

#[test]
fn an_error_event_of_the_upstream_is_forwarded_and_nothing_is_added() {
    let mut events = anthropic::text(&["first"])[..4].to_vec();
    events.push(anthropic::event(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}),
    ));
    let (_, reply) = ask_before(Answer::events(events.clone()));
    assert_eq!(reply.raw(), String::from_utf8(events.concat()).unwrap());
    assert_eq!(reply.error_type(), "overloaded_error");
}

#[test]
fn a_200_that_is_neither_events_nor_json_is_a_502() {
    let pages = [
        Answer::whole(200, "text/html", "<html><title>Please log in</title>internals</html>"),
        Answer::whole(200, "application/json", "{\"id\": \"msg_1\", internals"),
        Answer::json(200, ""),
    ];
    for page in pages {
        let (_, reply) = ask_before(page);
        assert_eq!(reply.status(), 502, "{reply}");
        assert_eq!(reply.error_type(), "api_error");
        assert!(!reply.raw().contains("internals"), "{reply}");
    }
}

#[test]
fn a_truncated_whole_reply_is_a_502_and_not_half_a_message() {
    let body = anthropic::whole("Hello");
    let broken = [
        Answer::json(200, body.clone()).broken_after(40, Ending::Cut),
        Answer::json(200, body.clone()).broken_after(40, Ending::Reset),
        Answer::json(200, body[..40].to_owned()).until_close(),
    ];
    for answer in broken {
        let upstream = Upstream::anthropic().always(answer);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.ask_whole("hello");
        assert_eq!(reply.status(), 502, "{reply}");
        assert_eq!(reply.error_type(), "api_error");
    }
}

#[test]
fn text_that_only_looks_like_an_error_does_not_end_a_stream() {
    // Without name and type, clients do not recognise the error and the stream seems to end silently.
    let (_, reply) = ask_before(Answer::events(vec![b"data: {\"error\":{\"message\":\"x\"}}\n\n".to_vec()]));
    let events = reply.all_events();
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("error"), "{reply}");
}

#[test]
fn a_second_request_reuses_the_connection() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = 4 * workers + 1;
    for _ in 0..asked {
        assert_eq!(gateway.ask("hello").text(), "Hello there!");
    }
    assert!(upstream.connections() < asked, "{} connections for {asked} requests", upstream.connections());
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Upstream::anthropic();
    let location = format!("{}/v1/messages", elsewhere.base_url());
    for status in [301, 307, 308] {
        let (_, reply) =
            ask_before(Answer::whole(status, "text/html", "moved").header("location", &location));
        assert_ne!(reply.status(), 200, "{reply}");
        assert_eq!(reply.header("location"), None, "{reply}");
        assert_eq!(reply.error_type(), "api_error");
    }
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn a_ping_of_the_gateway_never_splits_an_event() {
    let events = anthropic::text(&["first", "second"]);
    let half = events[3].len() / 2;
    let (front, back) = events[3].split_at(half);
    let mut pieces: Vec<Piece> = events[..3].iter().cloned().map(Piece::Bytes).collect();
    pieces.extend([Piece::Bytes(front.to_vec()), Piece::Permit, Piece::Bytes(back.to_vec())]);
    pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let gateway = Gateway::before(&upstream).limit("ping-interval", 0.3).start();
    let mut exchange = gateway.messages(&prompt("m", "hello")).open();
    let mut seen: Vec<Event> = (0..3).map(|_| exchange.event().expect("the complete ones")).collect();
    // Two pings of the gateway while the upstream is silent within its event.
    for _ in 0..2 {
        assert_eq!(exchange.event().expect("a ping").name, "ping");
    }
    upstream.permit();
    while let Some(event) = exchange.event() {
        if event.name != "ping" {
            seen.push(event);
        }
    }
    let seen: String = seen.iter().map(|event| event.raw.clone()).collect();
    assert_eq!(seen.as_bytes(), events.concat());
}
