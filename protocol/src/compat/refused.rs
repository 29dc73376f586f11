//! Values that an upstream refuses of members that it knows: how one is told, in a request and in a rule.

use serde_json::Value;

use super::Condition;
use crate::request::value_at;

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
    let value = value_at(body, &path.split('.').collect::<Vec<_>>());
    value.is_some_and(|value| !matches!(value, b"null" | b"[]"))
}

/// Whether a request has what an edit depends on.
pub(super) fn holds(body: &[u8], condition: &Condition) -> bool {
    let holds_itself = match &condition.value {
        None => is_there(body, &condition.path),
        Some(wanted) => value(body, &condition.path).as_deref() == Some(wanted),
    };
    holds_itself && condition.and.as_ref().is_none_or(|and| holds(body, and))
}

/// A rule's value as JSON: what reads as JSON is that, all else is a text.
pub(super) fn json(value: &str) -> String {
    match serde_json::from_str::<Value>(value) {
        Ok(_) => value.to_owned(),
        Err(_) => Value::from(value).to_string(),
    }
}

/// The number at this path.
pub(super) fn number(body: &[u8], path: &[&str]) -> Option<f64> {
    serde_json::from_slice(value_at(body, path)?).ok()
}

/// Whether a rule can say this.
pub(super) fn is_value(text: &str) -> bool {
    // `@` begins the model of a rule.
    let stands_alone = |c: char| !c.is_whitespace() && !c.is_control() && c != '\'' && c != '@';
    (1..=LONGEST).contains(&text.len()) && text.chars().all(stands_alone)
}
