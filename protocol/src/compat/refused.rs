//! Reads and compares the values of request members, as rules write them.

use serde_json::Value;

use crate::request::value_at;

/// The longest value of a setting, in bytes.
const LONGEST: usize = 128;

/// Returns the value at this path in the notation of a rule: a string without its quotes, anything else as compact
/// JSON.
///
/// Returns `None` for a value that no rule can express, and for members inside lists.
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

/// Whether this path has a value other than null or an empty list.
pub(super) fn has_value(body: &[u8], path: &str) -> bool {
    let value = value_at(body, &path.split('.').collect::<Vec<_>>());
    value.is_some_and(|value| !matches!(value, b"null" | b"[]"))
}

/// Returns a rule's value as JSON: itself if it is valid JSON, otherwise a string.
pub(super) fn json(value: &str) -> String {
    match serde_json::from_str::<Value>(value) {
        Ok(_) => value.to_owned(),
        Err(_) => Value::from(value).to_string(),
    }
}

/// Returns the number at this path.
pub(super) fn number(body: &[u8], path: &[&str]) -> Option<f64> {
    serde_json::from_slice(value_at(body, path)?).ok()
}

/// Whether a rule can express this value.
pub(super) fn is_value(text: &str) -> bool {
    // `@` introduces the model of a rule.
    let stands_alone = |c: char| !c.is_whitespace() && !c.is_control() && c != '\'' && c != '@';
    (1..=LONGEST).contains(&text.len()) && text.chars().all(stands_alone)
}
