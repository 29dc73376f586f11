//! The rules of the Responses API for `input`.

use std::collections::HashSet;

use serde_json::Value;

/// Ids are unique and short, every call has one result behind it, every result has a call, and reasoning stands directly before an
/// item that the model produced.
pub(crate) fn check_items(items: &Value) {
    let items = items.as_array().expect("input is a list");
    let (mut called, mut answered, mut reasoned) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str().expect("a type") {
            "message" => {
                let role = item["role"].as_str().expect("a role");
                assert!(["user", "assistant", "developer"].contains(&role), "{item}");
                let content = item["content"].as_array().expect("parts");
                assert!(!content.is_empty(), "no message is empty");
                let wanted = if role == "assistant" { "output_text" } else { "input_" };
                let kinds = content.iter().map(|part| part["type"].as_str().expect("a type"));
                assert!(kinds.into_iter().all(|kind| kind.starts_with(wanted)), "{item}");
            }
            "function_call" => {
                let id = item["call_id"].as_str().expect("an id");
                assert!((1..=64).contains(&id.chars().count()), "an id that the API refuses: {id}");
                assert!(called.insert(id), "two calls with the id {id}");
                assert!(item["arguments"].is_string() && item.get("id").is_none(), "{item}");
            }
            "function_call_output" => {
                let id = item["call_id"].as_str().expect("an id");
                assert!(
                    called.contains(id) && answered.insert(id),
                    "a result of no call, or a second one: {id}"
                );
                let is_filled = item["output"].as_array().is_some_and(|parts| !parts.is_empty());
                assert!(item["output"].is_string() || is_filled, "{item}");
            }
            "reasoning" => {
                let id = item.get("id").map(|id| id.as_str().expect("an id is a text"));
                assert!(id.is_none_or(|id| !id.is_empty() && reasoned.insert(id)), "{item}");
                let next = items.get(at + 1).expect("reasoning is not the last item");
                let is_produced = match next["type"].as_str() {
                    Some("message") => next["role"] == "assistant",
                    kind => matches!(kind, Some("reasoning" | "function_call")),
                };
                assert!(is_produced, "{next} follows reasoning");
            }
            kind => panic!("an item of another type: {kind}"),
        }
    }
    assert_eq!(called, answered, "every call has a result");
}
