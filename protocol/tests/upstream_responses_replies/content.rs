//! Texts and reasoning.

use super::*;

#[test]
fn a_text_arrives_as_it_comes() {
    let events = [
        created(),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]))}),
        added(0, said(0, &[])),
        json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": ""}}),
        text_delta(0, 0, "Hello, \u{1F600}"),
        text_delta(0, 0, " world\n"),
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello, \u{1F600} world\n"}),
        done(0, said(0, &["Hello, \u{1F600} world\n"])),
        completed(json!([said(0, &["Hello, \u{1F600} world\n"])])),
    ];
    let (message, summary) = ended(plain(), &events);
    assert_eq!(message["content"], json!([{"type": "text", "text": "Hello, \u{1F600} world\n"}]));
    assert_eq!((&message["model"], &message["stop_reason"]), (&json!("p:m"), &json!("end_turn")));
    let usage = Usage { input: 6, output: 5, cache_read: 4, reasoning: 2, ..Usage::default() };
    assert_eq!((summary.usage, summary.stop_reason), (Some(usage), Some(StopReason::EndTurn)));

    let mut codec = transcoder(plain());
    let mut out = BytesMut::new();
    codec.push_data(events[0].to_string().as_bytes(), &mut out);
    codec.push_data(events[1].to_string().as_bytes(), &mut out);
    assert!(!codec.started() && out.is_empty(), "the reply can still fail without a word");
    codec.push_data(events[2].to_string().as_bytes(), &mut out);
    assert!(codec.started());
    codec.push_data(events[4].to_string().as_bytes(), &mut out);
    assert!(out.ends_with(b"\"text\":\"Hello, \xf0\x9f\x98\x80\"}}\n\n"), "the text does not wait");
}

/// Vendors leave out indexes, ids, beginnings or deltas.
#[test]
fn a_text_arrives_whatever_is_missing() {
    let expected = json!([{"type": "text", "text": "Hello"}]);
    let bare = |delta: &str| json!({"type": "response.output_text.delta", "delta": delta});
    let delta = [bare("Hel"), bare("lo")];
    let unnamed = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]});
    let unnamed_done = json!({"type": "response.output_item.done", "item": unnamed});
    let begun = json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}});
    let end = completed(json!([]));
    for events in [
        vec![bare("Hel"), bare("lo"), end.clone()],
        vec![begun.clone(), bare("Hel"), bare("lo"), unnamed_done.clone(), end.clone()],
        vec![unnamed_done.clone(), completed(json!([unnamed]))],
        vec![bare("Hel"), unnamed_done.clone(), completed(json!([unnamed]))],
        vec![bare("Hel"), completed(json!([unnamed]))],
        vec![completed(json!([unnamed]))],
        vec![created(), done(3, said(3, &["Hello"])), completed(json!([said(3, &["Hello"])]))],
        vec![json!({"type": "response.output_text.done", "text": "Hello"}), end.clone()],
        vec![text_delta(0, 0, "Hel"), text_delta(0, 0, "lo"), json!({"type": "response.completed"})],
        // The final list has another id.
        vec![
            added(0, said(0, &[])),
            text_delta(0, 0, "Hello"),
            done(0, said(7, &["Hello"])),
            completed(json!([said(8, &["Hello"])])),
        ],
        // The final list has reasoning that nobody announced, so positions differ.
        vec![
            delta[0].clone(),
            delta[1].clone(),
            completed(json!([{"type": "reasoning", "summary": []}, unnamed])),
        ],
    ] {
        assert_eq!(message(&events)["content"], expected, "{events:?}");
    }
}

#[test]
fn the_parts_and_the_messages_of_a_reply_keep_their_order() {
    let events = [
        added(0, said(0, &[])),
        text_delta(0, 0, "a"),
        text_delta(0, 1, "b"),
        done(0, said(0, &["a", "b"])),
        added(1, said(1, &[])),
        text_delta(1, 0, "c"),
        done(1, said(1, &["c"])),
        completed(json!([said(0, &["a", "b"]), said(1, &["c"]), said(2, &["only in the end"])])),
    ];
    let expected = json!([{"type": "text", "text": "ab"}, {"type": "text", "text": "c"},
        {"type": "text", "text": "only in the end"}]);
    assert_eq!(message(&events)["content"], expected);
    let items = json!([said(0, &["a", "b"]), said(1, &["c"]), said(2, &["only in the end"])]);
    assert_eq!(content_of(thinking(), items), expected);
}

/// Complaint of gateway users: content block not found.
#[test]
fn interleaved_items_arrive_one_after_the_other() {
    let events = [
        added(0, thought(0, &[], None)),
        added(1, said(1, &[])),
        text_delta(1, 0, "x"),
        summary_delta(0, 0, "t"),
        added(2, call(2, "f", "")),
        arguments_delta(2, "{\"a\":"),
        text_delta(1, 0, "y"),
        summary_delta(0, 0, "u"),
        done(1, said(1, &["xy"])),
        arguments_delta(2, "1}"),
        done(0, thought(0, &["tu"], Some("enc"))),
        done(2, call(2, "f", "{\"a\":1}")),
        completed(json!([])),
    ];
    assert_eq!(
        message(&events)["content"],
        json!([
            {"type": "thinking", "thinking": "tu", "signature": signed("rs_0", "enc")},
            {"type": "text", "text": "xy"},
            {"type": "tool_use", "id": "call_2", "name": "f", "input": "{\"a\":1}"},
        ])
    );
}

#[test]
fn all_items_with_the_same_index_stay_apart() {
    let events = [
        added(0, thought(0, &[], None)),
        summary_delta(0, 0, "t"),
        done(0, thought(0, &["t"], None)),
        added(0, said(1, &[])),
        json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_1", "delta": "x"}),
        done(0, said(1, &["x"])),
        added(0, call(2, "f", "")),
        added(0, call(3, "g", "")),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_3", "delta": "{}"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_2", "delta": "{\"a\":1}"}),
        done(0, call(2, "f", "{\"a\":1}")),
        done(0, call(3, "g", "{}")),
        completed(json!([
            thought(0, &["t"], None),
            said(1, &["x"]),
            call(2, "f", "{\"a\":1}"),
            call(3, "g", "{}")
        ])),
    ];
    let content = message(&events)["content"].clone();
    let kinds: Vec<&str> =
        content.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!((&content[2]["input"], &content[3]["input"]), (&json!("{\"a\":1}"), &json!("{}")));
}

#[test]
fn reasoning_is_shown_with_its_parts_and_carries_what_the_upstream_needs_back() {
    let events = [
        created(),
        added(0, thought(0, &[], Some("partial"))),
        summary_delta(0, 0, "**One**"),
        summary_delta(0, 0, "."),
        json!({"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "**One**."}),
        summary_delta(0, 1, "Two"),
        done(0, thought(0, &["**One**.", "Two"], Some("gAAA\"\n"))),
        done(1, thought(1, &[], Some("hidden"))),
        done(2, thought(2, &[], None)),
        done(3, said(3, &["x"])),
        completed(json!([])),
    ];
    let expected = json!([
        {"type": "thinking", "thinking": "**One**.\n\nTwo", "signature": signed("rs_0", "gAAA\"\n")},
        {"type": "thinking", "thinking": "", "signature": signed("rs_1", "hidden")},
        {"type": "text", "text": "x"},
    ]);
    assert_eq!(message(&events)["content"], expected);
    let items = json!([
        thought(0, &["**One**.", "", "Two"], Some("gAAA\"\n")),
        thought(1, &[], Some("hidden")),
        thought(2, &[], None),
        said(3, &["x"])
    ]);
    assert_eq!(content_of(thinking(), items.clone()), expected);
    assert_eq!(
        content_of(plain(), items),
        json!([{"type": "text", "text": "x"}]),
        "nobody asked for thinking"
    );
    assert_eq!(ended(plain(), &events).0["content"], json!([{"type": "text", "text": "x"}]));
}

/// Models without a summary, on servers that show the reasoning itself.
#[test]
fn the_reasoning_itself_is_shown_once() {
    let item = json!({"type": "reasoning", "id": "rs_0", "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}]});
    let delta = |kind: &str, text: &str| json!({"type": format!("response.{kind}.delta"), "item_id": "rs_0", "delta": text});
    let expected =
        json!([{"type": "thinking", "thinking": "long", "signature": signature::mint("p", "up/m")}]);
    for kind in ["reasoning_text", "reasoning"] {
        let events = [
            added(0, json!({"type": "reasoning", "id": "rs_0", "summary": []})),
            delta(kind, "lo"),
            delta(kind, "ng"),
            delta("reasoning_summary_text", "short"),
            done(0, item.clone()),
            completed(json!([])),
        ];
        assert_eq!(message(&events)["content"], expected);
    }
    assert_eq!(content_of(thinking(), json!([item])), expected);
    let string = json!([{"type": "reasoning", "summary": null, "content": "long", "encrypted_content": ""}]);
    assert_eq!(content_of(thinking(), string), expected);
}

/// Complaint of gateway users: characters break at the borders of chunks.
#[test]
fn half_a_character_waits_for_the_other() {
    let raw = |delta: &str| {
        format!(r#"{{"type":"response.output_text.delta","output_index":0,"delta":"{delta}"}}"#)
    };
    let mut codec = transcoder(plain());
    let mut out = BytesMut::new();
    for data in [raw("a\\ud83d"), raw("\\ude00b"), completed(json!([])).to_string()] {
        codec.push_data(data.as_bytes(), &mut out);
    }
    codec.finish(&mut out);
    assert_eq!(grammar::check(&out).message["content"][0]["text"], "a\u{1F600}b");
}

#[test]
fn white_space_alone_is_no_block() {
    let events = [
        done(0, said(0, &["\n\n"])),
        added(1, said(1, &[])),
        text_delta(1, 0, " \n"),
        text_delta(1, 0, "x"),
        done(1, said(1, &[" \nx"])),
        completed(json!([])),
    ];
    assert_eq!(message(&events)["content"], json!([{"type": "text", "text": " \nx"}]));
    assert_eq!(message(&[completed(json!([]))])["content"], json!([{"type": "text", "text": ""}]));
}

#[test]
fn hosted_calls_and_unknown_events_change_nothing() {
    let events = [
        created(),
        json!({"type": "response.something.new", "output_index": 0, "delta": "x"}),
        json!({"type": "keepalive"}),
        json!([1]),
        added(0, json!({"type": "code_interpreter_call", "id": "ci_0", "code": "1", "outputs": []})),
        json!({"type": "response.code_interpreter_call_code.delta", "output_index": 0, "delta": "x"}),
        added(1, said(1, &[])),
        text_delta(1, 0, "x"),
        done(0, json!({"type": "code_interpreter_call", "id": "ci_0", "code": "1", "outputs": []})),
        done(1, said(1, &["x"])),
        done(2, json!({"type": "image_generation_call", "id": "ig_2", "result": "AAAA"})),
        done(3, Value::Null),
        completed(json!([7, null])),
    ];
    assert_eq!(message(&events)["content"], json!([{"type": "text", "text": "x"}]));
}
