//! Tool calls.

use super::*;

fn inputs(message: &Value) -> Vec<(String, String)> {
    let blocks = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
    let text = |block: &Value, name: &str| block[name].as_str().unwrap().to_owned();
    blocks.map(|block| (text(block, "name"), text(block, "input"))).collect()
}

/// Complaint of gateway users: tool calls arrive with empty input.
#[test]
fn the_arguments_arrive_once_however_they_are_sent() {
    let arguments_done = json!({"type": "response.function_call_arguments.done", "output_index": 0,
        "item_id": "fc_0", "arguments": "{\"a\":{\"b\":1}}"});
    let full = call(0, "f", "{\"a\":{\"b\":1}}");
    let begun = added(0, call(0, "f", ""));
    let end = completed(json!([full]));
    let raw = json!({"type": "function_call", "id": "fc_0", "call_id": "call_0", "name": "f", "arguments": {"a": {"b": 1}}});
    for events in [
        vec![
            begun.clone(),
            arguments_delta(0, "{\"a\":"),
            arguments_delta(0, "{\"b\":1}}"),
            arguments_done.clone(),
            done(0, full.clone()),
            end.clone(),
        ],
        vec![
            begun.clone(),
            arguments_delta(0, "{\"a\":"),
            arguments_done.clone(),
            done(0, full.clone()),
            end.clone(),
        ],
        vec![begun.clone(), arguments_delta(0, "{\"a\":"), done(0, full.clone()), end.clone()],
        vec![begun.clone(), arguments_done.clone(), done(0, full.clone()), end.clone()],
        vec![begun.clone(), arguments_done.clone(), end.clone()],
        vec![begun.clone(), done(0, full.clone()), end.clone()],
        vec![begun.clone(), end.clone()],
        vec![done(0, full.clone()), end.clone()],
        vec![done(0, full.clone()), completed(json!([]))],
        vec![end.clone()],
        vec![added(0, full.clone()), done(0, full.clone()), end.clone()],
        vec![added(0, call(0, "f", "{}")), done(0, full.clone()), end.clone()],
        vec![arguments_delta(0, "{\"a\":{\"b\":1}}"), done(0, full.clone()), end.clone()],
        vec![done(0, raw), end.clone()],
    ] {
        let (message, summary) = ended(thinking(), &events);
        assert_eq!(inputs(&message), [("f".to_owned(), "{\"a\":{\"b\":1}}".to_owned())], "{events:?}");
        assert_eq!(
            (&message["content"][0]["id"], message["content"].as_array().unwrap().len()),
            (&json!("call_0"), 1)
        );
        assert_eq!((&message["stop_reason"], summary.tool_calls), (&json!("tool_use"), 1));
    }
}

#[test]
fn a_call_begins_before_its_arguments_are_complete() {
    let mut codec = transcoder(plain());
    let mut out = BytesMut::new();
    for event in [added(0, call(0, "f", "")), arguments_delta(0, "{\"a\":")] {
        codec.push_data(event.to_string().as_bytes(), &mut out);
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.contains("\"name\":\"f\"") && text.contains(r#""partial_json":"{\"a\":""#), "{text}");
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    for arguments in ["", "{}", "{ }"] {
        let whole = content_of(plain(), json!([call(0, "f", arguments)]));
        assert_eq!(whole[0]["input"], json!({}), "{arguments:?}");
        let events = [added(0, call(0, "f", "")), done(0, call(0, "f", arguments)), completed(json!([]))];
        let (message, _) = ended(plain(), &events);
        assert_eq!(serde_json::from_str::<Value>(&inputs(&message)[0].1).unwrap(), json!({}));
    }
}

#[test]
fn parallel_calls_keep_their_order_and_their_arguments() {
    let events = [
        added(0, call(0, "f", "")),
        added(1, call(1, "g", "")),
        arguments_delta(1, "{\"b\":"),
        arguments_delta(0, "{\"a\":"),
        arguments_delta(1, "2}"),
        arguments_delta(0, "1}"),
        done(1, call(1, "g", "{\"b\":2}")),
        done(0, call(0, "f", "{\"a\":1}")),
        completed(json!([])),
    ];
    let expected = [("f".to_owned(), "{\"a\":1}".to_owned()), ("g".to_owned(), "{\"b\":2}".to_owned())];
    assert_eq!(inputs(&message(&events)), expected);
}

#[test]
fn a_custom_call_has_its_input_in_an_object() {
    const INPUT: &str = "*** Begin Patch\n\"é\\n\"\u{1F600}";
    let input: Value = json!({"input": INPUT});
    let begun = added(0, custom_call(0, "apply_patch", ""));
    let delta = |delta: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_0", "delta": delta});
    let full = custom_call(0, "apply_patch", INPUT);
    let (front, back) = INPUT.split_at(20);
    for events in [
        vec![begun.clone(), delta(front), delta(back), done(0, full.clone()), completed(json!([]))],
        vec![
            begun.clone(),
            delta(front),
            json!({"type": "response.custom_tool_call_input.done", "output_index": 0, "item_id": "ctc_0", "input": INPUT}),
            done(0, full.clone()),
            completed(json!([full])),
        ],
        vec![done(0, full.clone()), completed(json!([full]))],
        vec![completed(json!([full]))],
    ] {
        let found = inputs(&message(&events));
        assert_eq!((found.len(), found[0].0.as_str()), (1, "apply_patch"), "{events:?}");
        assert_eq!(serde_json::from_str::<Value>(&found[0].1).unwrap(), input, "{events:?}");
    }
    assert_eq!(content_of(plain(), json!([full]))[0]["input"], input);
    assert_eq!(content_of(plain(), json!([custom_call(0, "f", "")]))[0]["input"], json!({"input": ""}));
}

#[test]
fn every_id_is_portable_and_different() {
    let with_id = |id: Value| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let ids = [json!("functions.f:0"), json!("call_1"), json!("call_1"), json!(null), json!(""), json!("")];
    let items: Vec<Value> = ids.into_iter().map(with_id).collect();
    let content = content_of(plain(), json!(items));
    let ids: Vec<&str> =
        content.as_array().unwrap().iter().map(|block| block["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("vdm1_") && ids[1] == "call_1", "{ids:?}");
    assert!(
        ids.iter()
            .all(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'))
    );
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 6, "{ids:?}");
}

#[test]
fn a_call_without_a_name_is_none() {
    let nameless = json!({"type": "function_call", "call_id": "call_0", "arguments": "{}"});
    let (message, summary) =
        ended(plain(), &[added(0, nameless), done(1, said(1, &["x"])), completed(json!([]))]);
    assert_eq!((message["content"].as_array().unwrap().len(), summary.tool_calls), (1, 0));
    assert_eq!(message["stop_reason"], "end_turn");
}
