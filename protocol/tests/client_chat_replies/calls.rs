//! Tool calls, functions and custom tools.

use super::*;

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

    // A client that sends `tools` receives tool calls.
    let mut both = functions;
    both["tools"] = json!([{"type": "function", "function": {"name": "g"}}]);
    assert_eq!(grammar::check(&stream(context(both), &data).0).calls.len(), 2);
}

/// Of a client with a custom tool and a function.
fn with_custom_tool() -> MessagesReplyContext {
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
