//! Streamed replies. Each must be grammatical, whatever the upstream sends.

use serde_json::{Value, json};

use super::{Delivery, answered, streamed, thinking};
use crate::support::canned::openai;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Ending, Upstream};

/// An element of `tool_calls` with all its parts.
fn part(index: Value, id: Value, name: Value, arguments: Value) -> Vec<u8> {
    openai::tool(&json!({"index": index, "id": id, "type": "function",
                         "function": {"name": name, "arguments": arguments}}))
}

fn begins(index: u32, id: &str, name: &str) -> Vec<u8> {
    part(json!(index), json!(id), json!(name), json!(""))
}

fn goes_on(index: u32, arguments: &str) -> Vec<u8> {
    openai::tool(&json!({"index": index, "function": {"arguments": arguments}}))
}

fn says(middle: Vec<Vec<u8>>, reason: &str) -> Reply {
    streamed(json!({}), openai::stream(middle, reason))
}

/// Deviates from the original ("SSE answers carry the five headers"): no CORS headers; the others are there.
/// Requirement: Event order start, block(s), message_delta, message_stop, framing `event:`/`data:`/blank line.
#[test]
fn a_text_stream_has_the_order_that_clients_expect() {
    let reply = says(vec![openai::content("Hello "), openai::content("there!")], "stop");
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(reply.names(), expected);
    assert_eq!(reply.text(), "Hello there!");
    assert_eq!(reply.stop_reason(), "end_turn");
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
    assert!(!reply.raw().contains("[DONE]"));
}

/// Requirement: Event order start, block(s), message_delta, message_stop, framing `event:`/`data:`/blank line.
#[test]
fn every_event_has_a_name_one_line_of_data_and_a_blank_line() {
    let reply = says(vec![openai::content("a\nb\r\nc")], "stop");
    for event in reply.all_events() {
        let lines: Vec<&str> = event.raw.split('\n').collect();
        assert_eq!(lines.len(), 4, "{:?}", event.raw);
        assert_eq!(lines[0], format!("event: {}", event.name));
        assert!(lines[1].starts_with("data: {"), "{:?}", event.raw);
    }
    assert_eq!(reply.text(), "a\nb\r\nc");
}

/// Requirement: Tool-only answer has no empty text block.
/// Requirement: Arguments in 5 fragments → at least 2 deltas whose concatenation equals the input.
#[test]
fn an_answer_with_only_tools_has_no_empty_text() {
    let reply = streamed(json!({}), openai::tool_call());
    assert_eq!(reply.content().len(), 1, "{reply}");
    assert_eq!(reply.tools(), [("get_weather".to_owned(), json!({"city": "Genève"}))]);
    assert_eq!(reply.content()[0]["id"], "call_a");
    assert_eq!(reply.stop_reason(), "tool_use");
    let deltas = reply.events().iter().filter(|event| event.name == "content_block_delta").count();
    assert!(deltas >= 2, "arguments are streamed: {reply}");
}

#[test]
fn text_and_tools_are_separate_blocks() {
    let middle = vec![openai::content("Let me see."), begins(0, "a", "f"), goes_on(0, "{}")];
    let reply = says(middle, "tool_calls");
    let kinds: Vec<Value> = reply.content().iter().map(|block| block["type"].clone()).collect();
    assert_eq!(kinds, ["text", "tool_use"]);
}

/// Requirement: Interleaved fragments of two calls → two complete blocks in order of appearance.
/// Complaint of gateway users: parallel tool calls interleave.
#[test]
fn interleaved_calls_are_sent_one_after_the_other_in_order_of_appearance() {
    let middle = vec![
        begins(0, "a", "f"),
        begins(1, "b", "g"),
        goes_on(0, "{\"x\""),
        goes_on(1, "{\"y\""),
        goes_on(0, ":1}"),
        goes_on(1, ":2}"),
    ];
    let reply = says(middle, "tool_calls");
    assert_eq!(reply.tools(), [("f".to_owned(), json!({"x": 1})), ("g".to_owned(), json!({"y": 2}))]);
}

/// Requirement: Arguments before name/id are kept; missing id is generated; split name is joined; shared index
/// with new id opens a second block.
/// Complaint of gateway users: tool calls arrive with empty input.
#[test]
fn unusual_forms_of_calls_are_accepted() {
    let id_late = vec![
        openai::tool(&json!({"index": 0, "function": {"arguments": "{\"x\""}})),
        part(json!(0), json!("late"), json!("f"), json!(":1}")),
    ];
    let without_id = vec![part(json!(0), Value::Null, json!("f"), json!("{\"x\":1}"))];
    let split_name = vec![
        part(json!(0), json!("a"), json!("f"), json!("")),
        openai::tool(&json!({"index": 0, "function": {"name": "_long"}})),
        goes_on(0, "{\"x\":1}"),
    ];
    let as_object = vec![part(json!(0), json!("a"), json!("f"), json!({"x": 1}))];
    let without_index =
        vec![openai::tool(&json!({"id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}}))];
    let named = |name: &str| [(name.to_owned(), json!({"x": 1}))];
    for (middle, name) in
        [(id_late, "f"), (without_id, "f"), (split_name, "f_long"), (as_object, "f"), (without_index, "f")]
    {
        let reply = says(middle, "tool_calls");
        assert_eq!(reply.tools(), named(name), "{reply}");
        assert!(reply.content()[0]["id"].as_str().is_some_and(|id| !id.is_empty()), "{reply}");
    }
}

/// Requirement: Arguments before name/id are kept; missing id is generated; split name is joined; shared index
/// with new id opens a second block.
#[test]
fn two_calls_that_share_an_index_are_two() {
    let middle = vec![
        part(json!(0), json!("a"), json!("f"), json!("{\"x\":1}")),
        part(json!(0), json!("b"), json!("g"), json!("{\"y\":2}")),
    ];
    let reply = says(middle, "tool_calls");
    assert_eq!(reply.tools(), [("f".to_owned(), json!({"x": 1})), ("g".to_owned(), json!({"y": 2}))]);
}

#[test]
fn a_call_whose_id_changes_with_every_chunk_is_one_call() {
    let middle = vec![
        part(json!(0), json!("a1"), json!("f"), json!("{\"x\"")),
        openai::tool(&json!({"index": 0, "id": "a2", "function": {"arguments": ":1}"}})),
    ];
    assert_eq!(says(middle, "tool_calls").tools(), [("f".to_owned(), json!({"x": 1}))]);
}

/// Requirement: Arguments `1` then `2` → `12`.
#[test]
fn numbers_are_not_mistaken_for_complete_arguments() {
    let reply = says(vec![begins(0, "a", "f"), goes_on(0, "1"), goes_on(0, "2")], "tool_calls");
    assert_eq!(reply.tools()[0].1, json!(12));
}

/// Requirement: Truncated arguments + length → partial delta present, `max_tokens`.
#[test]
fn arguments_truncated_by_the_limit_are_sent_as_far_as_they_arrived() {
    let reply = says(vec![begins(0, "a", "f"), goes_on(0, "{\"city\": \"Gen")], "length");
    assert_eq!(reply.stop_reason(), "max_tokens");
    assert_eq!(reply.tools()[0].1, json!("{\"city\": \"Gen"));
}

/// Requirement: Empty arguments → `{}`.
/// Complaint of gateway users: tool calls arrive with empty input.
#[test]
fn missing_arguments_become_an_empty_object() {
    for arguments in [json!(""), Value::Null] {
        let reply = says(vec![part(json!(0), json!("a"), json!("f"), arguments)], "tool_calls");
        assert_eq!(reply.tools(), [("f".to_owned(), json!({}))]);
        let deltas = reply.events().iter().filter(|event| event.name == "content_block_delta").count();
        assert_eq!(deltas, 1, "one delta that parses: {reply}");
    }
}

#[test]
fn invalid_elements_of_tool_calls_cause_no_failure() {
    let odd = [json!(-1), json!(1.5), Value::Null, json!("0"), json!(18_446_744_073_709_551_615_u64)];
    for index in odd {
        let reply = says(vec![part(index, json!("a"), json!("f"), json!("{\"x\":1}"))], "tool_calls");
        assert_eq!(reply.tools(), [("f".to_owned(), json!({"x": 1}))]);
    }
    let reply = says(
        vec![openai::tool(&json!("x")), openai::tool(&json!({"function": 5})), openai::content("ok")],
        "stop",
    );
    assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("ok", "end_turn"));
}

#[test]
fn the_older_form_of_a_call_is_accepted() {
    let middle = vec![
        openai::delta(&json!({"function_call": {"name": "f", "arguments": "{\"x\""}})),
        openai::delta(&json!({"function_call": {"arguments": ":1}"}})),
    ];
    let reply = says(middle, "function_call");
    assert_eq!(reply.tools(), [("f".to_owned(), json!({"x": 1}))]);
    assert_eq!(reply.stop_reason(), "tool_use");
}

#[test]
fn a_hundred_calls_and_a_hundred_kilobytes_arrive() {
    let long = "é".repeat(50_000);
    let mut middle = Vec::new();
    for index in 0..100 {
        middle.push(begins(index, &format!("call_{index}"), &format!("f{index}")));
        middle.push(goes_on(index, &json!({"n": index}).to_string()));
    }
    middle.push(begins(100, "call_100", "long"));
    middle.push(goes_on(100, &json!({"text": long}).to_string()));
    let tools = says(middle, "tool_calls").tools();
    assert_eq!(tools.len(), 101);
    assert!((0..100).all(|n| tools[n] == (format!("f{n}"), json!({"n": n}))));
    assert!(tools[100].1["text"] == long.as_str());
}

/// Requirement: Usage in the chunk after finish_reason appears in message_delta, also with metrics off.
#[test]
fn usage_is_read_at_any_position() {
    let after_finish = says(vec![openai::content("x")], "stop");
    let usage = after_finish.usage();
    assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(60), &json!(40)));
    assert_eq!(usage["output_tokens"], 20);
    let mut inline = vec![openai::role(), openai::content("x")];
    inline.push(openai::data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                                     "usage": {"prompt_tokens": 5, "completion_tokens": 6}})));
    inline.push(openai::done());
    let usage = streamed(json!({}), inline).usage();
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(5), &json!(6)));
    let without = vec![openai::role(), openai::content("x"), openai::finish("stop"), openai::done()];
    let usage = streamed(json!({}), without).usage();
    assert!(usage["input_tokens"].is_u64() && usage["output_tokens"].is_u64(), "{usage}");
}

/// Requirement: No `[DONE]` but finish_reason seen → normal end. Body ends without either → error event, no
/// message_stop. `[DONE]` alone ends the stream, but the answer is not complete.
#[test]
fn a_finish_reason_alone_is_a_proper_end_and_done_alone_is_a_cut() {
    let without_done = vec![openai::role(), openai::content("x"), openai::finish("stop")];
    assert_eq!(streamed(json!({}), without_done).stop_reason(), "end_turn");
    let without_finish = vec![openai::role(), openai::content("x"), openai::done()];
    assert_eq!(streamed(json!({}), without_finish).stop_reason(), "max_tokens");
}

#[test]
fn the_later_of_two_finish_reasons_is_used() {
    let events = vec![
        openai::role(),
        openai::content("x"),
        openai::finish("stop"),
        openai::finish("length"),
        openai::done(),
    ];
    assert_eq!(streamed(json!({}), events).stop_reason(), "max_tokens");
}

/// Requirement: No `[DONE]` but finish_reason seen → normal end. Body ends without either → error event, no
/// message_stop.
#[test]
fn a_stream_without_finish_reason_and_done_is_an_error() {
    let broken = [
        vec![openai::role()],
        vec![openai::role(), openai::content("Hel")],
        vec![openai::role(), begins(0, "a", "f"), goes_on(0, "{\"x\"")],
    ];
    for events in broken {
        for ending in [Ending::Close, Ending::Cut, Ending::Reset] {
            let reply =
                answered(json!({}), Answer::events(events.clone()).ending(ending), Delivery::Streamed);
            assert_eq!(reply.error_type(), "api_error", "{ending:?}: {reply}");
            assert!(!reply.raw().contains("message_stop"), "{reply}");
        }
    }
}

/// Complaint of gateway users: turns end silently or for the wrong reason.
#[test]
fn a_body_of_nothing_is_a_502() {
    let reply = answered(json!({}), Answer::events(vec![]), Delivery::Streamed);
    if reply.is_stream() {
        assert_eq!(reply.error_type(), "api_error");
    } else {
        assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
    }
}

#[test]
fn an_answer_without_content_is_one_empty_text_block() {
    let reply = streamed(json!({}), openai::stream(vec![], "stop"));
    assert_eq!(reply.content(), [json!({"type": "text", "text": ""})]);
    assert_eq!(reply.stop_reason(), "end_turn");
}

#[test]
fn empty_deltas_are_not_forwarded() {
    let reply = says(vec![openai::content(""), openai::content("x"), openai::content("")], "stop");
    let deltas = reply.events().iter().filter(|event| event.name == "content_block_delta").count();
    assert_eq!(deltas, 1, "{reply}");
}

/// Requirement: CRLF, comments, `data:` without space are accepted; unknown `event:` names do not lose data.
#[test]
fn unusual_framing_is_read() {
    let text = String::from_utf8(openai::text(&["Hé", "llo"]).concat()).unwrap();
    let forms = [
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replace("data: ", "data:"),
        format!("\u{feff}{text}"),
        text.replace("data: ", ": comment\n: more\nevent: from_the_future\nid: 4\ndata: "),
        text.replace("data: ", "data:\n\ndata: "),
        text.replacen("data: {", "data: {\ndata: ", 1),
        text.trim_end().to_owned(),
    ];
    for form in forms {
        let reply = streamed(json!({}), vec![form.clone().into_bytes()]);
        assert_eq!(reply.text(), "Héllo", "{form}");
    }
}

/// Requirement: Unicode passes unescaped and unbroken, also when split over TCP chunks.
/// Complaint of gateway users: characters break at the borders of chunks.
#[test]
fn characters_split_over_segments_arrive_whole_and_unescaped() {
    let words = "Grüße \u{1F600} 日本語 \u{1}";
    let answer = Answer::events(openai::text(&[words])).byte_by_byte();
    let reply = answered(json!({}), answer, Delivery::Streamed);
    assert_eq!(reply.text(), words);
    assert!(reply.raw().contains("Grüße \u{1F600} 日本語"), "{reply}");
}

#[test]
fn other_choices_and_null_deltas_are_ignored() {
    let events = vec![
        openai::role(),
        openai::chunk(
            &json!([{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]),
        ),
        openai::chunk(&json!([{"index": 0, "delta": null}])),
        openai::chunk(&Value::Null),
        openai::finish("stop"),
        openai::done(),
    ];
    assert_eq!(streamed(json!({}), events).text(), "yes");
}

#[test]
fn content_in_parts_is_joined() {
    let parts =
        openai::delta(&json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}));
    assert_eq!(says(vec![parts], "stop").text(), "ab");
}

/// Requirement: Malformed JSON line → `event: error` with `api_error`, nothing after it.
#[test]
fn invalid_json_ends_the_stream_with_an_error() {
    let events =
        vec![openai::role(), openai::content("Hel"), b"data: {oops\n\n".to_vec(), openai::content("lo")];
    let reply = streamed(json!({}), events);
    assert_eq!(reply.error_type(), "api_error");
    assert!(!reply.raw().contains("\"lo\"") && !reply.raw().contains("oops"), "{reply}");
}

/// Requirement: Upstream `{"error":...}` mid-stream → `event: error` of the mapped type; no `[DONE]`.
#[test]
fn an_error_in_mid_stream_keeps_its_type_and_message() {
    let table = [
        (json!({"message": "slow down", "type": "rate_limit_error", "code": 429}), "rate_limit_error"),
        (json!({"message": "busy", "type": "overloaded_error", "code": 529}), "overloaded_error"),
        (json!({"message": "engine failure", "type": "server_error"}), "api_error"),
    ];
    for (error, kind) in table {
        let events = vec![
            openai::role(),
            openai::content("Hel"),
            openai::data(&json!({"error": error})),
            openai::done(),
        ];
        let reply = streamed(json!({}), events);
        assert_eq!(reply.error(), (kind.to_owned(), error["message"].as_str().unwrap().to_owned()));
    }
}

/// Requirement: Reasoning deltas → thinking_delta and one signature_delta before the block stops.
/// Complaint of gateway users: empty thinking blocks poison a session.
#[test]
fn reasoning_becomes_one_signed_thinking_block_or_nothing() {
    let asked = streamed(thinking(), openai::reasoning());
    assert_eq!((asked.thinking().as_str(), asked.text().as_str()), ("Two and two.", "Four."));
    let signatures =
        asked.events().iter().filter(|event| event.data["delta"]["type"] == "signature_delta").count();
    assert_eq!(signatures, 1, "{asked}");
    let signature = asked.content()[0]["signature"].as_str().unwrap_or_default().to_owned();
    assert!(signature.starts_with("vdm1."), "{signature}");
    let unasked = streamed(json!({}), openai::reasoning());
    assert_eq!(unasked.content(), [json!({"type": "text", "text": "Four."})]);
}

#[test]
fn a_refusal_in_pieces_is_text_with_its_stop_reason() {
    let middle = vec![openai::delta(&json!({"refusal": "I "})), openai::delta(&json!({"refusal": "can't."}))];
    let reply = says(middle, "stop");
    assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("I can't.", "refusal"));
}

#[test]
fn a_stop_sequence_is_reported_if_the_provider_names_it() {
    let finish =
        openai::chunk(&json!([{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]));
    let events = vec![openai::role(), openai::content("x"), finish, openai::done()];
    let message = streamed(json!({"stop_sequences": ["END"]}), events).message();
    assert_eq!(
        (&message["stop_reason"], &message["stop_sequence"]),
        (&json!("stop_sequence"), &json!("END"))
    );
}

#[test]
fn streamed_and_whole_replies_are_the_same_message() {
    let calls = json!([{"id": "call_a", "type": "function",
                        "function": {"name": "get_weather", "arguments": "{\"city\": \"Genève\"}"}}]);
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    let whole =
        answered(json!({}), Answer::json(200, openai::completion(&message, "tool_calls")), Delivery::Whole);
    let stream = streamed(json!({}), openai::tool_call());
    for key in ["content", "stop_reason", "stop_sequence", "usage", "model", "role", "type"] {
        assert_eq!(whole.message()[key], stream.message()[key], "{key}");
    }
}

#[test]
fn a_failure_in_the_first_event_is_one_error() {
    let role =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"the engine is on fire\",\"code\":500}}\n\n";
    let upstream =
        Upstream::openai().always(Answer::whole(200, "text/event-stream", format!("{role}{error}")));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.ask("hi");
    let names = reply.names();
    assert_eq!(names.iter().filter(|name| *name == "error").count(), 1, "{reply}");
    assert_eq!(names.last().map(String::as_str), Some("error"), "{reply}");
    assert!(reply.error_message().contains("on fire"), "{reply}");
}
