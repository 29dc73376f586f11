//! Tests of the test helpers themselves.

use serde_json::json;

use crate::support::client::{Call, prompt};
use crate::support::grammar::{self, Ended};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Deaf, Ending, Piece, Upstream};
use crate::support::{canned, reply};

fn ask(upstream: &Upstream) -> Call {
    Call::new(upstream.address(), "POST", "/v1/messages").json(&prompt("m", "hello"))
}

fn check(events: Vec<Vec<u8>>) -> Result<Ended, String> {
    let text = String::from_utf8(events.concat()).expect("text");
    grammar::check(&reply::events(&text).0)
}

#[test]
fn an_unscripted_upstream_answers_in_its_api() {
    let upstream = Upstream::anthropic();
    assert_eq!(ask(&upstream).reply().text(), "Hello there!");
    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/v1/messages");
    assert_eq!(seen.json()["model"], "m");
}

#[test]
fn answers_come_from_rules_then_the_script_then_the_default() {
    let upstream = Upstream::anthropic().refusing("bad").answering(Answer::json(500, "{}"));
    assert_eq!(ask(&upstream).header("x-api-key", "bad").reply().status(), 401);
    assert_eq!(ask(&upstream).header("authorization", "Bearer good").reply().status(), 500);
    assert_eq!(ask(&upstream).reply().status(), 200);
    assert_eq!(upstream.keys_seen(), ["bad", "good", ""]);
}

#[test]
fn a_body_can_be_truncated_and_reset_at_any_byte() {
    for ending in [Ending::Cut, Ending::Reset] {
        let upstream = Upstream::anthropic()
            .answering(Answer::events(canned::anthropic::text(&["Hello"])).broken_after(100, ending));
        let reply = ask(&upstream).reply();
        assert!(!reply.complete);
        assert!(reply.body.len() <= 100);
    }
}

#[test]
fn bytes_wait_for_the_permit_and_a_disconnect_is_noticed() {
    let [first, second] = [canned::anthropic::start(), canned::anthropic::block_stop(0)];
    let pieces = vec![Piece::Bytes(first), Piece::Permit, Piece::Bytes(second), Piece::Silence];
    let upstream = Upstream::anthropic().answering(Answer::pieces(pieces));
    let mut exchange = ask(&upstream).open();
    assert_eq!(exchange.event().expect("the first").name, "message_start");
    upstream.permit();
    assert_eq!(exchange.event().expect("the second").name, "content_block_stop");
    assert!(!upstream.is_closed(0));
    exchange.hang_up();
    upstream.closed(0);
}

#[test]
fn a_closed_port_refuses_connections() {
    let deaf = Deaf::new();
    let refused = std::net::TcpStream::connect(deaf.address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_default_streams_are_grammatical() {
    assert_eq!(check(canned::anthropic::text(&["a", "b"])), Ok(Ended::Properly));
    assert_eq!(check(canned::anthropic::thinking_and_tool()), Ok(Ended::Properly));
}

/// Requirement: All `index` values are integers; blocks do not overlap; indexes 0..n-1.
#[test]
fn the_grammar_refuses_what_clients_cannot_read() {
    let whole = canned::anthropic::text(&["a"]);
    assert!(check(whole[..whole.len() - 1].to_vec()).is_err(), "no end");
    assert!(check(whole[1..].to_vec()).is_err(), "no start");
    let mut twice = whole.clone();
    twice.extend(canned::anthropic::end("end_turn"));
    assert!(check(twice).is_err(), "something after the end");
    let mut open = whole.clone();
    open.remove(4);
    assert!(check(open).is_err(), "an open block");
    let lonely =
        json!({"type": "content_block_delta", "index": "0", "delta": {"type": "text_delta", "text": ""}});
    let mut text_index = whole;
    text_index[3] = canned::anthropic::event(&lonely);
    assert!(check(text_index).is_err(), "an index that is text");
    let [start, end] = [vec![canned::anthropic::start()], canned::anthropic::end("tool_use")];
    assert!(check([start, end].concat()).is_err(), "tool_use without a tool");
}

#[test]
fn a_streamed_tool_call_is_assembled_like_clients_do() {
    let upstream = Upstream::anthropic().always(Answer::events(canned::anthropic::thinking_and_tool()));
    let reply: Reply = ask(&upstream).reply();
    assert_eq!(reply.thinking(), "Where is it?");
    assert_eq!(reply.tools(), [("get_weather".to_owned(), json!({"city": "Genève"}))]);
    assert_eq!(reply.usage()["output_tokens"], 9);
}
