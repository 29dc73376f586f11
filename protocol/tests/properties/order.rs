//! The order of messages that OpenAI requires.

use std::collections::HashSet;

use serde_json::{Value, json};

/// OpenAI's rules: the results of all calls follow their message, and there are no other tool messages.
pub(crate) fn check_order(messages: &Value) {
    let mut open = HashSet::new();
    for message in messages.as_array().expect("messages are a list") {
        match message["role"].as_str().expect("a role") {
            "tool" => {
                let answered = message["tool_call_id"].as_str().expect("an id");
                assert!(open.remove(answered), "a result answers an open call");
            }
            role => {
                assert!(open.is_empty(), "a {role} message came before all results");
                let calls = message["tool_calls"].as_array().into_iter().flatten();
                open = calls.map(|call| call["id"].as_str().expect("an id")).collect();
            }
        }
        assert!(message["content"] != json!([]), "no message is empty");
    }
}
