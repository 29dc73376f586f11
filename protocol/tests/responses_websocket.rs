//! Conversations over a WebSocket.

#[path = "properties/websocket.rs"]
mod websocket;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A frame or an event, as a line.
fn line() -> impl Strategy<Value = String> {
    let id = prop_oneof![Just(Value::Null), (0..4_u8).prop_map(|number| json!(format!("r\"{number}")))];
    let item = prop_oneof![
        "[a-z]{0,20}".prop_map(|text| json!({"type": "message", "content": text})),
        Just(json!({"type": "reasoning", "id": "rs", "summary": []})),
        Just(json!({"type": "reasoning", "encrypted_content": "é", "summary": []})),
        "[a-z]{2000}".prop_map(Value::from),
    ];
    let input = prop_oneof![
        vec(item.clone(), 0..3).prop_map(Value::from),
        "\\PC{0,9}".prop_map(Value::from),
        Just(Value::Null),
        Just(json!(7)),
    ];
    let create = (id.clone(), input, any::<Option<bool>>(), any::<Option<bool>>()).prop_map(
        |(previous, input, generate, store)| {
            json!({"type": "response.create", "model": "m", "previous_response_id": previous, "input": input,
                   "generate": generate, "store": store, "tools": [{"name": "x"}]})
        },
    );
    let done = (item, 0..3_u8).prop_map(
        |(item, index)| json!({"type": "response.output_item.done", "output_index": index, "item": item}),
    );
    let ended =
        id.prop_map(|id| json!({"type": "response.completed", "response": {"id": id, "output": [1]}}));
    let error = Just(json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}));
    prop_oneof![
        create.prop_map(|frame| format!(">{frame}")),
        done.prop_map(|event| event.to_string()),
        ended.prop_map(|event| event.to_string()),
        error.prop_map(|event| event.to_string()),
        "\\PC{0,30}".prop_map(|text| format!(">{text}")),
        "\\PC{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_has_the_items_of_its_conversation(lines in vec(line(), 0..30)) {
        websocket::check(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        websocket::check(&bytes);
    }
}
