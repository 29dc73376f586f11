//! Anthropic on both sides: what goes through untouched, and the little that does not (design §3).

use serde_json::{Value, json};

use crate::support::canned::anthropic;
use crate::support::client::{Call, prompt};
use crate::support::gateway::Gateway;
use crate::support::reply::{Event, Reply};
use crate::support::upstream::{Answer, Ending, Piece, Seen, Upstream};

/// Odd on purpose: spaces, escapes, duplicate and unknown keys, big and exact numbers, `model` in other places.
const ODD: &str = concat!(
    "{ \"stream\" :true,\n\t\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",",
    "\"text\":\"\\u0048i \\ud83d\\ude00 é \\/ \\\"model\\\": \\\"x\\\"\",\"cache_control\":{\"type\":\"ephemeral\",",
    "\"ttl\":\"1h\"}}]},{\"role\":\"system\",\"content\":\"mid\"}],  \"model\" : \"MODEL\" ,",
    "\"metadata\":{\"model\":\"inner\",\"n\":12345678901234567890123,\"f\":1.0,\"e\":1E+2},",
    "\"max_tokens\":1e3,\"unknown_field\":[{\"model\":\"in a list\"}],\"thinking\":{\"type\":\"adaptive\"},",
    "\"context_management\":{\"edits\":[]},\"service_tier\":\"auto\"}\n"
);

fn odd(model: &str) -> String {
    ODD.replace("MODEL", model)
}

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Call {
    gateway.call("POST", "/v1/messages").header("content-type", "application/json").body(body)
}

fn ask_before(answer: Answer) -> (Upstream, Reply) {
    let upstream = Upstream::anthropic().always(answer);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.ask("hello");
    (upstream, reply)
}

#[test]
fn the_body_arrives_byte_for_byte() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("claude-sonnet-4-5-20250929");
    assert_eq!(post(&gateway, body.clone()).reply().status(), 200);
    assert_eq!(upstream.only_request().text(), body);
}

#[test]
fn of_a_prefixed_model_only_the_value_changes() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("anthropic:some\\u002dmodel")).reply();
    assert_eq!(upstream.only_request().text(), odd("some-model"));
}

#[test]
fn the_last_of_two_models_is_the_one_that_counts_and_both_are_replaced() {
    // A JSON reader takes the last of duplicate keys; an upstream that takes the first must not see another model.
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body =
        "{\"model\":\"anthropic:first\",\"model\":\"anthropic:last\",\"max_tokens\":9,\"messages\":[]}";
    let status = post(&gateway, body).reply().status();
    if status == 400 {
        assert_eq!(upstream.count(), 0);
        return;
    }
    let sent = upstream.only_request();
    assert_eq!(sent.json()["model"], "last");
    assert!(!sent.text().contains("anthropic:"), "{}", sent.text());
}

#[test]
fn the_1m_marker_of_the_client_is_stripped() {
    for marked in ["claude-sonnet-4-5[1m]", "claude-sonnet-4-5[1M]", "anthropic:claude-sonnet-4-5[1m]"] {
        let upstream = Upstream::anthropic();
        let gateway = Gateway::before(&upstream).start();
        post(&gateway, odd(marked)).reply();
        assert_eq!(upstream.only_request().text(), odd("claude-sonnet-4-5"), "{marked}");
    }
}

#[test]
fn a_body_larger_than_any_buffer_arrives_whole() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("m").replace("mid", &"é".repeat(700_000));
    post(&gateway, body.clone()).reply();
    assert!(upstream.only_request().text() == body, "the body differs");
}

#[test]
fn a_chunked_request_body_is_read_and_sent_with_a_length() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("m");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let call = gateway.call("POST", "/v1/messages").header("transfer-encoding", "chunked").body(chunked);
    assert_eq!(call.reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.text(), body);
    assert_eq!(seen.head.header("content-length"), Some(body.len().to_string().as_str()));
}

#[test]
fn what_the_client_says_about_itself_is_forwarded() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let forwarded = [
        ("anthropic-version", "2099-01-01"),
        ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-from-the-future", "yes"),
        ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
        ("x-app", "cli"),
        ("accept", "application/json"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-timeout", "600"),
        ("x-claude-code-session-id", "6f0c"),
        ("idempotency-key", "once"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-of-the-user", "kept"),
    ];
    let mut call = post(&gateway, odd("m"));
    for (name, value) in forwarded {
        call = call.header(name, value);
    }
    call.reply();
    let head = upstream.only_request().head;
    for (name, value) in forwarded {
        assert_eq!(head.header(name), Some(value), "{name}");
        assert_eq!(head.count(name), 1, "{name}");
    }
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[test]
fn repeated_headers_stay_repeated() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("m")).header("anthropic-beta", "one").header("anthropic-beta", "two").reply();
    let head = upstream.only_request().head;
    let values: Vec<&str> = head
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("anthropic-beta"))
        .map(|(_, v)| v.as_str())
        .collect();
    assert!(values == ["one", "two"] || values == ["one, two"] || values == ["one,two"], "{values:?}");
}

#[test]
fn what_belongs_to_the_hop_or_to_others_is_not_forwarded() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let dropped = [
        ("cookie", "session=secret"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("proxy-connection", "keep-alive"),
        ("x-vdm-debug", "1"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("connection", "keep-alive, x-named-by-connection"),
        ("x-named-by-connection", "hop"),
    ];
    let mut call = post(&gateway, odd("m"));
    for (name, value) in dropped {
        call = call.header(name, value);
    }
    assert_eq!(call.reply().status(), 200);
    let head = upstream.only_request().head;
    for (name, value) in dropped {
        let seen = head.header(name);
        assert!(seen.is_none_or(|seen| seen != value), "{name}: {seen:?}");
    }
}

#[test]
fn an_expectation_of_100_continue_is_ours_to_meet() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = post(&gateway, odd("m")).header("expect", "100-continue").send();
    if exchange.status() == 100 {
        exchange.next_head();
    }
    assert_eq!(exchange.finish().status(), 200);
    assert_eq!(upstream.only_request().head.header("expect"), None);
}

#[test]
fn host_length_and_encoding_are_our_own() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("anthropic:m")).header("accept-encoding", "gzip, br, zstd").reply();
    let head = upstream.only_request().head;
    assert_eq!(head.header("host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(head.header("accept-encoding"), Some("identity"));
    assert_eq!(head.header("content-length"), Some(odd("m").len().to_string().as_str()));
    for single in ["host", "accept-encoding", "content-length", "x-api-key"] {
        assert_eq!(head.count(single), 1, "{single}");
    }
}

#[test]
fn every_credential_of_the_client_is_replaced_by_the_key_of_the_provider() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["configured-key"]).start();
    let call = post(&gateway, odd("m"))
        .header("x-api-key", "client-key")
        .header("authorization", "Bearer client-token")
        .header("api-key", "client-azure")
        .header("x-goog-api-key", "client-goog");
    call.reply();
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("x-api-key"), Some("configured-key"));
    assert!(!format!("{:?}", seen.head).contains("client-"), "{:?}", seen.head);
}

#[test]
fn anthropic_version_has_a_default() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("m")).reply();
    assert_eq!(upstream.only_request().head.header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn the_query_is_kept() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    gateway.call("POST", "/v1/messages?beta=true&x=%20y").body(odd("m")).reply();
    assert_eq!(upstream.only_request().target(), "/v1/messages?beta=true&x=%20y");
}

#[test]
fn a_base_url_with_a_path_keeps_it() {
    let upstream = Upstream::anthropic();
    let url = format!("{}/api/anthropic/", upstream.base_url());
    let gateway = Gateway::before(&upstream).env("ANTHROPIC_BASE_URL", url).start();
    assert_eq!(post(&gateway, odd("m")).reply().status(), 200);
    assert_eq!(upstream.only_request().target(), "/api/anthropic/v1/messages");
}

#[test]
fn custom_headers_of_the_provider_win_over_the_clients() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("ANTHROPIC_CUSTOM_HEADER_X_TEAM", "ours").start();
    post(&gateway, odd("m")).header("x-team", "theirs").reply();
    let head = upstream.only_request().head;
    assert_eq!((head.header("x-team"), head.count("x-team")), (Some("ours"), 1));
}

#[test]
fn a_streamed_reply_is_byte_identical() {
    let streams = [anthropic::text(&["Hé", "llo\u{1F600}"]), anthropic::thinking_and_tool(), odd_stream()];
    for events in streams {
        let (_, reply) = ask_before(Answer::events(events.clone()));
        assert_eq!(reply.raw(), String::from_utf8(events.concat()).unwrap());
        assert!(reply.complete && reply.is_stream());
    }
}

/// Framing that nobody has to use and everybody has to keep: comments, CRLF, spaces, fields and events unknown.
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
fn a_streamed_reply_is_byte_identical_however_it_is_cut_into_segments() {
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
    let (_, reply) = ask_before(Answer::json(200, body.clone()));
    assert_eq!(reply.raw(), body);
    assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn what_the_upstream_says_about_itself_reaches_the_client() {
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
fn hop_by_hop_headers_and_cookies_of_the_upstream_stay_there() {
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
fn error_bodies_that_are_not_anthropics_are_replaced_and_the_status_kept() {
    let bodies = [
        ("text/html", "<html><head><title>502 Bad Gateway</title></head><body>nginx internals</body></html>"),
        ("text/plain", "upstream connect error internals"),
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
fn a_stream_cut_inside_an_event_loses_that_event_and_says_so() {
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
fn a_stream_that_ends_between_events_but_before_message_stop_says_so() {
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
fn an_error_event_of_the_upstream_is_passed_on_and_nothing_is_added() {
    let mut events = anthropic::text(&["first"])[..4].to_vec();
    events.push(anthropic::event(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}),
    ));
    let (_, reply) = ask_before(Answer::events(events.clone()));
    assert_eq!(reply.raw(), String::from_utf8(events.concat()).unwrap());
    assert_eq!(reply.error_type(), "overloaded_error");
}

#[test]
fn a_reply_that_is_encoded_anyway_goes_through_as_it_is() {
    let encoded = b"\x1f\x8b\x08\x00not really gzip but nobody here may look\x00\xff".to_vec();
    let answer = Answer::whole(200, "text/event-stream", encoded.clone()).header("content-encoding", "gzip");
    let (_, reply) = ask_before(answer);
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.body, encoded);
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
fn a_whole_reply_that_breaks_off_is_a_502_and_not_half_a_message() {
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
fn odd_framing_of_a_whole_reply_is_understood() {
    let body = anthropic::whole("Hello there!");
    let early = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    for answer in [Answer::json(200, body.clone()).until_close(), Answer::bare(early)] {
        let upstream = Upstream::anthropic().always(answer);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        assert_eq!(gateway.ask_whole("hello").raw(), body);
    }
}

fn history(blocks: &[Value]) -> String {
    json!({"model": "m", "max_tokens": 64, "stream": true, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": "go on"}]})
    .to_string()
}

#[test]
fn thinking_that_we_minted_is_removed_and_real_thinking_stays() {
    let ours = json!({"type": "thinking", "thinking": "made up", "signature": "vdm1.b3BlbmFp.Z3B0"});
    let real = json!({"type": "thinking", "thinking": "real", "signature": "EqQBCgIYAhIMvdm1."});
    let text = json!({"type": "text", "text": "the word \"vdm1.\" in a text"});
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, history(&[ours.clone(), real.clone(), text.clone()])).reply();
    post(&gateway, history(&[real.clone(), ours.clone(), text.clone(), ours])).reply();
    let expected = history(&[real, text]);
    let sent: Vec<String> = upstream.requests().iter().map(Seen::text).collect();
    assert_eq!(sent, [expected.clone(), expected]);
}

#[test]
fn a_body_without_the_marker_in_a_signature_is_untouched() {
    let blocks = [
        json!({"type": "text", "text": "{\"signature\":\"vdm1.x\"}"}),
        json!({"type": "tool_use", "id": "t", "name": "n", "input": {"signature": "vdm1.x", "type": "thinking"}}),
    ];
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, history(&blocks)).reply();
    assert_eq!(upstream.only_request().text(), history(&blocks));
}

#[test]
fn a_second_answer_reuses_the_connection() {
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
fn an_unsolicited_event_between_ours_never_splits_one() {
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
    // Two pings of ours while the upstream is silent in the middle of its event.
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
