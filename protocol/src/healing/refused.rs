//! Values that an upstream refuses of members that it knows: how one is told, in a request and in a rule.

use serde_json::Value;

use crate::span::value_at;

/// What is longer says more than a setting.
const LONGEST: usize = 128;

/// The value at this path, as a rule writes it: a text without its quotes, all else as compact JSON. `None` for what no
/// rule could hold, and for members that stand in lists.
pub(super) fn value(body: &[u8], path: &str) -> Option<String> {
    let names: Vec<&str> = path.split('.').collect();
    let value = match serde_json::from_slice(value_at(body, &names)?).ok()? {
        Value::String(text) => text,
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            value.to_string()
        }
    };
    is_value(&value).then_some(value)
}

/// Whether there is anything at this path.
pub(super) fn is_there(body: &[u8], path: &str) -> bool {
    value_at(body, &path.split('.').collect::<Vec<_>>()).is_some_and(|value| value != b"null")
}

/// Whether a rule can say this.
pub(super) fn is_value(text: &str) -> bool {
    let stands_alone = |c: char| !c.is_whitespace() && !c.is_control() && c != '\'';
    (1..=LONGEST).contains(&text.len()) && text.chars().all(stands_alone)
}
