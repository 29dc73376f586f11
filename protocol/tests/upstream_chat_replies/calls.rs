//! Tool calls: interleaved, parallel, and in unusual forms of vendors.

use super::*;

/// Complaint of gateway users: parallel tool calls interleave.
#[test]
fn interleaved_calls_are_sent_one_after_the_other() {
    let data = [
        tool(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "get_"}})),
        tool(json!({"index": 0, "function": {"name": "weather", "arguments": ""}})),
        tool(json!({"index": 0, "function": {"arguments": "{\"x\":"}})),
        tool(json!({"index": 1, "id": "b", "function": {"name": "time", "arguments": "{"}})),
        delta(json!({"content": "meanwhile"})),
        tool(json!({"index": 0, "function": {"arguments": "1}"}})),
        tool(json!({"index": 1, "function": {"arguments": "}"}})),
        finish("stop"),
        done(),
    ];
    let message = message(&data);
    assert_eq!(
        message["content"],
        json!([
            {"type": "tool_use", "id": "a", "name": "get_weather", "input": "{\"x\":1}"},
            {"type": "text", "text": "meanwhile"},
            {"type": "tool_use", "id": "b", "name": "time", "input": "{}"},
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn calls_that_share_an_index_or_lack_one_stay_separate() {
    let inputs = |data: &[String]| -> Vec<Value> {
        let content = message(data)["content"].clone();
        content.as_array().unwrap().iter().map(|block| json!([block["name"], block["input"]])).collect()
    };
    let expected = [json!(["f", "{\"a\":1}"]), json!(["g", "{}"])];
    let first = json!({"id": "a", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let second = json!({"id": "b", "function": {"name": "g", "arguments": "{}"}});
    let with = |value: &Value, field: &str, new: Value| {
        let mut value = value.clone();
        value[field] = new;
        value
    };
    for (field, new) in [
        ("index", json!(0)),
        ("index", json!(null)),
        ("index", json!(-1)),
        ("index", json!(0.5)),
        ("id", json!(null)),
        ("id", json!("")),
    ] {
        let data = [
            tool(with(&first, field, new.clone())),
            tool(with(&second, field, new)),
            finish("tool_calls"),
            done(),
        ];
        assert_eq!(inputs(&data), expected, "{field}");
    }
}

#[test]
fn a_hundred_calls_with_long_arguments_arrive_in_order() {
    let long = json!({"text": "é\u{1}\"{[".repeat(20_000)}).to_string();
    let call = |at: usize| json!({"index": at, "id": format!("c{at}"), "function": {"name": "f", "arguments": long}});
    let mut data: Vec<_> = (0..100).map(|at| tool(call(at))).collect();
    data.extend([finish("tool_calls"), done()]);
    let message = message(&data);
    let content = message["content"].as_array().unwrap();
    assert_eq!(content.len(), 100);
    for (at, block) in content.iter().enumerate() {
        assert_eq!((&block["id"], &block["input"]), (&json!(format!("c{at}")), &json!(long)));
    }
}

#[test]
fn one_call_stays_one_whatever_the_vendor_repeats() {
    let pieces = ["{\"a\":", "\"b\"", "}"];
    let repeats: [fn(usize) -> Value; 4] = [
        |_| json!({"index": 0, "id": "a", "function": {"name": "f"}}),
        |at| json!({"index": 0, "id": format!("fresh{at}"), "function": {"name": if at == 0 { "f" } else { "" }}}),
        |at| json!({"id": format!("fresh{at}"), "function": {"name": if at == 0 { json!("f") } else { json!(null) }}}),
        |at| if at == 0 { json!({"id": "a", "function": {"name": "f"}}) } else { json!({"function": {}}) },
    ];
    for repeat in repeats {
        let mut data = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let mut fragment = repeat(at);
            fragment["function"]["arguments"] = json!(piece);
            data.push(tool(fragment));
        }
        let mut again = repeat(0);
        again["id"] = json!(null);
        again["function"]["arguments"] = json!("");
        data.extend([tool(again), finish("tool_calls"), done()]);
        let content = message(&data)["content"].clone();
        assert_eq!(content.as_array().unwrap().len(), 1, "{content}");
        assert_eq!((&content[0]["name"], &content[0]["input"]), (&json!("f"), &json!("{\"a\":\"b\"}")));
    }
}

/// The arguments of every call, as they were sent.
fn all_inputs(data: &[String]) -> Vec<String> {
    let message = message(data);
    let blocks = message["content"].as_array().unwrap();
    blocks.iter().map(|block| block["input"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn parallel_calls_with_the_same_beginning_and_length_are_all_sent() {
    let path = |name: &str| json!({"file_path": format!("/{}/{name}.rs", "work/".repeat(20))}).to_string();
    let inputs_wanted = ["a", "b", "c"].map(path);
    for shape in [json!({}), json!({"id": ""}), json!({"index": 0}), json!({"index": 0, "id": ""})] {
        let calls = inputs_wanted.each_ref().map(|arguments| {
            let mut call = shape.clone();
            call["function"] = json!({"name": "Read", "arguments": arguments});
            call
        });
        // Some vendors repeat a whole call.
        let repeated = [&calls[0], &calls[0], &calls[1], &calls[2], &calls[2]];
        for mut data in [
            calls.iter().cloned().map(tool).collect(),
            vec![delta(json!({"tool_calls": calls}))],
            repeated.into_iter().cloned().map(tool).collect::<Vec<_>>(),
        ] {
            data.extend([finish("tool_calls"), done()]);
            assert_eq!(all_inputs(&data), inputs_wanted, "{shape}");
            let mut collector = transcoder(thinking()).collector();
            data.iter().for_each(|data| drop(collector.push(data.as_bytes())));
            let whole: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
            assert_eq!(whole["content"].as_array().unwrap().len(), 3, "{shape}");
        }
    }
    // Two equal calls stay two if the stream marks them as two.
    for (first, second) in
        [(json!({"id": "x"}), json!({"id": "y"})), (json!({"index": 0}), json!({"index": 1}))]
    {
        let call = |mut call: Value| {
            call["function"] = json!({"name": "Read", "arguments": inputs_wanted[0]});
            tool(call)
        };
        let data = [call(first), call(second), finish("tool_calls"), done()];
        assert_eq!(all_inputs(&data), [&*inputs_wanted[0]; 2]);
    }
}

#[test]
fn invalid_tool_deltas_cause_no_failure() {
    let data = [
        delta(json!({"tool_calls": [null, 3, {"index": 0, "function": "x"}, {"index": 0}]})),
        tool(json!({"index": 0, "function": {"arguments": "{\"a\""}})),
        tool(json!({"index": 0, "function": {"name": "f", "arguments": null}})),
        tool(json!({"index": 0, "id": "late", "function": {"name": "f", "arguments": ":2}"}})),
        tool(json!({"index": 1, "id": "late", "function": {"name": "obj", "arguments": {"k": ["v\n"]}}})),
        tool(json!({"index": 2, "id": "c", "function": {"name": "none"}})),
        finish("tool_calls"),
        finish("length"),
        done(),
    ];
    let message = message(&data);
    let content = message["content"].as_array().unwrap();
    let inputs: Vec<_> = content.iter().map(|block| block["input"].as_str().unwrap()).collect();
    assert_eq!(inputs, ["{\"a\":2}", "{\"k\":[\"v\\n\"]}", "{}"]);
    assert!(content[0]["id"] != content[1]["id"] && content[1]["id"].as_str().unwrap().len() > 5);
    assert_eq!(message["stop_reason"], "max_tokens", "the later finish_reason wins");
}
