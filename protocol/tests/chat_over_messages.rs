//! The bridge as its callers use it: random upstream replies against the grammar of a Chat Completions stream.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "grammar/chunks.rs"]
mod grammar;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        ReplyCodec as _, ReplySummary, Step, Transcoder,
        client::chat::{ChatEncoder, ReplyContext, ReplyIdentity, Target, request},
        upstream::messages::MessagesDecoder,
    },
    fault::Fault,
    sse::{self, Splitter},
    vocabulary::{ErrorKind, StopReason, Usage},
};

const IDENTITY: ReplyIdentity =
    ReplyIdentity { seed: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, created: 1_760_000_000 };
const TARGET: Target<'_> = Target { provider: "p", model: "claude-sonnet-4-5", requested_model: "p:m" };

type ToChat = Transcoder<MessagesDecoder, ChatEncoder>;

fn transcoder(context: ReplyContext) -> ToChat {
    Transcoder::new(MessagesDecoder::new(), ChatEncoder::new(context, IDENTITY))
}

fn context(request_fields: Value) -> ReplyContext {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(request_fields.as_object().unwrap().clone());
    request(body.to_string().as_bytes(), &TARGET).unwrap().reply
}

/// Of a client that wants to see all there is.
fn curious() -> ReplyContext {
    context(json!({"reasoning_effort": "low", "stream_options": {"include_usage": true}}))
}

/// Pushes all data and finishes.
fn stream(context: ReplyContext, data: &[String]) -> (Vec<u8>, ReplySummary) {
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    for data in data {
        match machine.push_data(data.as_bytes(), &mut out) {
            Step::More => {}
            Step::End => break,
            Step::Fault(fault) => {
                let outcome = machine.fail(fault, &mut out);
                return (out.to_vec(), outcome);
            }
        }
    }
    let outcome = machine.finish(&mut out);
    (out.to_vec(), outcome)
}

/// A stream that must be complete.
fn complete(data: &[String]) -> grammar::Reply {
    let (wire, outcome) = stream(curious(), data);
    assert_eq!(outcome.fault, None);
    grammar::check(&wire)
}

fn start() -> String {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                  "output_tokens": 1}}})
    .to_string()
}

fn block_start(index: i64, block: Value) -> String {
    json!({"type": "content_block_start", "index": index, "content_block": block}).to_string()
}

fn delta(index: i64, delta: Value) -> String {
    json!({"type": "content_block_delta", "index": index, "delta": delta}).to_string()
}

fn block_stop(index: i64) -> String {
    json!({"type": "content_block_stop", "index": index}).to_string()
}

fn text(index: i64, parts: &[&str]) -> Vec<String> {
    let mut data = vec![block_start(index, json!({"type": "text", "text": ""}))];
    data.extend(parts.iter().map(|part| delta(index, json!({"type": "text_delta", "text": part}))));
    data.push(block_stop(index));
    data
}

fn thinking(index: i64, thought: &str) -> Vec<String> {
    vec![
        block_start(index, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(index, json!({"type": "thinking_delta", "thinking": thought})),
        delta(index, json!({"type": "signature_delta", "signature": "EqQB"})),
        block_stop(index),
    ]
}

fn tool(index: i64, [id, name]: [&str; 2], fragments: &[&str]) -> Vec<String> {
    let mut data = vec![block_start(index, json!({"type": "tool_use", "id": id, "name": name, "input": {}}))];
    let fragment = |fragment| delta(index, json!({"type": "input_json_delta", "partial_json": fragment}));
    data.extend(fragments.iter().map(fragment));
    data.push(block_stop(index));
    data
}

fn end(stop_reason: &str) -> Vec<String> {
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null},
               "usage": {"output_tokens": 9}})
        .to_string(),
        json!({"type": "message_stop"}).to_string(),
    ]
}

fn reply(blocks: &[Vec<String>], stop_reason: &str) -> Vec<String> {
    let mut data = vec![start()];
    data.extend(blocks.concat());
    data.extend(end(stop_reason));
    data
}

#[test]
fn text_goes_out_as_it_came() {
    let mut data = reply(&[text(0, &["ü\u{1F600}\u{0}", ""])], "end_turn");
    data.insert(
        2,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9 \"x\"\n"}}"#
            .to_owned(),
    );
    let (wire, outcome) = stream(curious(), &data);
    let reply = grammar::check(&wire);
    assert_eq!(reply.text, "hé \"x\"\nü\u{1F600}\u{0}");
    assert_eq!((reply.model.as_str(), reply.finish_reason.as_deref()), ("p:m", Some("stop")));
    assert_eq!(reply.id, "chatcmpl-0123456789abcdef0123456789abcdef");
    let usage = Usage { input: 11, output: 9, cache_read: 7, cache_creation: 3 };
    assert_eq!(
        outcome,
        ReplySummary {
            stop_reason: Some(StopReason::EndTurn),
            usage: Some(usage),
            tool_calls: 0,
            fault: None
        }
    );
    assert!(
        String::from_utf8(wire).unwrap().contains(r#""content":"h\u00e9 \"x\"\n""#),
        "the literal is not rewritten"
    );
}

#[test]
fn the_chunks_of_a_small_reply_are_these() {
    let (wire, _) = stream(context(json!({})), &reply(&[text(0, &["hi"])], "max_tokens"));
    let head = r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1760000000,"model":"p:m","choices":[{"index":0,"delta":"#;
    let expected = [
        r#"{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"content":"hi"},"finish_reason":null}]}"#,
        r#"{},"finish_reason":"length"}]}"#,
    ];
    let expected: String = expected.iter().map(|tail| format!("{head}{tail}\n\n")).collect();
    assert_eq!(String::from_utf8(wire).unwrap(), format!("{expected}data: [DONE]\n\n"));
}

#[test]
fn the_usage_counts_what_was_cached_and_is_told_to_those_who_asked() {
    let data = reply(&[text(0, &["x"])], "end_turn");
    let usage = json!({"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
                       "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}});
    assert_eq!(complete(&data).usage, Some(usage.clone()));
    for options in
        [json!({}), json!({"stream_options": null}), json!({"stream_options": {"include_usage": false}})]
    {
        let (wire, outcome) = stream(context(options), &data);
        assert!(!String::from_utf8_lossy(&wire).contains("usage"));
        assert_eq!(outcome.usage.unwrap().prompt_total(), 21);
    }
}

#[test]
fn later_counts_replace_only_what_they_carry() {
    let data = [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"cache_read_input_tokens":5}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":9.0,"output_tokens":1}}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":2,"cache_read_input_tokens":null}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(str::to_owned);
    let (_, outcome) = stream(curious(), &data);
    let usage = Usage { input: 9, output: 2, cache_read: 5, cache_creation: 0 };
    assert_eq!((outcome.usage, outcome.stop_reason), (Some(usage), Some(StopReason::EndTurn)));
}

#[test]
fn calls_are_numbered_among_themselves_and_arrive_in_pieces() {
    let blocks = [
        thinking(0, "hm"),
        text(1, &["Let me see."]),
        tool(2, ["toolu_a", "get_weather"], &["", "{\"city\":", "\"Genève\"}"]),
        tool(3, ["toolu_b", "now"], &[]),
    ];
    let (wire, outcome) = stream(curious(), &reply(&blocks, "tool_use"));
    let reply = grammar::check(&wire);
    let calls = [["toolu_a", "get_weather", "{\"city\":\"Genève\"}"], ["toolu_b", "now", "{}"]]
        .map(|call| call.map(str::to_owned));
    assert_eq!(reply.calls, calls);
    assert_eq!((reply.text.as_str(), reply.reasoning.as_str()), ("Let me see.", "hm"));
    assert_eq!((reply.finish_reason.as_deref(), outcome.tool_calls), (Some("tool_calls"), 2));
}

#[test]
fn reasoning_is_shown_to_those_who_asked_for_it() {
    let data = reply(&[thinking(0, "hm"), text(1, &["42"])], "end_turn");
    for (fields, expected) in [
        (json!({"reasoning_effort": "high"}), "hm"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), "hm"),
        (json!({}), ""),
        (json!({"reasoning_effort": "none"}), ""),
        (json!({"thinking": {"type": "disabled"}}), ""),
    ] {
        let (wire, _) = stream(context(fields), &data);
        let reply = grammar::check(&wire);
        assert_eq!((reply.reasoning.as_str(), reply.text.as_str()), (expected, "42"));
    }
}

#[test]
fn what_the_vendor_runs_itself_is_not_the_clients_to_run() {
    let blocks = [
        vec![
            block_start(
                0,
                json!({"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}),
            ),
            delta(0, json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"})),
            block_stop(0),
            block_start(1, json!({"type": "web_search_tool_result", "tool_use_id": "srv", "content": []})),
            block_stop(1),
            block_start(2, json!({"type": "redacted_thinking", "data": "abc"})),
            block_stop(2),
            block_start(3, json!({"type": "from_the_future", "text": "?"})),
            delta(3, json!({"type": "future_delta", "future": "?"})),
            block_stop(3),
        ],
        text(4, &["found"]),
    ];
    let reply = complete(&reply(&blocks, "tool_use"));
    assert_eq!((reply.text.as_str(), reply.calls.len()), ("found", 0));
    assert_eq!(reply.finish_reason.as_deref(), Some("stop"), "there is nothing to call");
}

#[test]
fn calls_that_vendors_send_oddly_are_understood() {
    let whole_input = vec![
        block_start(0, json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": "é\n"}})),
        block_stop(0),
    ];
    let never_closed = whole_input[..1].to_vec();
    let without_index = ["content_block_start", "content_block_delta", "content_block_stop"].map(|kind| {
        json!({"type": kind, "content_block": {"type": "tool_use", "id": "a", "name": "f"},
               "delta": {"type": "input_json_delta", "partial_json": "{\"x\":\"é\\n\"}"}})
        .to_string()
    });
    for data in [whole_input, never_closed, without_index.to_vec()] {
        let reply = complete(&reply(&[data], "end_turn"));
        assert_eq!(reply.calls, [["a", "f", "{\"x\":\"é\\n\"}"].map(str::to_owned)]);
        assert_eq!(reply.finish_reason.as_deref(), Some("tool_calls"));
    }
    let twins = [tool(0, ["a", "f"], &["1"]), tool(1, ["a", "f"], &["2"]), tool(2, ["", "f"], &["3"])];
    let calls = complete(&reply(&twins, "tool_use")).calls;
    assert_eq!(calls.len(), 3);
    assert!(calls[1..].iter().all(|call| call[0].strip_prefix("toolu_").is_some_and(|hex| hex.len() == 24)));
}

#[test]
fn interleaved_blocks_keep_their_arguments() {
    let [a, b] = [tool(0, ["a", "f"], &["{\"x\"", ":1}"]), tool(1, ["b", "g"], &["{\"y\"", ":2}"])];
    let data: Vec<String> = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect();
    let calls = complete(&reply(&[data], "tool_use")).calls;
    assert_eq!(calls, [["a", "f", "{\"x\":1}"], ["b", "g", "{\"y\":2}"]].map(|call| call.map(str::to_owned)));
}

#[test]
fn stop_reasons_become_finish_reasons() {
    let (said, called) = (text(0, &["x"]), tool(0, ["a", "f"], &["{}"]));
    for (block, stop_reason, expected, reason) in [
        (&said, "end_turn", "stop", StopReason::EndTurn),
        (&said, "stop_sequence", "stop", StopReason::StopSequence),
        (&said, "pause_turn", "stop", StopReason::PauseTurn),
        (&said, "max_tokens", "length", StopReason::MaxTokens),
        (&said, "model_context_window_exceeded", "length", StopReason::ModelContextWindowExceeded),
        (&said, "refusal", "content_filter", StopReason::Refusal),
        (&said, "from_the_future", "stop", StopReason::EndTurn),
        (&called, "tool_use", "tool_calls", StopReason::ToolUse),
        (&called, "end_turn", "tool_calls", StopReason::ToolUse),
        (&called, "max_tokens", "length", StopReason::MaxTokens),
        (&called, "refusal", "content_filter", StopReason::Refusal),
    ] {
        let data = reply(std::slice::from_ref(block), stop_reason);
        let (wire, outcome) = stream(curious(), &data);
        assert_eq!(grammar::check(&wire).finish_reason.as_deref(), Some(expected), "{stop_reason}");
        assert_eq!(outcome.stop_reason, Some(reason));
    }
}

#[test]
fn truncated_arguments_arrive_as_far_as_they_came() {
    let mut data = vec![start()];
    data.extend(tool(0, ["a", "f"], &["{\"city\": \"Gen"]));
    data.extend(end("max_tokens"));
    let reply = complete(&data);
    assert_eq!(
        (reply.calls[0][2].as_str(), reply.finish_reason.as_deref()),
        ("{\"city\": \"Gen", Some("length"))
    );
}

#[test]
fn pings_and_another_apis_last_word_mean_nothing() {
    let mut data = reply(&[text(0, &["x"])], "end_turn");
    for at in [0, 2, 4] {
        data.insert(at, json!({"type": "ping"}).to_string());
        data.insert(at, "[DONE]".to_owned());
        data.insert(at, " ".to_owned());
        data.insert(at, "[]".to_owned());
    }
    assert_eq!(complete(&data).text, "x");
    let mut machine = transcoder(curious());
    let mut out = BytesMut::new();
    assert_eq!(machine.push_data(br#"{"type": "ping"}"#, &mut out), Step::More);
    assert!(out.is_empty() && !machine.started() && !machine.finishing());
}

#[test]
fn errors_inside_a_stream_keep_their_kind_and_write_nothing_by_themselves() {
    for (data, kind, status) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            ErrorKind::Overloaded,
            529,
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            ErrorKind::RateLimit,
            429,
        ),
        (r#"{"type":"error","error":{"type":"api_error","message":"broken"}}"#, ErrorKind::Api, 502),
        (r#"{"type":"error","error":{"type":"teapot","message":"short"}}"#, ErrorKind::Api, 502),
        (r#"{"error":{"message":"slow","code":429}}"#, ErrorKind::RateLimit, 429),
        (r#"{"type":"error"}"#, ErrorKind::Api, 502),
        ("{nonsense", ErrorKind::Api, 502),
        ("\u{fffd}", ErrorKind::Api, 502),
    ] {
        let mut machine = transcoder(curious());
        let mut out = BytesMut::new();
        let Step::Fault(fault) = machine.push_data(data.as_bytes(), &mut out) else {
            panic!("{data} is a fault")
        };
        assert_eq!((fault.kind, fault.status), (kind, status), "{data}");
        assert!(out.is_empty() && !machine.started());
        assert_eq!(machine.finish(&mut out).fault, Some(fault), "finish after a fault is no happy end");
    }
}

#[test]
fn an_upstream_that_never_says_its_last_word_has_failed() {
    let data = reply(&[text(0, &["x"])], "end_turn");
    for end in 0..data.len() {
        let (wire, outcome) = stream(curious(), &data[..end]);
        let reply = grammar::check(&wire);
        assert_eq!((&reply.error.unwrap()["type"], reply.finish_reason), (&json!("server_error"), None));
        assert_eq!(outcome.fault.unwrap().status, 502);
    }
    let (wire, _) = stream(curious(), &[r#"{"type":"message_stop"}"#.to_owned()]);
    assert!(grammar::check(&wire).error.is_some(), "an end without a beginning");
}

#[test]
fn a_client_from_before_there_were_tools_gets_a_function_call() {
    let functions = json!({"functions": [{"name": "f", "parameters": {"type": "object"}}]});
    let data = reply(
        &[text(0, &["Hm."]), tool(1, ["x", "f"], &["{\"a\":", "1}"]), tool(2, ["y", "g"], &["{}"])],
        "tool_use",
    );
    let (wire, outcome) = stream(context(functions.clone()), &data);
    let told = grammar::check(&wire);
    assert_eq!(told.function, Some(["f".to_owned(), "{\"a\":1}".to_owned()]));
    assert_eq!((told.text.as_str(), told.finish_reason.as_deref()), ("Hm.", Some("function_call")));
    assert!(told.calls.is_empty() && outcome.fault.is_none());

    let upstream = json!({"type": "message", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {"a": 1}}],
        "stop_reason": "tool_use"});
    let whole = transcoder(context(functions.clone())).whole(upstream.to_string().as_bytes()).unwrap();
    let choice = serde_json::from_slice::<Value>(&whole.body).unwrap()["choices"][0].clone();
    let call = json!({"name": "f", "arguments": "{\"a\":1}"});
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": null, "refusal": null, "function_call": call})
    );
    assert_eq!(choice["finish_reason"], "function_call");

    // Whoever knows tools gets calls of tools.
    let mut both = functions;
    both["tools"] = json!([{"type": "function", "function": {"name": "g"}}]);
    assert_eq!(grammar::check(&stream(context(both), &data).0).calls.len(), 2);
}

/// Of a client with a custom tool and a function.
fn with_custom_tool() -> ReplyContext {
    context(json!({"tools": [
        {"type": "custom", "custom": {"name": "pätch"}}, {"type": "function", "function": {"name": "f"}}]}))
}

#[test]
fn the_text_for_a_custom_tool_comes_as_its_input() {
    let input = "*** Begin \"Patch\"\n\\ é 🌹\u{1}";
    let arguments = json!({ "input": input }).to_string();
    let characters: Vec<String> = arguments.chars().map(String::from).collect();
    let each: Vec<&str> = characters.iter().map(String::as_str).collect();
    for fragments in [vec![""; 1], vec![arguments.as_str()], each] {
        let expected = if fragments == [""] { "" } else { input };
        let blocks = [
            text(0, &["Let me see."]),
            tool(1, ["toolu_a", "pätch"], &fragments),
            tool(2, ["toolu_b", "f"], &["{\"input\":", "\"x\"}"]),
            tool(3, ["toolu_c", "pätch"], &["{\"inp"]),
        ];
        let (wire, outcome) = stream(with_custom_tool(), &reply(&blocks, "tool_use"));
        let told = grammar::check(&wire);
        let calls =
            [["toolu_a", "pätch", expected], ["toolu_b", "f", "{\"input\":\"x\"}"], ["toolu_c", "pätch", ""]];
        assert_eq!(told.calls, calls.map(|call| call.map(str::to_owned)));
        assert_eq!(
            (told.custom, told.finish_reason.as_deref()),
            (vec![true, false, true], Some("tool_calls"))
        );
        assert_eq!(outcome.tool_calls, 3);
    }
    // Streamed in one piece, in the order in which it is written, and without what wraps it.
    let streamed = [r#"{"input":"a"#, "b", "c\"}"];
    let (wire, _) = stream(with_custom_tool(), &reply(&[tool(0, ["t", "pätch"], &streamed)], "tool_use"));
    let wire = String::from_utf8(wire).unwrap();
    let at = |text: &str| wire.find(text).unwrap_or_else(|| panic!("{text} in {wire}"));
    let name = at(r#""type":"custom","custom":{"name":"pätch","input":""}"#);
    assert!(name < at(r#""custom":{"input":"a"}"#) && at(r#""input":"a""#) < at(r#""custom":{"input":"b"}"#));
}

#[test]
fn a_custom_call_of_a_whole_reply_is_one_too() {
    let upstream = json!({"type": "message", "stop_reason": "tool_use", "content": [
        {"type": "tool_use", "id": "a", "name": "pätch", "input": {"input": "l1\n\"l2\""}},
        {"type": "tool_use", "id": "b", "name": "f", "input": {"input": "x"}},
        {"type": "tool_use", "id": "c", "name": "pätch", "input": {"text": 1}},
        {"type": "tool_use", "id": "d", "name": "pätch", "input": {}}]});
    let body = upstream.to_string();
    let whole = transcoder(with_custom_tool()).whole(body.as_bytes()).unwrap();
    let completion: Value = serde_json::from_slice(&whole.body).unwrap();
    let custom = |id: &str, input: &str| json!({"id": id, "type": "custom", "custom": {"name": "pätch", "input": input}});
    assert_eq!(
        completion["choices"][0]["message"]["tool_calls"],
        json!([
            custom("a", "l1\n\"l2\""),
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{\"input\":\"x\"}"}},
            custom("c", "{\"text\":1}"),
            custom("d", ""),
        ])
    );
    let mut out = BytesMut::new();
    transcoder(with_custom_tool()).whole_as_stream(body.as_bytes(), &mut out).unwrap();
    let told = grammar::check(&out);
    assert_eq!(told.custom, [true, false, true, true]);
    let inputs: Vec<&str> = told.calls.iter().map(|call| call[2].as_str()).collect();
    assert_eq!(inputs, ["l1\n\"l2\"", "{\"input\":\"x\"}", "{\"text\":1}", ""]);
}

#[test]
fn the_sources_of_all_blocks_come_at_once_and_are_numbered() {
    let cited = |url: &str| json!({"type": "citations_delta", "citation": {"type": "web_search_result_location", "url": url, "title": "T"}});
    let block = |index: i64, said: &str, urls: &[&str]| {
        let mut data = text(index, &[said]);
        let citations = urls.iter().map(|url| delta(index, cited(url)));
        data.splice(2..2, citations);
        data
    };
    let blocks = [
        block(0, "one ", &["https://a.example/", "https://b.example/"]),
        tool(1, ["toolu_a", "f"], &["{}"]),
        block(2, "two", &["https://c.example/"]),
    ];
    let told = complete(&reply(&blocks, "end_turn"));
    let expected = [("https://a.example/", 0, 4), ("https://b.example/", 0, 4), ("https://c.example/", 4, 7)];
    assert_eq!(told.sources, expected.map(|(url, start, end)| (url.to_owned(), start, end)));

    // A block that the upstream never ends is over when the next one begins.
    let mut open = blocks[0].clone();
    open.pop();
    let told = complete(&reply(&[open, block(1, "two", &[])], "end_turn"));
    assert_eq!(told.sources.iter().map(|source| source.2).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn the_sources_of_a_text_are_told_behind_it() {
    let cited = |url: Value| json!({"type": "citations_delta", "citation": {"type": "web_search_result_location", "url": url, "title": "T \"q\"", "cited_text": "c", "encrypted_index": "e"}});
    let mut block = text(1, &["é\n", "bc"]);
    block.insert(2, delta(1, cited(json!("https://a.example/x"))));
    block.insert(
        1,
        delta(
            1,
            json!({"type": "citations_delta", "citation": {"type": "char_location", "document_index": 0}}),
        ),
    );
    block.insert(3, delta(1, cited(json!("https://b.example/"))));
    let data = reply(&[text(0, &["See: "]), block, text(2, &["!"])], "end_turn");
    let told = complete(&data);
    assert_eq!(told.text, "See: é\nbc!");
    let expected = [("https://b.example/".to_owned(), 5, 9), ("https://a.example/x".to_owned(), 5, 9)];
    assert_eq!(told.sources, expected);

    let upstream = json!({"type": "message", "stop_reason": "end_turn", "content": [
        {"type": "text", "text": "See: ", "citations": null},
        {"type": "text", "text": "é\nbc", "citations": [cited(json!("https://a.example/x"))["citation"], cited(json!(7))["citation"], 3]}]});
    let whole = transcoder(curious()).whole(upstream.to_string().as_bytes()).unwrap();
    let message = serde_json::from_slice::<Value>(&whole.body).unwrap()["choices"][0]["message"].clone();
    assert_eq!(
        message["annotations"],
        json!([{"type": "url_citation",
        "url_citation": {"start_index": 5, "end_index": 9, "title": "T \"q\"", "url": "https://a.example/x"}}])
    );
}

#[test]
fn a_whole_reply_is_one_completion() {
    let upstream = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, 2.50]}},
            {"type": "server_tool_use", "id": "srv", "name": "w", "input": {}}, null, 7,
            {"type": "text", "text": "b"}, {"type": "tool_use", "id": "y", "name": "g", "input": {}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 2}})
    .to_string();
    let whole = transcoder(curious()).whole(upstream.as_bytes()).unwrap();
    let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    assert_eq!(
        serde_json::from_slice::<Value>(&whole.body).unwrap(),
        json!({"id": "chatcmpl-0123456789abcdef0123456789abcdef", "object": "chat.completion",
            "created": 1_760_000_000, "model": "p:m",
            "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "ab", "refusal": null, "reasoning_content": "r", "tool_calls": [
                    {"id": "x", "type": "function", "function": function("f", "{\"a\":[1,2.5]}")},
                    {"id": "y", "type": "function", "function": function("g", "{}")}]}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0}}})
    );
    assert_eq!((whole.summary.tool_calls, whole.summary.stop_reason), (2, Some(StopReason::ToolUse)));
}

#[test]
fn a_whole_reply_without_text_has_none_and_without_usage_counts_nothing() {
    let upstream = br#"{"type":"message","content":[],"stop_reason":"end_turn"}"#;
    let whole = transcoder(curious()).whole(upstream).unwrap();
    let completion: Value = serde_json::from_slice(&whole.body).unwrap();
    let message = &completion["choices"][0]["message"];
    assert_eq!(message, &json!({"role": "assistant", "content": null, "refusal": null}));
    assert_eq!((&completion["usage"]["total_tokens"], whole.summary.usage), (&json!(0), None));
}

#[test]
fn bad_whole_replies_are_faults() {
    for (upstream, status) in [
        ("", 502),
        ("<html>", 502),
        ("[]", 502),
        ("{}", 502),
        (r#"{"type":"message","content":"x"}"#, 502),
        (r#"{"choices":[{"message":{"content":"x"}}]}"#, 502),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, 529),
        (r#"{"error":{"message":"slow","code":429}}"#, 429),
    ] {
        let fault: Fault = transcoder(curious()).whole(upstream.as_bytes()).unwrap_err();
        assert_eq!(fault.status, status, "{upstream}");
        let mut out = BytesMut::new();
        assert!(
            transcoder(curious()).whole_as_stream(upstream.as_bytes(), &mut out).is_err() && out.is_empty()
        );
    }
}

/// One content block of an upstream's reply, its text cut into pieces.
#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<String>),
    Thinking(String),
    Call(Vec<String>),
    Ping,
}

fn piece() -> impl Strategy<Value = Piece> {
    let json = any::<(String, String)>().prop_map(|(key, value)| json!({key: {"in": [value]}}).to_string());
    let arguments = prop_oneof![Just(String::new()), json, any::<String>()];
    let cut = (arguments, any::<prop::sample::Index>()).prop_map(|(arguments, at)| {
        let letters: Vec<char> = arguments.chars().collect();
        let (front, back) = letters.split_at(if letters.is_empty() { 0 } else { at.index(letters.len()) });
        vec![front.iter().collect::<String>(), back.iter().collect()]
    });
    prop_oneof![
        prop::collection::vec(any::<String>(), 0..4).prop_map(Piece::Text),
        any::<String>().prop_map(Piece::Thinking),
        cut.prop_map(Piece::Call),
        Just(Piece::Ping),
    ]
}

/// An upstream's stream, and what must arrive at the client.
#[derive(Clone, Debug)]
struct Upstream {
    data: Vec<String>,
    /// The same as one message, whose inputs are objects.
    message: Option<Value>,
    text: String,
    reasoning: String,
    calls: Vec<[String; 3]>,
}

fn upstream() -> impl Strategy<Value = Upstream> {
    prop::collection::vec(piece(), 0..8).prop_map(|pieces| play(&pieces))
}

fn play(pieces: &[Piece]) -> Upstream {
    let mut blocks = Vec::new();
    let mut content = Some(Vec::new());
    let (mut text_sum, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for (at, piece) in (0_i64..).zip(pieces) {
        let block = match piece {
            Piece::Text(parts) => {
                text_sum.push_str(&parts.concat());
                blocks.push(text(at, &parts.iter().map(String::as_str).collect::<Vec<_>>()));
                Some(json!({"type": "text", "text": parts.concat()}))
            }
            Piece::Thinking(thought) => {
                reasoning.push_str(thought);
                blocks.push(thinking(at, thought));
                Some(json!({"type": "thinking", "thinking": thought}))
            }
            Piece::Call(parts) => {
                let (id, arguments) = (format!("toolu_{at}"), parts.concat());
                blocks.push(tool(at, [&id, "f"], &parts.iter().map(String::as_str).collect::<Vec<_>>()));
                let shown = if arguments.is_empty() { "{}".to_owned() } else { arguments };
                let input = serde_json::from_str::<Value>(&shown).ok().filter(Value::is_object);
                // A whole reply says its input as JSON, spelled like this here.
                let spelled = input.as_ref().map(Value::to_string);
                let input = input.filter(|_| spelled.as_ref() == Some(&shown));
                calls.push([id.clone(), "f".to_owned(), shown]);
                input.map(|input| json!({"type": "tool_use", "id": id, "name": "f", "input": input}))
            }
            Piece::Ping => {
                blocks.push(vec![json!({"type": "ping"}).to_string()]);
                continue;
            }
        };
        content = content.zip(block).map(|(mut content, block)| {
            content.push(block);
            content
        });
    }
    let stop_reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
    let usage = json!({"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                       "output_tokens": 9});
    let message = content.map(
        |content| json!({"type": "message", "content": content, "stop_reason": stop_reason, "usage": usage}),
    );
    Upstream { data: reply(&blocks, stop_reason), message, text: text_sum, reasoning, calls }
}

/// The stream's wire, whatever slices its own wire comes in.
fn through(context: ReplyContext, slices: &[&[u8]]) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut data = Vec::new();
    for slice in slices {
        splitter.push(slice);
        let block = splitter.complete().unwrap_or_default();
        data.extend(sse::events(&block).filter_map(|event| event.data()).map(|data| text_of(&data)));
    }
    stream(context, &data)
}

fn text_of(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).unwrap()
}

fn wire(data: &[String]) -> Vec<u8> {
    let events = data.iter().map(|data| {
        let name = serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {name}\ndata: {data}\n\n")
    });
    events.collect::<String>().into_bytes()
}

#[test]
fn cut_at_every_byte_it_is_the_same_and_broken_off_at_every_byte_it_never_looks_complete() {
    let blocks = [thinking(0, "é"), text(1, &["ü\u{1F600}"]), tool(2, ["a", "f"], &["{\"x\":", "1}"])];
    let bytes = wire(&reply(&blocks, "tool_use"));
    let (expected, outcome) = through(curious(), &[&bytes]);
    assert_eq!(outcome.fault, None);
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(through(curious(), &[front, back]).0, expected, "cut at {at}");
        let (broken, outcome) = through(curious(), &[front]);
        let reply = grammar::check(&broken);
        assert!(reply.error.is_some() && reply.finish_reason.is_none(), "broken off at {at}");
        assert!(outcome.fault.is_some() && outcome.stop_reason.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_in_a_valid_stream_and_whole_alike(upstream in upstream()) {
        let (wire, outcome) = stream(curious(), &upstream.data);
        let reply = grammar::check(&wire);
        prop_assert_eq!(&reply.text, &upstream.text);
        prop_assert_eq!(&reply.reasoning, &upstream.reasoning);
        prop_assert_eq!(&reply.calls, &upstream.calls);
        prop_assert_eq!(outcome.tool_calls as usize, upstream.calls.len());
        prop_assert_eq!(&reply.usage.as_ref().unwrap()["prompt_tokens"], &json!(21));

        let mut collector = transcoder(curious()).collector();
        for data in &upstream.data {
            collector.push(data.as_bytes());
        }
        let collected = collector.finish().unwrap();
        let completion: Value = serde_json::from_slice(&collected.body).unwrap();
        let choice = &completion["choices"][0];
        prop_assert_eq!(choice["message"]["content"].as_str().unwrap_or_default(), upstream.text.as_str());
        prop_assert_eq!(choice["message"]["reasoning_content"].as_str().unwrap_or_default(), upstream.reasoning);
        let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
        let calls: Vec<_> = calls.map(|call| {
            [&call["id"], &call["function"]["name"], &call["function"]["arguments"]]
                .map(|word| word.as_str().unwrap().to_owned())
        }).collect();
        prop_assert_eq!(&calls, &upstream.calls);
        prop_assert_eq!(choice["finish_reason"].as_str(), reply.finish_reason.as_deref());
        prop_assert_eq!(&completion["usage"], &reply.usage.unwrap());
        prop_assert_eq!(&collected.summary, &outcome);

        if let Some(message) = upstream.message {
            let message = message.to_string();
            let whole = transcoder(curious()).whole(message.as_bytes()).unwrap();
            prop_assert_eq!(&whole, &collected, "a whole upstream reply comes to the same");
            let mut out = BytesMut::new();
            prop_assert_eq!(transcoder(curious()).whole_as_stream(message.as_bytes(), &mut out).unwrap(), outcome);
            let reply = grammar::check(&out);
            prop_assert_eq!(reply.text, upstream.text);
            prop_assert_eq!(reply.calls, upstream.calls);
        }
    }

    #[test]
    fn broken_off_after_any_event_it_ends_with_an_error(upstream in upstream()) {
        for end in 0..upstream.data.len() {
            let (wire, outcome) = stream(curious(), &upstream.data[..end]);
            let reply = grammar::check(&wire);
            prop_assert!(reply.error.is_some() && reply.finish_reason.is_none());
            prop_assert!(outcome.fault.is_some() && outcome.stop_reason.is_none());

            let mut machine = transcoder(curious());
            let mut out = BytesMut::new();
            for data in &upstream.data[..end] {
                machine.push_data(data.as_bytes(), &mut out);
            }
            let fault = Fault { kind: ErrorKind::Timeout, status: 504, message: "too slow".into() };
            machine.fail(fault, &mut out);
            prop_assert_eq!(&grammar::check(&out).error.unwrap()["code"], "timeout");
        }
    }

    #[test]
    fn random_events_neither_panic_nor_break_the_framing(events in prop::collection::vec(event(), 0..12)) {
        let data: Vec<_> = events.iter().map(Value::to_string).collect();
        let (wire, _) = stream(curious(), &data);
        grammar::data(&wire);
        for data in &data {
            let mut out = BytesMut::new();
            if transcoder(curious()).whole_as_stream(data.as_bytes(), &mut out).is_ok() {
                grammar::data(&out);
                let whole = transcoder(curious()).whole(data.as_bytes()).unwrap();
                prop_assert!(serde_json::from_slice::<Value>(&whole.body).is_ok());
            }
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes, &TARGET);
        let _ = transcoder(curious()).whole(&bytes);
        let mut out = BytesMut::new();
        transcoder(curious()).push_data(&bytes, &mut out);
    }
}

/// JSON whose keys and words are those of events, in any place.
fn event() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 16] = [
        "type",
        "index",
        "message",
        "content",
        "content_block",
        "delta",
        "text",
        "thinking",
        "partial_json",
        "id",
        "name",
        "input",
        "stop_reason",
        "usage",
        "input_tokens",
        "error",
    ];
    const WORDS: [&str; 10] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "text",
        "tool_use",
        "thinking",
        "end_turn",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-2..3).prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "[a-z{}\"\\\\]{0,4}".prop_map(|value| json!(value)),
        prop::sample::select(&WORDS[..]).prop_map(|value| json!(value)),
    ];
    let any_json = leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
            prop::collection::btree_map(prop::sample::select(&KEYS[..]), inner, 0..6)
                .prop_map(|map| json!(map)),
        ]
    });
    let typed = |key: &'static str| {
        (prop::sample::select(&WORDS[..]), any_json.clone())
            .prop_map(move |(kind, inner)| json!({"type": kind, key: inner}))
    };
    prop_oneof![any_json.clone(), typed("message"), typed("content_block"), typed("delta"), typed("content")]
}
