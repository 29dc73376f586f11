//! `Expect: 100-continue`, and protocol upgrades, which the gateway does not support.

use std::io::Write as _;

use super::reply;
use crate::support::client::{Call, Exchange, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;

const ENDPOINTS: [&str; 3] = ["/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"];

/// The head and the body of a request.
fn halves(call: &Call) -> (Vec<u8>, Vec<u8>) {
    let bytes = call.bytes();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    (bytes[..head].to_vec(), bytes[head..].to_vec())
}

fn expecting(gateway: &Gateway, endpoint: &str, key: &str) -> Call {
    let call = gateway.call("POST", endpoint).header("expect", "100-continue").header("x-api-key", key);
    call.json(&whole_prompt(MODEL, "hi"))
}

#[test]
fn a_request_with_a_wrong_key_is_refused_before_its_body_is_requested() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for endpoint in ENDPOINTS {
        let mut stream = connect(gateway.address);
        stream.write_all(&halves(&expecting(&gateway, endpoint, "wrong")).0).expect("the gateway takes it");
        let mut exchange = Exchange::new(stream);
        assert_eq!(exchange.status(), 401, "{endpoint}");
        assert_eq!(exchange.head().header("connection"), Some("close"), "{endpoint}");
        assert!(exchange.finish().complete);
    }
    let huge = expecting(&gateway, "/v1/messages", "sk-gateway").header("content-length", "99999999");
    let mut stream = connect(gateway.address);
    stream.write_all(&halves(&huge).0).expect("the gateway takes it");
    assert_eq!(Exchange::new(stream).status(), 413);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_body_of_a_request_with_a_valid_key_is_requested_once() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    let mut stream = connect(gateway.address);
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    for endpoint in ENDPOINTS {
        let (head, body) = halves(&expecting(&gateway, endpoint, "sk-gateway"));
        stream.write_all(&head).expect("the gateway takes it");
        assert_eq!(wire.head().expect("readable").expect("an interim reply").second_word(), "100");
        stream.write_all(&body).expect("the gateway takes it");
        assert_eq!(reply(&mut wire, "POST").0.second_word(), "200", "{endpoint}");
    }
    // A client that does not wait may receive the interim reply, but never after the final one.
    for endpoint in ENDPOINTS {
        stream.write_all(&expecting(&gateway, endpoint, "sk-gateway").bytes()).expect("the gateway takes it");
        let mut head = wire.head().expect("readable").expect("a reply");
        if head.second_word() == "100" {
            head = wire.head().expect("readable").expect("a reply");
        }
        assert_eq!(head.second_word(), "200");
        wire.body(crate::support::wire::Framing::of_reply(&head)).expect("whole");
    }
}

#[test]
fn an_upgrade_is_ignored() {
    let upgrades = [
        vec![("upgrade", "websocket"), ("connection", "upgrade")],
        vec![("upgrade", "websocket")],
        vec![
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ],
        vec![("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket, foo/2")],
    ];
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        for headers in &upgrades {
            let upgrading =
                |call: Call| headers.iter().fold(call, |call, (name, value)| call.header(name, value));
            let requests = [
                (upgrading(gateway.messages(&prompt(MODEL, "hi"))), "message_stop"),
                (upgrading(gateway.messages(&whole_prompt(MODEL, "hi"))), "Hello there!"),
                (upgrading(gateway.call("GET", "/health")), "status: healthy"),
                (gateway.call("GET", "/health"), "status: healthy"),
            ];
            let mut stream = connect(gateway.address);
            let bytes: Vec<u8> = requests.iter().flat_map(|(call, _)| call.bytes()).collect();
            stream.write_all(&bytes).expect("the gateway takes it");
            let mut wire = Wire::new(stream);
            for (_, word) in &requests {
                let (head, body) = reply(&mut wire, "POST");
                assert_eq!((head.second_word(), head.header("connection")), ("200", None), "{headers:?}");
                assert!(body.contains(word), "{headers:?}: {body}");
            }
        }
        assert!(upstream.requests().iter().all(|seen| seen.head.header("upgrade").is_none()));
    }
}
