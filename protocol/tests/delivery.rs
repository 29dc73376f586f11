//! Converts replies of the client's own API to the form that the client requested.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

use serde_json::{Value, json};
use vandamme_protocol::convert::passthrough::{
    chunks_as_completion, completion_as_chunks, events_as_message, message_as_events,
};
use vandamme_protocol::request::UsageAsked;
use vandamme_protocol::sse;

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// One block of every kind, also of an unknown kind.
fn message() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "container": {"id": "c"},
        "content": [
            {"type": "thinking", "thinking": "Hm \"é\"", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "Hé\n", "citations": [{"type": "char_location", "cited_text": "a"}, {"type": "b"}]},
            {"type": "text", "text": ""},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "t"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, {"b": "\u{1F600}"}]}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            {"type": "of_tomorrow", "x": {"y": 1}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 11, "output_tokens": 9, "cache_read_input_tokens": 7, "service_tier": "standard"}})
}

#[test]
fn a_message_as_events_is_a_valid_stream_with_the_same_content() {
    let events = message_as_events(message().to_string().as_bytes()).unwrap();
    let mut open = None;
    let mut stopped = 0;
    let mut names = vec![];
    for event in sse::events(&events) {
        let data = parsed(&event.data().unwrap());
        let name = String::from_utf8(event.name().unwrap().to_vec()).unwrap();
        assert_eq!(data["type"], name.as_str());
        match name.as_str() {
            "content_block_start" => {
                assert_eq!((open.take(), &data["index"]), (None, &json!(stopped)), "one block at a time");
                open = Some(data["index"].clone());
            }
            "content_block_delta" => assert_eq!(open.as_ref(), Some(&data["index"])),
            "content_block_stop" => {
                assert_eq!(open.take().as_ref(), Some(&data["index"]));
                stopped += 1;
            }
            _ => names.push(name),
        }
    }
    assert_eq!(stopped, message()["content"].as_array().unwrap().len());
    assert_eq!(names, ["message_start", "message_delta", "message_stop"]);
    assert_eq!(parsed(&events_as_message(&events).unwrap()), message());
}

#[test]
fn a_reply_on_several_lines_becomes_events_of_one_line_of_data() {
    let pretty = format!("{:#}", message()).replace('\n', "\r\n");
    let events = message_as_events(pretty.as_bytes()).unwrap();
    assert_eq!(parsed(&events_as_message(&events).unwrap()), message());
    let pretty = format!("{:#}", completion());
    let chunks = completion_as_chunks(pretty.as_bytes(), UsageAsked::ByClient).unwrap();
    assert_eq!(parsed(&chunks_as_completion(&chunks).unwrap()), completion());
    for wire in [events, chunks] {
        let text = String::from_utf8(wire.to_vec()).unwrap();
        let is_known =
            |line: &str| line.is_empty() || line.starts_with("data: ") || line.starts_with("event: ");
        assert!(text.lines().all(is_known), "{text}");
    }
}

#[test]
fn numbers_in_the_input_of_a_call_keep_their_text() {
    let body = r#"{"type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":{"n":123456789012345678901234567890,"f":1.50}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let events = message_as_events(body.as_bytes()).unwrap();
    let back = String::from_utf8(events_as_message(&events).unwrap()).unwrap();
    assert!(back.contains(r#"{"n":123456789012345678901234567890,"f":1.50}"#), "{back}");
}

#[test]
fn later_counts_replace_earlier_ones_and_truncated_arguments_are_kept() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        ": a comment\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":8},\"context_management\":{\"applied_edits\":[]}}\n\n",
        "data: {\"type\":\"message_stop\"}\n\n",
    );
    let message = parsed(&events_as_message(stream.as_bytes()).unwrap());
    assert_eq!(message["usage"], json!({"input_tokens": 3, "output_tokens": 8}));
    assert_eq!(message["content"][0]["input"], json!({"raw_arguments": "{\"a\":"}));
    assert_eq!(
        (&message["stop_reason"], &message["context_management"]),
        (&json!("max_tokens"), &json!({"applied_edits": []}))
    );
}

#[test]
fn an_incomplete_stream_is_a_fault() {
    let events = message_as_events(message().to_string().as_bytes()).unwrap();
    let end = events.len() - "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".len();
    assert_eq!(events_as_message(&events[..end]).unwrap_err().status, 502);
    assert_eq!(events_as_message(b"").unwrap_err().status, 502);
    assert_eq!(events_as_message(b"data: {\"type\":\"message_stop\"}\n\n").unwrap_err().status, 502);
    assert_eq!(events_as_message(b"data: {\n\n").unwrap_err().status, 502);
    let overloaded = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
    assert_eq!(events_as_message(overloaded).unwrap_err().status, 529);
    let chunks = completion_as_chunks(completion().to_string().as_bytes(), UsageAsked::ByClient).unwrap();
    assert_eq!(chunks_as_completion(&chunks[..200]).unwrap_err().status, 502);
    assert_eq!(chunks_as_completion(b"data: [DONE]\n\n").unwrap_err().status, 502);
    assert_eq!(
        chunks_as_completion(b"data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n").unwrap_err().status,
        429
    );
    for body in
        ["", "[]", "{}", "{\"content\":7}", "{\"content\":[7]}", "{\"choices\":[]}", "{\"choices\":[{}]}"]
    {
        assert!(message_as_events(body.as_bytes()).is_err(), "{body}");
        assert!(completion_as_chunks(body.as_bytes(), UsageAsked::ByClient).is_err(), "{body}");
    }
}

fn completion() -> Value {
    let call =
        |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "fp",
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "Hé", "reasoning_content": "r",
                "tool_calls": [call("a"), call("b")]}},
            {"index": 1, "finish_reason": "stop", "logprobs": {"content": [{"token": "x", "logprob": -0.5}]},
                "message": {"role": "assistant", "content": "two"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}})
}

#[test]
fn a_completion_as_chunks_has_the_same_content_and_usage_only_on_request() {
    let body = completion().to_string();
    let chunks = completion_as_chunks(body.as_bytes(), UsageAsked::ByClient).unwrap();
    assert!(chunks.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(parsed(&chunks_as_completion(&chunks).unwrap()), completion());

    let chunks = completion_as_chunks(body.as_bytes(), UsageAsked::ByGateway).unwrap();
    let text = String::from_utf8(chunks.to_vec()).unwrap();
    assert!(!text.contains("\"usage\""), "{text}");
    let first: Value =
        serde_json::from_str(text.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(first["object"], "chat.completion.chunk");
    let delta = &first["choices"][0]["delta"];
    assert_eq!((&delta["tool_calls"][1]["index"], &delta["role"]), (&json!(1), &json!("assistant")));
}

/// OpenAI's Python library joins such lists by their index. Other lists must not receive one.
#[test]
fn calls_and_annotations_in_a_chunk_have_an_index_and_other_lists_have_none() {
    let source = |url: &str| json!({"type": "url_citation", "url_citation": {"url": url}});
    let mut body = completion();
    let message = &mut body["choices"][0]["message"];
    message["annotations"] = json!([source("https://a.example"), source("https://b.example")]);
    message["reasoning_details"] =
        json!([{"type": "a", "index": 0}, {"type": "b", "index": 0}, {"type": "c"}]);
    message["images"] = json!([{"type": "image_url", "image_url": {"url": "u"}}]);
    message["content"] = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    message["empty"] = json!([]);
    message["words"] = json!(["a", "b"]);
    let chunks = completion_as_chunks(body.to_string().as_bytes(), UsageAsked::ByGateway).unwrap();
    let first = std::str::from_utf8(&chunks).unwrap().lines().next().unwrap().strip_prefix("data: ").unwrap();
    let delta = parsed(first.as_bytes())["choices"][0]["delta"].clone();
    for (list, expected) in [
        ("tool_calls", json!([0, 1])),
        ("annotations", json!([0, 1])),
        ("reasoning_details", json!([0, 0, null])),
        ("images", json!([null])),
        ("content", json!([null, null])),
        ("empty", json!([])),
    ] {
        let indexes: Vec<_> =
            delta[list].as_array().unwrap().iter().map(|entry| entry["index"].clone()).collect();
        assert_eq!(json!(indexes), expected, "{list}: {delta}");
    }
    assert_eq!(delta["words"], json!(["a", "b"]));
    let whole = parsed(&chunks_as_completion(&chunks).unwrap());
    assert_eq!(whole["choices"][0]["message"], body["choices"][0]["message"]);
}

#[test]
fn chunks_of_every_vendor_are_collected() {
    let chunk = |delta: Value, finish: Value| {
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    };
    let stream = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"role": "assistant", "content": "Hé"}), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            Value::Null,
        ),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            Value::Null,
        ),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{\"x\":1}"}}]}),
            json!("stop"),
        ),
        "data: {\"choices\":[],\"usage\":{\"total_tokens\":5}}\n\ndata: [DONE]\n\n".to_owned(),
    ];
    let completion = parsed(&chunks_as_completion(stream.concat().as_bytes()).unwrap());
    let message = &completion["choices"][0]["message"];
    assert_eq!((&message["role"], &message["content"]), (&json!("assistant"), &json!("Hé")));
    let called: Vec<_> =
        message["tool_calls"].as_array().unwrap().iter().map(|call| &call["function"]).collect();
    assert_eq!(
        called,
        [&json!({"name": "f", "arguments": "{}"}), &json!({"name": "g", "arguments": "{\"x\":1}"})]
    );
    assert_eq!(completion["usage"]["total_tokens"], 5);
}

#[test]
fn a_message_next_to_its_deltas_counts_once() {
    let chunk = |delta: &str, message: &str, reason: Value| {
        let choice = json!({"index": 0, "delta": {"role": "assistant", "content": delta},
            "message": {"role": "assistant", "content": message}, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "x", "choices": [choice]}))
    };
    let growing =
        [chunk("He", "He", json!(null)), chunk("y", "Hey", json!(null)), chunk("", "Hey", json!("stop"))];
    let at_the_end = [chunk("", "", json!(null)), chunk("", "Hey", json!("stop"))];
    for stream in [growing.concat(), at_the_end.concat()] {
        let completion = parsed(&chunks_as_completion(stream.as_bytes()).unwrap());
        let message = json!({"role": "assistant", "content": "Hey"});
        assert_eq!(completion["choices"][0]["message"], message, "{stream}");
    }
}

#[test]
fn repeated_arguments_are_one_object() {
    const OBJECT: &str = r#"{"a":{"b":"}{"}}"#;
    for (pieces, expected) in [
        (&["{}", OBJECT][..], OBJECT),
        (&[OBJECT, OBJECT], OBJECT),
        (&["{\"a\":", "{\"b\":\"}{\"}}", OBJECT], OBJECT),
        (&["{}"], "{}"),
        (&["{}", "{}"], "{}"),
        (&["{\"a\":"], "{\"a\":"),
        (&["no object"], "no object"),
    ] {
        let piece = |piece: &&str| {
            let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": piece}});
            format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
        };
        let mut stream: String = pieces.iter().map(piece).collect();
        stream += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
        let completion = parsed(&chunks_as_completion(stream.as_bytes()).unwrap());
        let call = &completion["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], expected, "{pieces:?}");
    }
}

/// The calls of a stream of these pieces, collected: names and arguments.
fn collected(pieces: &[Value]) -> Value {
    let piece = |call: &Value| {
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
    };
    let mut stream: String = pieces.iter().map(piece).collect();
    stream += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    let completion = parsed(&chunks_as_completion(stream.as_bytes()).unwrap());
    let calls = completion["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    calls.iter().map(|call| json!([call["function"]["name"], call["function"]["arguments"]])).collect()
}

#[test]
fn calls_that_differ_only_in_their_arguments_are_all_collected() {
    let path = |name: &str| json!({"file_path": format!("/{}/{name}.rs", "work/".repeat(20))}).to_string();
    let (one, two, three) = (path("a"), path("b"), path("c"));
    for shape in [
        json!({}),
        json!({"id": ""}),
        json!({"id": null}),
        json!({"index": 0}),
        json!({"index": 0, "id": ""}),
    ] {
        let piece = |name: &str, arguments: &str| {
            let mut call = shape.clone();
            call["function"] = json!({"name": name, "arguments": arguments});
            call
        };
        let read = |arguments: &str| piece("Read", arguments);
        assert_eq!(
            collected(&[read(&one), read(&two), read(&three)]),
            json!([["Read", one], ["Read", two], ["Read", three]]),
            "{shape}"
        );
        // Each call in pieces, of which the first has the name; and a call without arguments.
        let pieces =
            [read(&one[..9]), piece("", &one[9..]), read(&two[..9]), piece("", &two[9..]), piece("Stop", "")];
        assert_eq!(collected(&pieces), json!([["Read", one], ["Read", two], ["Stop", ""]]), "{shape}");
        let repeated = [read("{}"), read(&one), read(&one), read(&two), read(&two)];
        assert_eq!(collected(&repeated), json!([["Read", one], ["Read", two]]), "{shape}");
        // A piece without a name continues the call. Nothing is lost.
        let nameless = [read(&one), piece("", &two)];
        assert_eq!(collected(&nameless), json!([["Read", format!("{one}{two}")]]), "{shape}");
        let cut = [read(&one), piece("", &two[..two.len() - 1])];
        assert_eq!(collected(&cut), json!([["Read", format!("{one}{}", &two[..two.len() - 1])]]), "{shape}");
    }
    // Two equal calls stay two if the stream marks them as two.
    for member in ["id", "index"] {
        let call = |value: Value| json!({member: value, "function": {"name": "Read", "arguments": one}});
        let (first, second) = if member == "id" { (json!("a"), json!("b")) } else { (json!(0), json!(1)) };
        assert_eq!(collected(&[call(first), call(second)]), json!([["Read", one], ["Read", one]]));
    }
}

#[test]
fn data_known_only_at_the_end_of_a_message_is_sent_with_its_end() {
    let mut whole = message();
    whole["stop_reason"] = json!("refusal");
    whole["stop_details"] = json!({"type": "refusal", "category": "bio", "explanation": "No."});
    let compaction = json!({"type": "compaction", "content": "Summary", "encrypted_content": "EqQB"});
    whole["content"].as_array_mut().unwrap().insert(0, compaction);
    let events = message_as_events(whole.to_string().as_bytes()).unwrap();
    let delta = sse::events(&events).map(|event| parsed(&event.data().unwrap()));
    let delta = delta.into_iter().find(|data| data["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_details"]["explanation"], "No.");
    assert_eq!(parsed(&events_as_message(&events).unwrap()), whole);
}
