//! The order of messages that Anthropic requires.

use std::collections::HashSet;

use serde_json::Value;

/// Anthropic's rules: turns alternate and begin with the user, no message and no text is empty, ids are unique, and
/// the results of all calls come first in the next message.
pub(crate) fn check_turns(messages: &Value) {
    let mut ids = HashSet::new();
    let mut open = HashSet::new();
    for (at, message) in messages.as_array().expect("messages are a list").iter().enumerate() {
        assert_eq!(message["role"], if at % 2 == 0 { "user" } else { "assistant" });
        let content = message["content"].as_array().expect("blocks");
        assert!(!content.is_empty());
        for block in content {
            match block["type"].as_str().expect("a type") {
                "tool_result" => {
                    let answered = block["tool_use_id"].as_str().expect("an id");
                    assert!(open.remove(answered), "it answers an open call");
                }
                "tool_use" => {
                    let id = block["id"].as_str().expect("an id");
                    assert!(ids.insert(id) && open.insert(id), "ids are unique");
                }
                kind => {
                    assert!(message["role"] == "assistant" || open.is_empty(), "results come first");
                    let text = block["text"].as_str();
                    assert!(kind != "text" || text.is_some_and(|text| !text.trim().is_empty()), "{block}");
                }
            }
        }
        assert!(message["role"] == "assistant" || open.is_empty(), "every call is answered");
    }
}
