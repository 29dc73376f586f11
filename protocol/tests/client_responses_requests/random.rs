//! Random conversations: whatever a client sends, the upstream gets a valid request in which nothing is missing.

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{order::check_order, over_chat::CHAT};
use vandamme_protocol::convert::upstream::chat::{ChatUpstream, PLAIN, request as chat_request};

/// An item with a text of its own, which must not get lost.
fn item(at: usize, kind: usize, id: usize) -> (Value, Option<String>) {
    let mark = format!("mark-{at}-end");
    let call_id = format!("call_{id}");
    let item = match kind {
        0 => said("user", &mark),
        1 => {
            json!({"role": "user", "content": [{"type": "input_text", "text": mark}, {"type": "input_image", "image_url": PNG}]})
        }
        2 => said("assistant", &mark),
        3 => said("developer", &mark),
        4 => called(&call_id, &json!({ "a": mark }).to_string()),
        5 => json!({"type": "custom_tool_call", "call_id": call_id, "name": "c", "input": mark}),
        6 => {
            json!({"type": "function_call", "namespace": "n", "name": "g", "call_id": call_id, "arguments": json!({"a": mark}).to_string()})
        }
        7 => output(&call_id, json!(mark)),
        8 => {
            json!({"type": "custom_tool_call_output", "call_id": call_id, "output": [{"type": "input_text", "text": mark}]})
        }
        9 => json!({"type": "mcp_call", "name": "m", "server_label": "s", "arguments": "{}", "output": mark}),
        10 => return (thought(&[&mark], &sealed("p", MODEL, "sig")), None),
        11 => return (thought(&[&mark], "foreign"), None),
        _ => return (json!({"type": "web_search_call", "id": "ws", "status": "completed"}), None),
    };
    (item, Some(mark))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_conversation_is_valid_and_complete(
        script in prop::collection::vec((0..13_usize, 0..3_usize), 1..16), tools in 0..3_usize, choice in any::<Index>(),
    ) {
        let items: Vec<_> = script.iter().enumerate().map(|(at, (kind, id))| item(at, *kind, *id)).collect();
        let marks: Vec<_> = items.iter().filter_map(|(_, mark)| mark.as_deref()).collect();
        let input: Vec<_> = items.iter().map(|(item, _)| item.clone()).collect();
        let listed = [json!([]), json!([function("f")]), json!([function("f"), {"type": "custom", "name": "c"}, {"type": "namespace", "name": "n", "tools": [function("g")]}])];
        let choices = [json!(null), json!("auto"), json!("none")];
        let body = plus(json!({"input": input, "tools": listed[tools], "tool_choice": choices[choice.index(3)], "reasoning": {"effort": "low", "summary": "auto"}, "prompt_cache_key": "k"}));

        let sent = body_of(&translate(&body, &TARGET)).to_string();
        for mark in &marks {
            prop_assert_eq!(sent.matches(mark).count(), 1, "{}", mark);
        }

        let translated = translate(&body, &CHAT);
        let target = ChatUpstream { provider: "p", model: CHAT.model, requested_model: "p:m", dialect: &PLAIN, session: None, members: Some(&translated.members) };
        let sent: Value = serde_json::from_slice(&chat_request(&translated.body, &target).unwrap().body).unwrap();
        check_order(&sent["messages"]);
        for mark in &marks {
            prop_assert_eq!(sent["messages"].to_string().matches(mark).count(), 1, "{}", mark);
        }
    }
}
