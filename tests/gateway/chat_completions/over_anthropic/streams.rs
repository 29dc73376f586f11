//! Streams: their chunks, pauses and errors.

use std::thread;

use serde_json::{Value, json};

use super::{Answer, Gateway, MODEL, Upstream, answered, anthropic, call, chat, request, streamed};
use crate::chat_completions::impatient;
use crate::support::chat::{Chat, Error};
use crate::support::upstream::Ending;

const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// Sends nothing after the first of two words.
fn silent_after_the_first_word() -> Upstream {
    let events = anthropic::text(&["first", "second"]);
    let begun = events[..4].concat().len();
    Upstream::anthropic().always(Answer::events(events).silent_after(begun))
}

/// The only choice of each chunk.
fn deltas(chat: &Chat) -> Vec<Value> {
    chat.chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .map(|choice| choice["delta"].clone())
        .collect()
}

#[test]
fn the_text_of_a_custom_tool_is_streamed_as_it_arrives() {
    let mut body = request(json!({"stream": true,
        "tools": [{"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar",
            "grammar": {"syntax": "lark", "definition": "start: WORD"}}}}]}));
    let tool = json!({"type": "tool_use", "id": "toolu_a", "name": "patch", "input": {}});
    let fragment =
        |json: &str| anthropic::delta(0, &json!({"type": "input_json_delta", "partial_json": json}));
    let mut events = vec![anthropic::start(), anthropic::block_start(0, &tool)];
    events.extend(["{\"inp", "ut\": \"Ge", "n\\u00e8ve\\", "n\"", "}"].map(fragment));
    events.push(anthropic::block_stop(0));
    events.extend(anthropic::end("tool_use"));
    let answer = Answer::events(events);

    let custom = |custom: Value| json!({"tool_calls": [{"index": 0, "custom": custom}]});
    let chunks = deltas(&Chat::of(&answered(&body, answer.clone())));
    assert_eq!(
        chunks[1..],
        [
            json!({"tool_calls": [{"index": 0, "id": "toolu_a", "type": "custom",
                                   "custom": {"name": "patch", "input": ""}}]}),
            custom(json!({"input": "Ge"})),
            custom(json!({"input": "nève"})),
            custom(json!({"input": "\n"})),
            json!({}),
        ]
    );
    body["stream"] = json!(false);
    let whole = answered(&body, answer).json();
    assert_eq!(
        whole["choices"][0]["message"]["tool_calls"],
        json!([{"id": "toolu_a", "type": "custom", "custom": {"name": "patch", "input": "Genève\n"}}])
    );
}

/// Requirement: Stream tool indexes are 0,1,2; id and type only in the first chunk; usage chunk on request;
/// upstream error → error frame.
#[test]
fn text_and_usage_are_translated() {
    let reply = streamed(Answer::events(anthropic::text(&["Hello ", "thére!"])));
    assert_eq!(chat::text(&reply), "Hello thére!");
    let mut chunks = Chat::of(&reply).chunks;
    let usage = chunks.pop().expect("the chunk of the usage");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"],
        json!({"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
               "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}})
    );
    let last = chunks.pop().expect("a finish");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(
        chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["usage"].is_null())
    );
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
}

#[test]
fn a_client_that_did_not_request_usage_receives_none() {
    let reply = answered(&chat::prompt(MODEL, "hi"), Answer::events(anthropic::text(&["x"])));
    assert_eq!(chat::text(&reply), "x");
    assert!(!reply.raw().contains("usage"), "{reply}");
}

/// Requirement: Stream tool indexes are 0,1,2; id and type only in the first chunk; usage chunk on request;
/// upstream error → error frame.
#[test]
fn parallel_calls_have_their_own_indices_and_each_name_is_sent_once() {
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "get_weather", "input": {}});
    let input = |index: u32, json: &str| {
        anthropic::delta(index, &json!({"type": "input_json_delta", "partial_json": json}))
    };
    let mut events = anthropic::text(&["Both:"]);
    events.truncate(events.len() - 2);
    for (index, id) in [(1, "toolu_a"), (2, "toolu_b")] {
        events.push(anthropic::block_start(index, &tool(id)));
        events.extend([input(index, ""), input(index, "{\"city\":"), input(index, "\"Genève\"}")]);
        events.push(anthropic::block_stop(index));
    }
    events.extend(anthropic::end("tool_use"));
    let reply = streamed(Answer::events(events));
    let begins = |index: u32, id: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
               "function": {"name": "get_weather", "arguments": ""}}]})
    };
    let goes_on =
        |index: u32, json: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]});
    assert_eq!(
        deltas(&Chat::of(&reply)),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "Both:"}),
            begins(0, "toolu_a"),
            goes_on(0, "{\"city\":"),
            goes_on(0, "\"Genève\"}"),
            begins(1, "toolu_b"),
            goes_on(1, "{\"city\":"),
            goes_on(1, "\"Genève\"}"),
            json!({}),
        ]
    );
}

#[test]
fn thinking_is_sent_to_clients_that_request_reasoning() {
    let asked = request(json!({"stream": true, "reasoning_effort": "low", "max_tokens": 9000}));
    let unasked = request(json!({"stream": true}));
    for (body, expected) in [(asked, Some("Where is it?")), (unasked, None)] {
        let reply = answered(&body, Answer::events(anthropic::thinking_and_tool()));
        let deltas = deltas(&Chat::of(&reply));
        let thoughts: Vec<&str> =
            deltas.iter().filter_map(|delta| delta["reasoning_content"].as_str()).collect();
        assert_eq!(thoughts, expected.into_iter().collect::<Vec<_>>(), "{reply}");
        assert!(!reply.raw().contains("EqQBCgIYAhIM"), "a signature is nothing to this client");
    }
}

#[test]
fn the_chunks_do_not_depend_on_how_the_bytes_are_split() {
    let answer = Answer::events(anthropic::text(&["Hé\u{1F600}", "llo"]));
    let expected = deltas(&Chat::of(&streamed(answer.clone())));
    assert_eq!(deltas(&Chat::of(&streamed(answer.byte_by_byte()))), expected);
}

#[test]
fn a_truncated_stream_never_looks_complete() {
    let whole = Answer::events(anthropic::text(&["é\u{1F600}"]));
    let body = whole.body();
    let upstream = Upstream::anthropic();
    let gateway = impatient(&upstream).start();
    for byte in (1..body.len() - 2).step_by(7) {
        upstream.then(whole.clone().broken_after(byte, Ending::Cut));
        let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
        assert_eq!(Error::of(&reply).words(), ("server_error", None), "broken off at {byte}: {reply}");
        if reply.is_stream() {
            let chat = Chat::of(&reply);
            let finish = |chunk: &Value| chunk["choices"][0]["finish_reason"].is_string();
            assert!(!chat.chunks.iter().any(finish), "broken off at {byte}: {reply}");
        } else {
            assert_eq!(reply.status(), 502, "{reply}");
        }
        // Two valid answers for each truncated one keep the provider healthy.
        for _ in 0..2 {
            assert_eq!(chat::text(&call(&gateway, &chat::whole_prompt(MODEL, "hi")).reply()), "Hello there!");
        }
    }
}

#[test]
fn malformed_events_end_the_stream_with_an_error() {
    let mut events = anthropic::text(&["first"])[..4].to_vec();
    events.push(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\n\n".to_vec());
    events.extend(anthropic::end("end_turn"));
    let reply = streamed(Answer::events(events));
    assert_eq!(Error::of(&reply).words(), ("server_error", None));
    assert_eq!(Chat::of(&reply).text(), "first");
}

#[test]
fn a_silent_stream_receives_comments_and_upstream_pings_are_not_forwarded() {
    let upstream = silent_after_the_first_word();
    let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
    let mut exchange = call(&gateway, &chat::prompt(MODEL, "hi")).open();
    for content in ["", "first"] {
        let chunk = exchange.event().expect("a chunk").data;
        assert_eq!(chunk["choices"][0]["delta"]["content"], content);
    }
    for _ in 0..3 {
        assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
    }
}

#[test]
fn a_stall_ends_with_an_error_and_closes_the_upstream() {
    let upstream = silent_after_the_first_word();
    let gateway = impatient(&upstream).limit("idle-timeout", 0.4).start();
    let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
    assert_eq!(Error::of(&reply).words(), ("server_error", Some("timeout")));
    assert_eq!(Chat::of(&reply).text(), "first");
    upstream.closed(0);
}

#[test]
fn after_the_early_comments_the_answer_follows_in_any_form() {
    let late = [
        Answer::events(anthropic::text(&["late"])).head_on_permit(),
        Answer::json(200, anthropic::whole("late")).head_on_permit(),
    ];
    for answer in late {
        let upstream = Upstream::anthropic().always(answer);
        let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
        let mut exchange = call(&gateway, &chat::prompt(MODEL, "hi")).open();
        assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
        upstream.permit();
        assert_eq!(chat::text(&exchange.finish()), "late");
    }
}

#[test]
fn a_client_that_disconnects_cancels_its_upstream_call() {
    let upstream = silent_after_the_first_word();
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = call(&gateway, &chat::prompt(MODEL, "hi")).open();
    exchange.event().expect("the role");
    exchange.hang_up();
    upstream.closed(0);
    thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(upstream.count(), 1, "nothing is tried again for nobody");
}

#[test]
fn a_client_that_disconnects_before_a_whole_reply_cancels_the_call_too() {
    let upstream =
        Upstream::anthropic().always(Answer::json(200, anthropic::whole("Hello")).silent_after(20));
    let gateway = Gateway::before(&upstream).start();
    let exchange = call(&gateway, &chat::whole_prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.hang_up();
    upstream.closed(0);
}
