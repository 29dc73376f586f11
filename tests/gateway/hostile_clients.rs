//! Clients that violate HTTP, by mistake or on purpose: no smuggling, no stalls, no crashes.

use std::io::Write as _;

use crate::support::client::{Call, Exchange, connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::{Framing, Wire};

fn raw(gateway: &Gateway, bytes: &[u8]) -> Exchange {
    let mut stream = connect(gateway.address);
    stream.write_all(bytes).expect("the gateway takes it");
    Exchange::new(stream)
}

fn asked(gateway: &Gateway) -> Call {
    gateway.messages(&prompt(MODEL, "hello"))
}

#[test]
fn a_request_with_ambiguous_length_is_refused() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = "5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let doubtful = [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 50\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 50\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
    ];
    for headers in doubtful {
        let head = format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}");
        let reply = raw(&gateway, head.as_bytes()).finish();
        assert!((400..=501).contains(&reply.status()), "{headers}: {reply}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(asked(&gateway).reply().text(), "Hello there!");
}

#[test]
fn what_is_no_http_is_a_400() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let nonsense: [&[u8]; 4] = [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ];
    for bytes in nonsense {
        let status = raw(&gateway, bytes).finish().status();
        assert!([400, 505].contains(&status), "{status} for {:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(gateway.get("/health").status(), 200);
}

#[test]
fn an_endless_head_is_refused() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let long = asked(&gateway).header("x-long", &"x".repeat(200_000)).send().finish();
    assert_eq!(long.status(), 431);
    let mut many = asked(&gateway);
    for number in 0..500 {
        many = many.header(&format!("x-{number}"), "1");
    }
    assert!([400, 431].contains(&many.send().finish().status()));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_in_broken_chunks_is_a_400() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let call =
        gateway.call("POST", "/v1/messages").header("transfer-encoding", "chunked").body("zz\r\n{}\r\n");
    let reply = call.reply();
    assert_eq!(reply.status(), 400, "{reply}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_chunked_body_over_the_limit_is_a_413_too() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).limit("request-body", 1000).start();
    let body = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    let reply =
        gateway.call("POST", "/v1/messages").header("transfer-encoding", "chunked").body(body).reply();
    assert_eq!((reply.status(), reply.error_type().as_str()), (413, "request_too_large"));
}

#[test]
fn requests_in_one_segment_are_answered_in_order() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let both = [asked(&gateway).bytes(), gateway.call("GET", "/health").bytes()].concat();
    let mut stream = connect(gateway.address);
    stream.write_all(&both).expect("the gateway takes it");
    let mut wire = Wire::new(stream);
    let bodies = [(); 2].map(|()| {
        let head = wire.head().expect("readable").expect("a reply");
        assert_eq!(head.second_word(), "200");
        String::from_utf8(wire.body(Framing::of_reply(&head)).expect("whole")).expect("text")
    });
    assert!(bodies[0].contains("message_stop") && bodies[1].contains("status: healthy"), "{bodies:?}");
}

#[test]
fn deep_nesting_causes_no_failure() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let body = format!(
            "{{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"extra\":{deep},\"messages\":\
             [{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
        );
        let status = gateway.call("POST", "/v1/messages").body(body).reply().status();
        assert!([200, 400].contains(&status), "{status}");
        assert_eq!(gateway.get("/health").status(), 200);
    }
}

#[test]
fn a_refusal_before_the_body_was_read_reaches_the_client() {
    // Like a front server that refuses by the length alone and reads the rest.
    let refusal = crate::support::canned::anthropic::error("request_too_large", "too much for me");
    let upstream = Upstream::anthropic().refusing_unread(Answer::json(413, refusal));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.ask(&"x".repeat(8 << 20));
    assert_eq!((reply.status(), reply.error_message().as_str()), (413, "too much for me"), "{reply}");
}

/// Requirement (issue 15): clients cannot fill the log with garbage: the lines of the HTTP stack have a limit, those left out are
/// counted, and lines of requests are written as before.
#[test]
fn garbage_does_not_fill_the_log() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..50 {
        for garbage in [
            &b"\x00\x01garbage\r\n\r\n"[..],
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        ] {
            let _answer = raw(&gateway, garbage).finish();
        }
    }
    assert_eq!(asked(&gateway).reply().text(), "Hello there!");
    let log = gateway.stop();
    let lines = log.lines().filter(|line| line.contains("actix")).count();
    assert!((1..=11).contains(&lines), "{lines}:\n{log}");
    assert!(log.contains("further ones are left out and counted"), "{log}");
}
