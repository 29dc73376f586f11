//! Pipelined requests, sent before the replies to earlier ones have arrived.

use std::io::Write as _;
use std::time::Duration;

use super::reply;
use crate::support::chat;
use crate::support::client::{Call, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::Wire;

const KINDS: usize = 9;

/// One request of each kind, with its method and a word that occurs only in its reply.
fn kind(gateway: &Gateway, number: usize) -> (Call, &'static str, &'static str) {
    let chat = |body| gateway.call("POST", "/v1/chat/completions").json(body);
    match number {
        0 => (gateway.messages(&prompt(MODEL, "hi")), "POST", "message_stop"),
        1 => (gateway.messages(&whole_prompt(MODEL, "hi")), "POST", "end_turn"),
        2 => (gateway.call("HEAD", "/health"), "HEAD", ""),
        3 => (gateway.call("GET", "/health"), "GET", "status: healthy"),
        4 => (gateway.call("HEAD", "/nowhere"), "HEAD", ""),
        5 => (chat(&chat::prompt(MODEL, "hi")), "POST", "[DONE]"),
        6 => (chat(&chat::whole_prompt(MODEL, "hi")), "POST", "chat.completion"),
        7 => (gateway.call("GET", "/nowhere"), "GET", "not_found_error"),
        _ => {
            let body = prompt(MODEL, "hi").to_string();
            let chunked = format!(
                "3\r\n{}\r\n{:X};x=y\r\n{}\r\n0\r\nx-trailer: 1\r\n\r\n",
                &body[..3],
                body.len() - 3,
                &body[3..]
            );
            let call = gateway.call("POST", "/v1/messages").header("transfer-encoding", "chunked");
            (call.header("content-type", "application/json").body(chunked), "POST", "message_stop")
        }
    }
}

/// Sends the requests in pieces that end at these offsets, and checks each reply.
fn check(gateway: &Gateway, numbers: &[usize], cuts: &[usize]) {
    let requests: Vec<_> = numbers.iter().map(|number| kind(gateway, *number)).collect();
    let last = gateway.call("GET", "/health").header("connection", "close");
    let mut bytes: Vec<u8> = requests.iter().flat_map(|(call, ..)| call.bytes()).collect();
    bytes.extend(last.bytes());
    let mut stream = connect(gateway.address);
    let mut sent = 0;
    for cut in cuts.iter().map(|cut| cut % bytes.len()).filter(|cut| *cut > 0) {
        if cut > sent {
            stream.write_all(&bytes[sent..cut]).expect("the gateway takes it");
            std::thread::sleep(Duration::from_millis(3));
            sent = cut;
        }
    }
    stream.write_all(&bytes[sent..]).expect("the gateway takes it");
    let mut wire = Wire::new(stream);
    for (call, method, word) in &requests {
        let (head, body) = reply(&mut wire, method);
        assert!(body.contains(word), "{numbers:?} cut at {cuts:?}: {call:?} got {head:?} {body}");
        assert_eq!(body.is_empty(), *method == "HEAD", "{numbers:?} cut at {cuts:?}: {head:?} {body}");
    }
    assert!(reply(&mut wire, "GET").1.contains("status: healthy"), "{numbers:?} cut at {cuts:?}");
    assert!(wire.head().expect("a proper end").is_none(), "{numbers:?} cut at {cuts:?}: there is more");
}

#[test]
fn every_request_in_any_order_gets_its_own_reply() {
    let upstreams = [Upstream::anthropic(), Upstream::openai()];
    for upstream in &upstreams {
        let gateway = Gateway::before(upstream).start();
        for first in 0..KINDS {
            for second in 0..KINDS {
                let numbers = [first, second, (first + second) % KINDS];
                check(&gateway, &numbers, &[]);
                check(&gateway, &numbers, &[7 + 31 * first + 17 * second]);
            }
        }
    }
}

#[test]
fn replies_do_not_depend_on_where_the_bytes_are_split() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let numbers = [8, 2, 1, 4, 0];
    let length: usize = numbers.iter().map(|number| kind(&gateway, *number).0.bytes().len()).sum();
    for cut in (1..length).step_by(13) {
        check(&gateway, &numbers, &[cut, cut + 1, cut + 90]);
    }
}

#[test]
fn a_head_in_single_bytes_after_a_request_in_progress_is_complete() {
    let upstream = Upstream::anthropic()
        .answering(Answer::events(crate::support::canned::anthropic::text(&["late"])).head_on_permit());
    let gateway = Gateway::before(&upstream).start();
    let mut stream = connect(gateway.address);
    stream.write_all(&gateway.messages(&prompt(MODEL, "hi")).bytes()).expect("the gateway takes it");
    upstream.request(0);
    for byte in gateway.call("HEAD", "/health").bytes() {
        stream.write_all(&[byte]).expect("the gateway takes it");
    }
    upstream.permit();
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    assert!(reply(&mut wire, "POST").1.contains("late"));
    assert_eq!(reply(&mut wire, "HEAD").0.second_word(), "200");
    stream.write_all(&gateway.call("GET", "/health").bytes()).expect("the gateway takes it");
    assert!(reply(&mut wire, "GET").1.contains("status: healthy"));
}

#[test]
fn a_disconnect_after_a_megabyte_of_requests_is_noticed() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).start();
        for (number, body) in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")].iter().enumerate() {
            let mut stream = connect(gateway.address);
            stream.write_all(&gateway.messages(body).bytes()).expect("the gateway takes it");
            upstream.request(number);
            let more = gateway.ask_bytes(&"x".repeat(1 << 20));
            stream.set_nonblocking(true).expect("a socket");
            // As much as the system accepts. The gateway reads little of it.
            let _ = stream.write(&more);
            drop(stream);
            upstream.closed(number);
        }
    }
}
