//! Reduces schemas of answers to what Anthropic's structured outputs support.
//!
//! The rules are those of the vendor's own SDKs (`transform_schema`): unsupported members move to the description,
//! where the model still reads them.

use std::collections::HashSet;

use super::tree::{Node, TreeMembers};

/// The supported values of `format`.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// Keywords without a constraint.
const NOTES: [&str; 4] = ["$schema", "$id", "$comment", "$anchor"];

/// Returns the schema in the supported form, or unchanged if it cannot be parsed.
pub(crate) fn reduced(schema: &str) -> String {
    Node::parse(schema).map_or_else(|| schema.to_owned(), |node| reduce_node(node).to_json())
}

fn reduce_node(node: Node) -> Node {
    match node {
        Node::Object(schema) => Node::Object(object(schema)),
        Node::List(_) | Node::Text(_) => node,
    }
}

fn object(mut schema: TreeMembers) -> TreeMembers {
    let mut kept = TreeMembers::default();
    for name in ["$defs", "definitions"] {
        if let Some(Node::Object(definitions)) = schema.take(name) {
            kept.set("$defs", Node::Object(reduce_values(definitions)));
        }
    }
    if let Some(reference) = schema.take("$ref") {
        let moved = reference
            .text()
            .and_then(|text| Some(format!("#/$defs/{}", text.strip_prefix("#/definitions/")?)));
        kept.set("$ref", moved.map_or(reference, |moved| Node::string(&moved)));
        return kept;
    }
    NOTES.iter().for_each(|note| drop(schema.take(note)));
    let kind = move_type(&mut schema, &mut kept);
    for name in ["description", "title"] {
        if let Some(value) = schema.take(name) {
            kept.set(name, value);
        }
    }
    match kind.as_deref() {
        Some("object") => object_members(&mut schema, &mut kept),
        Some("string") => {
            let is_known = |format: &Node| format.text().is_some_and(|text| FORMATS.contains(&text.as_str()));
            if schema.get("format").is_some_and(is_known) {
                schema.take("format").into_iter().for_each(|format| kept.set("format", format));
            }
        }
        Some("array") => array_members(&mut schema, &mut kept),
        Some(_) | None => {}
    }
    describe(schema, &mut kept);
    kept
}

/// Moves the members that determine the type. Returns the type that the other members are about.
fn move_type(schema: &mut TreeMembers, kept: &mut TreeMembers) -> Option<String> {
    let is_scalar = |node: &Node| matches!(node, Node::Text(_));
    let are_scalars =
        |node: &Node| node.list().is_some_and(|list| !list.is_empty() && list.iter().all(is_scalar));
    if schema.get("enum").is_some_and(are_scalars) {
        schema.take("enum").into_iter().for_each(|values| kept.set("enum", values));
    }
    if schema.get("const").is_some_and(is_scalar) {
        schema.take("const").into_iter().for_each(|value| kept.set("const", value));
    }
    let has_values = kept.has("enum") || kept.has("const");
    let kinds = schema.take("type");
    for (word, name) in [("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")] {
        if let Some(Node::List(cases)) = schema.get(word).cloned() {
            schema.take(word);
            kept.set(name, Node::List(cases.into_iter().map(reduce_node).collect()));
            return None;
        }
    }
    match kinds {
        _ if has_values => None,
        Some(Node::List(kinds)) => {
            let mut known = HashSet::new();
            let kinds = kinds.into_iter().filter(|kind| known.insert(kind.to_json()));
            let cases = kinds.map(|kind| reduce_node(Node::Object(with_type(schema, kind))));
            kept.set("anyOf", Node::List(cases.collect()));
            // Each case repeats these members.
            schema.0.retain(|(name, _)| matches!(name.as_str(), "description" | "title"));
            None
        }
        Some(kind) => {
            kept.set("type", kind.clone());
            kind.text()
        }
        None if schema.has("properties") => {
            kept.set("type", Node::string("object"));
            Some("object".to_owned())
        }
        None => None,
    }
}

/// Returns a schema of several types reduced to this type. Members about other types are omitted: otherwise the members
/// of an object would be repeated at each level, for each of its types.
fn with_type(schema: &TreeMembers, kind: Node) -> TreeMembers {
    let name = kind.text();
    let is_about = |member: &str| match member {
        "properties" | "patternProperties" | "additionalProperties" | "required" => {
            name.as_deref() == Some("object")
        }
        "items" | "prefixItems" | "contains" => name.as_deref() == Some("array"),
        _ => !matches!(member, "description" | "title"),
    };
    let mut case = TreeMembers(schema.0.iter().filter(|(member, _)| is_about(member)).cloned().collect());
    case.set("type", kind);
    case
}

fn object_members(schema: &mut TreeMembers, kept: &mut TreeMembers) {
    let properties = match schema.take("properties") {
        Some(Node::Object(properties)) => reduce_values(properties),
        Some(Node::List(_) | Node::Text(_)) | None => TreeMembers::default(),
    };
    kept.set("properties", Node::Object(properties));
    schema.take("additionalProperties");
    kept.set("additionalProperties", Node::Text("false".to_owned()));
    if let Some(required) = schema.take("required") {
        kept.set("required", required);
    }
}

fn array_members(schema: &mut TreeMembers, kept: &mut TreeMembers) {
    if let Some(items) = schema.take("items") {
        kept.set("items", reduce_node(items));
    }
    if matches!(schema.get("minItems"), Some(Node::Text(count)) if matches!(count.as_str(), "0" | "1")) {
        schema.take("minItems").into_iter().for_each(|count| kept.set("minItems", count));
    }
}

fn reduce_values(named: TreeMembers) -> TreeMembers {
    TreeMembers(named.0.into_iter().map(|(name, schema)| (name, reduce_node(schema))).collect())
}

/// Appends the remaining members to the description.
fn describe(left: TreeMembers, kept: &mut TreeMembers) {
    if left.0.is_empty() {
        return;
    }
    let note: Vec<_> = left.0.iter().map(|(name, value)| format!("{name}: {}", notation(value))).collect();
    let note = format!("{{{}}}", note.join(", "));
    let description = kept.get("description").and_then(Node::text);
    let description = description.map_or_else(|| note.clone(), |text| format!("{text}\n\n{note}"));
    kept.set("description", Node::string(&description));
}

fn notation(value: &Node) -> String {
    value.text().unwrap_or_else(|| value.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_move_into_the_description() {
        for (schema, expected) in [
            (
                r#"{"type":"integer","minimum":1,"maximum":10,"description":"A number"}"#,
                r#"{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 10}"}"#,
            ),
            (
                r#"{"type":"string","format":"uuid","pattern":"^a$"}"#,
                r#"{"type":"string","format":"uuid","description":"{pattern: ^a$}"}"#,
            ),
            (r#"{"type":"string","format":"text"}"#, r#"{"type":"string","description":"{format: text}"}"#),
            (
                r#"{"type":"array","items":{"type":"number","multipleOf":2},"minItems":1,"maxItems":3}"#,
                r#"{"type":"array","items":{"type":"number","description":"{multipleOf: 2}"},"minItems":1,"description":"{maxItems: 3}"}"#,
            ),
            (
                r#"{"type":"array","items":{"type":"null"},"minItems":2}"#,
                r#"{"type":"array","items":{"type":"null"},"description":"{minItems: 2}"}"#,
            ),
            (
                r#"{"$schema":"x","type":"object","properties":{"a":{"type":["string","null"],"minLength":2}},"additionalProperties":{"type":"string"},"required":["a"]}"#,
                r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"string","description":"{minLength: 2}"},{"type":"null","description":"{minLength: 2}"}]}},"additionalProperties":false,"required":["a"]}"#,
            ),
            (
                r##"{"definitions":{"x":{"type":"boolean"}},"$ref":"#/definitions/x"}"##,
                r##"{"$defs":{"x":{"type":"boolean"}},"$ref":"#/$defs/x"}"##,
            ),
            (r#"{"type":"string","enum":["a","b"]}"#, r#"{"enum":["a","b"]}"#),
            (
                r#"{"oneOf":[{"type":"integer","maximum":1},{"const":null}],"title":"t"}"#,
                r#"{"anyOf":[{"type":"integer","description":"{maximum: 1}"},{"const":null}],"title":"t"}"#,
            ),
            ("true", "true"),
            ("{", "{"),
        ] {
            assert_eq!(reduced(schema), expected, "{schema}");
        }
    }

    #[test]
    fn several_types_at_each_level_do_not_multiply() {
        let mut schema = r#"{"type":"string"}"#.to_owned();
        for _ in 0..25 {
            schema = format!(
                r#"{{"type":["object","object","array","null"],"properties":{{"a":{schema}}},"required":["a"],"items":{{}}}}"#
            );
        }
        let reduced = reduced(&schema);
        assert!(reduced.len() < 4 * schema.len(), "{} of {}", reduced.len(), schema.len());
        assert_eq!(reduced.matches(r#""type":"string""#).count(), 1);
    }

    #[test]
    fn what_is_reduced_is_not_reduced_again() {
        let schema =
            r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"minProperties":1}"#;
        let once = reduced(schema);
        let members = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(members(&reduced(&once)), members(&once));
    }
}
