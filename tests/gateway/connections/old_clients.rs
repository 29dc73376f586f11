//! Clients of HTTP/1.0, which support neither chunks nor persistent connections by default.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::{closed, reply};
use crate::support::canned::anthropic;
use crate::support::chat;
use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::{Framing, Wire};

const PATHS: [&str; 2] = ["/v1/messages", "/v1/chat/completions"];

fn request(path: &str, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.0\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn streamed(path: &str) -> Value {
    if path == PATHS[0] { prompt(MODEL, "hi") } else { chat::prompt(MODEL, "hi") }
}

fn whole(path: &str) -> Value {
    if path == PATHS[0] { whole_prompt(MODEL, "hi") } else { chat::whole_prompt(MODEL, "hi") }
}

#[test]
fn a_stream_has_no_chunks_and_ends_with_its_connection() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        for (path, last) in PATHS.into_iter().zip(["message_stop\"}\n\n", "data: [DONE]\n\n"]) {
            for headers in ["", "connection: keep-alive\r\n", "host: localhost\r\nconnection: close\r\n"] {
                let mut stream = connect(gateway.address);
                stream.write_all(&request(path, headers, &streamed(path))).expect("the gateway takes it");
                let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
                let head = wire.head().expect("readable").expect("a reply");
                assert_eq!(head.second_word(), "200", "{head:?}");
                for name in ["transfer-encoding", "content-length"] {
                    assert_eq!(head.header(name), None, "{path} {headers}: {head:?}");
                }
                assert_ne!(head.header("connection"), Some("keep-alive"), "{head:?}");
                let body = wire.body(Framing::UntilClose).expect("a whole body");
                let text = String::from_utf8(body).expect("UTF-8");
                assert!(text.starts_with("event: ") || text.starts_with("data: "), "{text}");
                assert!(text.trim_end().ends_with(last.trim_end()), "{text}");
                assert_eq!(closed(&mut stream), "", "nothing follows");
            }
        }
    }
}

#[test]
fn a_late_stream_has_no_chunks_either() {
    let answer = Answer::events(anthropic::text(&["late"])).head_after(Duration::from_millis(1500));
    let upstream = Upstream::anthropic().always(answer);
    let gateway = Gateway::before(&upstream).limit("head-patience", 1).start();
    for path in PATHS {
        let stream = connect(gateway.address);
        (&stream).write_all(&request(path, "", &streamed(path))).expect("the gateway takes it");
        let mut wire = Wire::new(stream);
        let head = wire.head().expect("readable").expect("a reply");
        assert_eq!(head.header("transfer-encoding"), None, "{head:?}");
        let text = String::from_utf8(wire.body(Framing::UntilClose).expect("whole")).expect("UTF-8");
        assert!(text.contains("late") && !text.contains("\r\n"), "{text}");
    }
}

#[test]
fn a_whole_reply_has_a_length_and_keeps_the_connection_only_on_request() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for path in PATHS {
        let mut stream = connect(gateway.address);
        let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
        for (headers, kept) in [("connection: keep-alive\r\n", true), ("", false)] {
            stream.write_all(&request(path, headers, &whole(path))).expect("the gateway takes it");
            let (head, body) = reply(&mut wire, "POST");
            assert_eq!(head.header("content-length"), Some(body.len().to_string().as_str()), "{head:?}");
            assert_eq!(head.header("connection") == Some("keep-alive"), kept, "{head:?}");
            assert!(body.contains("Hello there!"), "{body}");
        }
        assert_eq!(closed(&mut stream), "");
    }
}
