//! Properties of every JSON schema as Gemini receives it, with any content.

use bytes::Bytes;
use serde_json::{Value, json};
use vandamme_protocol::gemini::{Gemini, Signatures};
use vandamme_protocol::middleware::{Memory, Middleware as _};

pub(crate) const GEMINI: Gemini = Gemini { signatures: Signatures::Remembered };

const KEYWORDS: [&str; 20] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "propertyOrdering",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "anyOf",
];

pub(crate) fn applied(request: &Value, known: &Memory) -> Value {
    let request = Bytes::from(request.to_string());
    serde_json::from_slice(&GEMINI.apply(request, known)).expect("JSON")
}

/// The reduced parameters of a function.
pub(crate) fn parameters(schema: &Value) -> Option<Value> {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
    let applied = applied(&json!({"model": "gemini-3-pro", "messages": [], "tools": [tool]}), &Memory::new());
    applied["tools"][0]["function"].get("parameters").cloned()
}

/// The reduced schema of one property. Nothing if it permits no value.
pub(crate) fn property(schema: Value) -> Option<Value> {
    let object = json!({"type": "object", "properties": {"p": schema}});
    parameters(&object).map(|clean| clean["properties"]["p"].clone())
}

/// The reduced schema of a reply.
pub(crate) fn answer(schema: &Value) -> Value {
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "r", "schema": schema, "strict": true}});
    let applied = applied(&json!({"messages": [], "response_format": format}), &Memory::new());
    applied["response_format"]["json_schema"]["schema"].clone()
}

pub(crate) fn depth(schema: &Value) -> usize {
    let inside = |value: &Value| match value {
        Value::Object(members) => members.values().map(depth).max().unwrap_or(0),
        Value::Array(values) => values.iter().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    inside(schema) + 1
}

/// Panics unless Gemini supports all of it.
pub(crate) fn check(schema: &Value) {
    let members = schema.as_object().unwrap_or_else(|| panic!("no schema: {schema}"));
    for (keyword, value) in members {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{keyword} in {schema}");
        match keyword.as_str() {
            "properties" => value.as_object().expect("properties").values().for_each(check),
            "items" => check(value),
            "anyOf" => value.as_array().expect("alternatives").iter().for_each(check),
            _ => {}
        }
    }
    if members.contains_key("anyOf") {
        assert_eq!(members.len(), 1, "something stands beside anyOf: {schema}");
        return;
    }
    let kind = members["type"].as_str().unwrap_or_else(|| panic!("no type: {schema}"));
    assert_eq!(kind == "array", members.contains_key("items"), "{schema}");
    if let Some(choices) = members.get("enum") {
        let choices = choices.as_array().expect("choices");
        assert!(kind == "string" && !choices.is_empty(), "{schema}");
        assert!(
            choices.iter().all(|choice| choice.as_str().is_some_and(|text| !text.is_empty())),
            "{schema}"
        );
    }
    for name in members.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(members["properties"].get(name.as_str().expect("a name")).is_some(), "{name} in {schema}");
    }
}

/// Checks these bytes as a schema, at every position that has one, and as a request otherwise.
pub(crate) fn check_any(bytes: &[u8]) {
    let _ = GEMINI.apply(Bytes::copy_from_slice(bytes), &Memory::new());
    // If the schema is deeper than this parser reads, nothing is changed.
    let Ok(schema) = serde_json::from_slice::<Value>(bytes) else { return };
    // `null` counts as no schema.
    if depth(&schema) > 100 || schema.is_null() {
        return;
    }
    for clean in [parameters(&schema), Some(answer(&schema)), property(schema.clone())].into_iter().flatten()
    {
        check(&clean);
        assert!(depth(&clean) < 3 * 34);
        // References may add this much, and everything else a type and the items of an array.
        assert!(clean.to_string().len() <= 8 * schema.to_string().len() + (256 << 10) * 8);
    }
    if let Some(clean) = parameters(&schema) {
        assert_eq!(parameters(&clean), Some(clean), "cleaned once, it is clean");
    }
    let clean = answer(&schema);
    assert_eq!(answer(&clean), clean);
    if let Some(clean) = property(schema) {
        assert_eq!(property(clean.clone()), Some(clean));
    }
}
