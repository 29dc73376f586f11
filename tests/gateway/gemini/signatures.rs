//! Thought signatures over two turns: carried by clients that support thinking, stored for the others.

use serde_json::{Value, json};

use super::{
    BOTH, Delivery, MODEL, Talk, before, call, expected, signatures, signed, streamed, two_calls, upstream,
    whole,
};
use crate::support::canned::openai;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

/// Requirement: Gemini: signature of call A is injected on call A in the next request; parallel call B without
/// one gets none.
/// Requirement: The same after a streamed answer, and on `/v1/chat/completions`.
/// Complaint of gateway users: Gemini loses its thought signatures.
#[test]
fn a_signature_returns_with_its_call_although_the_client_does_not_know_it() {
    for delivery in BOTH {
        let upstream = upstream(&two_calls());
        let gateway = before(&upstream).start();
        let talk = Talk::new(delivery);
        let reply = talk.say(&gateway, &[]);
        assert_eq!(reply.stop_reason(), "tool_use", "STOP with calls: {reply}");
        assert!(!reply.raw().contains("SIG-A"), "{reply}");
        talk.answer(&gateway, &reply.content());
        assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")), "{delivery:?}");
    }
}

/// Complaint of gateway users: Gemini loses its thought signatures.
#[test]
fn a_client_with_thinking_carries_the_signature_even_to_another_gateway() {
    for delivery in BOTH {
        let upstream = upstream(&two_calls());
        let talk = Talk::new(delivery).thinking();
        let reply = talk.say(&before(&upstream).start(), &[]);
        assert_eq!(reply.content()[0]["type"], "thinking", "{reply}");
        talk.answer(&before(&upstream).start(), &reply.content());
        assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")), "{delivery:?}");
    }
}

#[test]
fn the_store_serves_a_thinking_client_that_drops_its_thinking_blocks() {
    let upstream = upstream(&two_calls());
    let gateway = before(&upstream).start();
    let talk = Talk::new(Delivery::Streamed).thinking();
    let mut content = talk.say(&gateway, &[]).content();
    content.retain(|block| block["type"] != "thinking");
    talk.answer(&gateway, &content);
    assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")));
}

/// Requirement: The same after a streamed answer, and on `/v1/chat/completions`.
#[test]
fn chat_clients_receive_every_byte_and_may_return_the_signature_or_not() {
    for (delivery, answer) in
        [(Delivery::Streamed, streamed(&two_calls())), (Delivery::Whole, whole(&two_calls()))]
    {
        let upstream = upstream(&two_calls());
        let gateway = before(&upstream).start();
        let talk = Talk::new(delivery);
        let reply = talk.say_in_chat(&gateway, &[]);
        assert!(reply.raw().contains("SIG-A"), "{reply}");
        if delivery == Delivery::Whole {
            assert_eq!(reply.body, answer.body());
        }
        talk.answer_in_chat(&gateway, &[call("call_a", None), call("call_b", None)]);
        assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")), "{delivery:?}");
        talk.answer_in_chat(&gateway, &[call("call_a", Some("KEPT")), call("call_b", None)]);
        assert_eq!(signatures(&upstream, 2), expected(Some("KEPT")), "{delivery:?}");
    }
}

#[test]
fn a_stream_with_reply_hooks_is_passed_on_byte_for_byte() {
    let events = openai::stream(two_calls().iter().map(openai::tool).collect(), "tool_calls");
    let upstream = Upstream::openai().answering(Answer::events(events.clone()).byte_by_byte());
    let gateway = before(&upstream).start();
    let mut body = crate::support::chat::prompt_with_usage(MODEL, "hi");
    body["x"] = json!(1);
    let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
    assert_eq!(reply.body, events.concat());
}

/// Complaint of gateway users: Gemini loses its thought signatures.
#[test]
fn the_signature_of_a_text_returns_with_the_text() {
    let text = |delta: Value| openai::delta(&delta);
    let events = vec![
        text(json!({"role": "assistant", "content": "Four", "extra_content": signed("SIG-T")})),
        text(json!({"content": "."})),
    ];
    let message = json!({"role": "assistant", "content": "Four.", "extra_content": signed("SIG-T")});
    let streamed = [events, openai::end("STOP")].concat();
    for (delivery, answer) in [
        (Delivery::Streamed, Answer::events(streamed)),
        (Delivery::Whole, Answer::json(200, openai::completion(&message, "STOP"))),
    ] {
        for talk in [Talk::new(delivery), Talk::new(delivery).thinking()] {
            let upstream = Upstream::openai().answering(answer.clone());
            let gateway = before(&upstream).start();
            let reply = talk.say(&gateway, &[]);
            assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("Four.", "end_turn"));
            let turns = [
                json!({"role": "assistant", "content": reply.content()}),
                json!({"role": "user", "content": "and then?"}),
            ];
            talk.say(&gateway, &turns);
            assert_eq!(
                upstream.request(1).json()["messages"][1]["extra_content"],
                signed("SIG-T"),
                "{delivery:?}"
            );
        }
    }
}

#[test]
fn the_middleware_applies_to_aliases_of_gemini() {
    let upstream = upstream(&two_calls());
    let gateway = before(&upstream).toml(&format!("[openai.aliases]\nfast = \"{MODEL}\"")).start();
    let talk = Talk::new(Delivery::Streamed).with("fast");
    let reply = talk.say(&gateway, &[]);
    talk.answer(&gateway, &reply.content());
    assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")));
}

#[test]
fn the_newest_gemini_receives_a_placeholder_for_a_call_of_another_model() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let content = [
        json!({"type": "tool_use", "id": "call_a", "name": "f", "input": {}}),
        json!({"type": "tool_use", "id": "call_b", "name": "f", "input": {}}),
    ];
    Talk::new(Delivery::Whole).with("gemini-3-pro-preview").answer(&gateway, &content);
    assert_eq!(signatures(&upstream, 0), expected(Some("skip_thought_signature_validator")));
}

#[test]
fn a_malformed_call_of_gemini_is_retried() {
    for answer in [
        Answer::events(openai::end("MALFORMED_FUNCTION_CALL")),
        Answer::json(
            200,
            openai::completion(
                &json!({"role": "assistant"}),
                "function_call_filter: MALFORMED_FUNCTION_CALL",
            ),
        ),
    ] {
        let upstream = Upstream::openai().answering(answer);
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(Talk::new(Delivery::Streamed).say(&gateway, &[]).text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_blocked_answer_of_gemini_is_a_refusal() {
    for reason in ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "prohibited_content", "content_filter: SPII"]
    {
        let answer =
            Answer::json(200, openai::completion(&json!({"role": "assistant", "content": "x"}), reason));
        let upstream = Upstream::openai().answering(answer);
        let gateway = before(&upstream).start();
        assert_eq!(Talk::new(Delivery::Whole).say(&gateway, &[]).stop_reason(), "refusal", "{reason}");
    }
}
