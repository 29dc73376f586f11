//! Frames that no honest client sends.

use serde_json::json;

use super::{before, create, data, events, user};
use crate::support::canned::responses;
use crate::support::upstream::{Answer, Upstream};
use crate::support::websocket::{BINARY, CONTINUATION, PING, PONG, Socket, TEXT, fragment, frame};

/// Requirement: what the protocol forbids ends the connection with the code for it, and the gateway serves on.
#[test]
fn forbidden_frames_end_the_connection_with_their_code() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).limit("request-body", "\"1KiB\"").start();
    let mut unmasked = vec![0x81, 2];
    unmasked.extend(b"{}");
    let mut compressed = frame(TEXT, b"{}");
    compressed[0] |= 0x40;
    let mut huge = vec![0x81, 0xff];
    huge.extend(u64::MAX.to_be_bytes());
    huge.extend([0; 4]);
    let mut large = vec![0x81, 0xff];
    large.extend((30_u64 << 20).to_be_bytes());
    large.extend([0; 4]);
    let mut parts = fragment(TEXT, &[b' '; 600]);
    parts.extend(frame(CONTINUATION, &[b' '; 600]));
    for (what, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("a reserved bit", compressed, 1002),
        ("a reserved kind", frame(3, b""), 1002),
        ("a continuation of nothing", frame(CONTINUATION, b"x"), 1002),
        ("a long ping", frame(PING, &[0; 126]), 1002),
        ("a ping in parts", fragment(PING, b"x"), 1002),
        ("a close of one byte", frame(8, b"x"), 1002),
        ("binary", frame(BINARY, b"{}"), 1003),
        ("not UTF-8", frame(TEXT, b"{\"type\":\"\xff\"}"), 1007),
        ("too large", frame(TEXT, &[b' '; 1025]), 1009),
        ("too large, in parts", parts, 1009),
        ("too large, announced", large, 1009),
        ("too large for any memory", huge, 1009),
    ] {
        let mut socket = Socket::open(gateway.address);
        socket.send_bytes(&bytes);
        assert_eq!(socket.close_code(), Some(code), "{what}");
        assert!(socket.is_at_end(), "{what}");
    }
    assert_eq!((gateway.get("/health").status(), upstream.count()), (200, 0));
}

/// Requirement: a message may come in fragments of any size, with control frames between them.
#[test]
fn a_message_may_come_in_pieces() {
    let reply = events("resp_1", &[responses::message("Hi")]);
    let upstream = Upstream::openai().always(Answer::events(reply.clone()));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    let text = create(&json!([user("in \u{20ac} pieces")])).to_string();
    let (mut bytes, chunks) = (Vec::new(), text.as_bytes().chunks(7).collect::<Vec<_>>());
    for (index, chunk) in chunks.iter().enumerate() {
        let kind = if index == 0 { TEXT } else { CONTINUATION };
        bytes.extend(if index + 1 == chunks.len() { frame(kind, chunk) } else { fragment(kind, chunk) });
        bytes.extend(frame(PONG, b"unasked"));
    }
    for byte in bytes {
        socket.send_bytes(&[byte]);
    }
    assert_eq!(socket.response(), data(&reply));
    assert!(upstream.only_request().text().contains("in \u{20ac} pieces"));
}

/// Requirement: a flood of pings takes no memory, and frames beyond the bound are refused.
#[test]
fn a_flood_of_frames_is_bounded() {
    let (upstream, events) = super::paused("resp_1");
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    assert_eq!(socket.text(), data(&events)[0]);
    for _ in 0..8 {
        socket.send(&json!({"type": "response.processed"}));
    }
    for _ in 0..3 {
        socket.send(&create(&json!([user("too many")])));
        let error = socket.json();
        assert_eq!((&error["status"], &error["error"]["code"]), (&json!(429), &json!("rate_limit_exceeded")));
    }
    let pings = frame(PING, &[7; 100]).repeat(100);
    for _ in 0..50 {
        socket.send_bytes(&pings);
    }
    upstream.permit();
    assert_eq!(socket.response(), data(&events)[1..]);
    assert_eq!(upstream.count(), 1);
}
