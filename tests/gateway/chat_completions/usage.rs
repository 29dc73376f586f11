//! The usage of a stream: the gateway always requests it, and forwards it only if the client requested it.

use serde_json::{Value, json};

use super::{call, post};
use crate::support::canned::openai;
use crate::support::chat::{self, Chat};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// The reply for a client that did not request usage.
fn unasked(answer: Answer) -> Reply {
    let upstream = Upstream::openai().always(answer);
    let gateway = Gateway::before(&upstream).start();
    let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
    assert_eq!(upstream.only_request().json()["stream_options"], json!({"include_usage": true}));
    reply
}

/// The same events without usage.
fn without_usage(events: &[Vec<u8>]) -> String {
    let kept = events.iter().filter(|event| **event != openai::usage());
    kept.map(|event| String::from_utf8_lossy(event).replace(",\"usage\":null}", "}")).collect()
}

/// Requirement: Client without `include_usage` gets no usage-only chunk; metrics still have tokens.
#[test]
fn a_client_that_did_not_request_usage_receives_no_trace_of_it() {
    for events in [openai::text(&["Hé", "llo\u{1F600}"]), openai::tool_call(), openai::reasoning()] {
        let reply = unasked(Answer::events(events.clone()));
        assert_eq!(reply.raw(), without_usage(&events));
        assert!(!reply.raw().contains("usage"), "{reply}");
    }
}

#[test]
fn a_client_that_declined_usage_receives_none() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for options in [json!({"include_usage": false}), json!({}), Value::Null] {
        let mut body = chat::prompt(MODEL, "hi");
        body["stream_options"] = options;
        let reply = call(&gateway, &body).reply();
        assert_eq!(chat::text(&reply), "Hello there!");
        assert!(!reply.raw().contains("usage"), "{reply}");
    }
}

#[test]
fn a_client_that_requested_usage_receives_all_of_it() {
    let events = openai::text(&["Hé", "llo"]);
    let upstream = Upstream::openai().always(Answer::events(events.clone()));
    let gateway = Gateway::before(&upstream).start();
    let reply = call(&gateway, &chat::prompt_with_usage(MODEL, "hi")).reply();
    assert_eq!(reply.body, events.concat());
    let last = Chat::of(&reply).chunks.pop().expect("the chunk of the usage");
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(100)));
}

#[test]
fn a_whole_reply_always_has_its_usage() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = post(&gateway, chat::whole_prompt(MODEL, "hi").to_string()).reply();
    assert_eq!(reply.json()["usage"]["total_tokens"], 120);
}

#[test]
fn usage_is_removed_in_any_notation_wherever_the_bytes_are_split() {
    let spelled = [
        "data: {\"usage\" : null , \"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n",
        "data:{\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"b\"}, \"finish_reason\": null}], \"usage\": null}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null,\"id\":\"x\"}\n\n",
        ": a comment\n\ndata: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"choices\" : [ ] }\n\n",
        "data: [DONE]\n\n",
    ];
    let answer = Answer::events(spelled.iter().map(|event| event.as_bytes().to_vec()).collect());
    for answer in [answer.clone(), answer.byte_by_byte()] {
        let reply = unasked(answer);
        assert!(!reply.raw().contains("usage"), "{reply}");
        assert!(reply.raw().contains(": a comment\n\n"), "{reply}");
        let data: Vec<String> =
            reply.raw().lines().filter_map(|line| line.strip_prefix("data:")).map(str::to_owned).collect();
        assert_eq!(data.len(), 4, "{reply}");
        for chunk in &data[..3] {
            serde_json::from_str::<Value>(chunk).unwrap_or_else(|error| panic!("{error}: {chunk}"));
        }
    }
}

#[test]
fn usage_in_a_chunk_with_content_is_kept() {
    let chunk =
        openai::data(&json!({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}],
                                     "usage": {"prompt_tokens": 1, "completion_tokens": 2}}));
    let events = vec![chunk, openai::done()];
    assert_eq!(unasked(Answer::events(events.clone())).body, events.concat());
}

#[test]
fn the_word_usage_in_a_text_or_another_object_is_kept() {
    for delta in [
        json!({"content": "usage"}),
        json!({"content": "\"usage\":null"}),
        json!({"content": ",\"usage\":null}"}),
        json!({"content": "a", "vendor": {"usage": null}}),
        json!({"content": "a", "vendor": {"usage": {"usage": null}}}),
    ] {
        let events = vec![
            openai::role(),
            openai::delta(&delta),
            openai::finish("stop"),
            openai::usage(),
            openai::done(),
        ];
        let reply = unasked(Answer::events(events));
        let chat = Chat::of(&reply);
        assert_eq!(chat.chunks.len(), 3, "{reply}");
        assert_eq!(chat.chunks[1]["choices"][0]["delta"], delta, "{reply}");
        for chunk in chat.chunks {
            assert_eq!(chunk.get("usage"), None, "{delta}: {reply}");
        }
    }
}
