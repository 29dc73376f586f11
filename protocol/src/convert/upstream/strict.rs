//! Determines which schemas OpenAI's strict mode accepts (developers.openai.com/api/docs/guides/structured-outputs): every object lists
//! all of its properties as required and allows no others. A request with another schema and `strict` is refused whole.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Keywords that strict mode does not support.
const REFUSED: [&str; 10] = [
    "allOf",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "propertyNames",
    "then",
];

/// Whether `strict: true` can be sent with this schema.
pub(crate) fn qualifies(schema: &str) -> bool {
    match serde_json::from_str(schema) {
        Ok(Value::Object(schema)) => schema.get("type") == Some(&Value::from("object")) && object(&schema),
        // A schema that is too deep for this parser is too deep for strict mode.
        Ok(_) | Err(_) => false,
    }
}

fn object(schema: &Map<String, Value>) -> bool {
    if REFUSED.iter().any(|keyword| schema.contains_key(*keyword)) {
        return false;
    }
    let is_object = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|name| name == "object"),
        Some(name) => name == "object",
        None => schema.contains_key("properties"),
    };
    if is_object && !is_closed(schema) {
        return false;
    }
    let named = ["properties", "$defs", "definitions"].into_iter().filter_map(|name| schema.get(name));
    let listed = ["anyOf", "prefixItems"].into_iter().filter_map(|name| schema.get(name));
    named.filter_map(Value::as_object).flat_map(Map::values).all(any)
        && listed.filter_map(Value::as_array).flatten().all(any)
        && schema.get("items").is_none_or(any)
}

fn any(schema: &Value) -> bool {
    schema.as_object().is_some_and(object)
}

/// Whether an object allows only its own properties and requires all of them.
fn is_closed(schema: &Map<String, Value>) -> bool {
    let none = Map::new();
    let properties = match schema.get("properties") {
        Some(Value::Object(properties)) => properties,
        Some(_) => return false,
        None => &none,
    };
    let required: HashSet<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.keys().all(|name| required.contains(name.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn takes(schema: &Value) -> bool {
        qualifies(&schema.to_string())
    }

    fn closed(properties: Value) -> Value {
        let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    #[test]
    fn strict_is_for_schemas_that_are_closed_all_the_way_down() {
        let leaf = closed(json!({"a": {"type": "string"}}));
        let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let mut optional = leaf.clone();
        optional["required"] = json!([]);
        let places: [fn(Value) -> Value; 5] = [
            |schema| schema,
            |schema| closed(json!({"x": schema})),
            |schema| closed(json!({"x": {"type": "array", "items": schema}})),
            |schema| closed(json!({"x": {"anyOf": [{"type": "null"}, schema]}})),
            |schema| {
                let mut whole = closed(json!({"x": {"$ref": "#/$defs/d"}}));
                whole["$defs"] = json!({"d": schema});
                whole
            },
        ];
        for place in places {
            assert!(takes(&place(leaf.clone())));
            assert!(!takes(&place(open.clone())));
            assert!(!takes(&place(optional.clone())));
        }
        assert!(takes(&json!({"type": "object", "additionalProperties": false})));
        for schema in [
            json!({}),
            json!({"type": "object"}),
            json!({"type": "string"}),
            closed(json!({"x": {"oneOf": [{"type": "string"}]}})),
            closed(json!({"x": {"type": ["object", "null"]}})),
            closed(json!({"x": true})),
            json!([]),
        ] {
            assert!(!takes(&schema), "{schema}");
        }
    }
}
