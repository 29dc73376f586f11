//! Rewrites JSON schemas to the forms that vendors accept.
//!
//! [`completed`] adds what OpenAI requires and every other vendor ignores. [`fitted`] also replaces what OpenAI and
//! Anthropic refuse at the top of a tool's schema. [`reduced`] keeps what Anthropic's structured outputs support.

mod flattening;
mod reduced;
mod tree;

use std::sync::LazyLock;

use memchr::memmem::Finder;

pub(crate) use self::reduced::reduced;
use self::tree::{Node, TreeMembers};

/// A keyword of a schema. Its search is prepared once, because the preparation costs more than searching one schema.
struct Keyword(LazyLock<Finder<'static>>);

impl Keyword {
    fn count_in(&self, schema: &str) -> usize {
        self.0.find_iter(schema.as_bytes()).count()
    }
}

static OBJECT: Keyword = Keyword(LazyLock::new(|| Finder::new("\"object\"")));
static PROPERTIES: Keyword = Keyword(LazyLock::new(|| Finder::new("\"properties\"")));
static ARRAY: Keyword = Keyword(LazyLock::new(|| Finder::new("\"array\"")));
static ITEMS: Keyword = Keyword(LazyLock::new(|| Finder::new("\"items\"")));

/// Returns the schema with `properties` in each object and `items` in each array; `None` if nothing is missing.
///
/// Keywords are counted first, so that a complete schema is not parsed.
pub(crate) fn completed(schema: &str) -> Option<String> {
    let is_short_of = |member: &Keyword, kind: &Keyword| {
        let needed = kind.count_in(schema);
        needed > 0 && needed > member.count_in(schema)
    };
    let has_gap = is_short_of(&PROPERTIES, &OBJECT) || is_short_of(&ITEMS, &ARRAY);
    if !has_gap {
        return None;
    }
    let mut node = Node::parse(schema)?;
    complete(&mut node).then(|| node.to_json())
}

/// Returns a tool's schema as an object without alternatives at its top; `None` if it already is one and nothing is
/// missing.
///
/// The result allows the properties of all alternatives and requires only what all of them require. The tool itself
/// still checks the rest.
pub(crate) fn fitted(schema: &str) -> Option<String> {
    let mut node = Node::parse(schema)?;
    let mut changed = false;
    if node.object().is_none() {
        node = Node::Object(TreeMembers::default());
        changed = true;
    }
    if let Some(top) = flattening::flattened(&node) {
        node = Node::Object(top);
        changed = true;
    }
    if let Node::Object(top) = &mut node
        && top.get("type").and_then(Node::text).as_deref() != Some("object")
    {
        top.set("type", Node::string("object"));
        changed = true;
    }
    changed |= complete(&mut node);
    changed.then(|| node.to_json())
}

/// Adds missing members. Returns whether any was missing.
fn complete(node: &mut Node) -> bool {
    let Node::Object(schema) = node else { return false };
    let mut changed = false;
    for (name, value) in &mut schema.0 {
        changed |= match (name.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Node::Object(named),
            ) => named.0.iter_mut().fold(false, |changed, (_, schema)| complete(schema) | changed),
            ("enum" | "const" | "default" | "examples" | "required", _) => false,
            (_, Node::List(schemas)) => {
                schemas.iter_mut().fold(false, |changed, schema| complete(schema) | changed)
            }
            (_, schema) => complete(schema),
        };
    }
    for (kind, member) in [("object", "properties"), ("array", "items")] {
        if has_type(schema, kind) && !schema.has(member) {
            schema.set(member, Node::Object(TreeMembers::default()));
            changed = true;
        }
    }
    changed
}

fn has_type(schema: &TreeMembers, kind: &str) -> bool {
    schema.get("type").is_some_and(|kinds| is_kind(kinds, kind))
}

/// Whether the value of `type` includes this type.
fn is_kind(kinds: &Node, kind: &str) -> bool {
    let is_it = |node: &Node| node.text().as_deref() == Some(kind);
    match kinds {
        Node::List(kinds) => kinds.iter().any(is_it),
        Node::Text(_) | Node::Object(_) => is_it(kinds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_openai_requires_are_added_where_missing() {
        for (schema, expected) in [
            (r#"{"type":"object"}"#, r#"{"type":"object","properties":{}}"#),
            (
                r#"{"type":"object","properties":{"a":{"type":"array"},"b":{"type":["array","null"],"minItems":1}}}"#,
                r#"{"type":"object","properties":{"a":{"type":"array","items":{}},"b":{"type":["array","null"],"minItems":1,"items":{}}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"array"},{"type":"object"}]}},"$defs":{"x":{"type":"array","items":{"type":"object"}}}}"#,
                r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"array","items":{}},{"type":"object","properties":{}}]}},"$defs":{"x":{"type":"array","items":{"type":"object","properties":{}}}}}"#,
            ),
        ] {
            assert_eq!(completed(schema).as_deref(), Some(expected));
            assert_eq!(completed(expected), None, "a completed schema lacks nothing");
        }
    }

    #[test]
    fn values_are_not_schemas_and_a_complete_schema_is_unchanged() {
        for schema in [
            r#"{"type":"object","properties":{"type":{"type":"string","enum":["array","object"],"default":{"type":"object"}}}}"#,
            r#"{ "type" : "string" }"#,
            r#"true"#,
            r#"{"type":"object""#,
        ] {
            assert_eq!(completed(schema), None, "{schema}");
        }
    }

    #[test]
    fn alternatives_at_the_top_become_one_object() {
        for (schema, expected) in [
            (
                r#"{"anyOf":[{"type":"object","properties":{"a":{"type":"string"},"c":{"type":"string"}},"required":["a","c"]},{"properties":{"b":{"type":"integer"},"c":{"type":"integer"}},"required":["b","c"]}]}"#,
                r#"{"properties":{"a":{"type":"string"},"c":{"anyOf":[{"type":"string"},{"type":"integer"}]},"b":{"type":"integer"}},"required":["c"],"type":"object"}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{}},"required":["a"],"oneOf":[{"required":["x"]},{"required":["y"]}]}"#,
                r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#,
            ),
            (
                r##"{"allOf":[{"$ref":"#/$defs/One"},{"type":"object","properties":{"b":{}},"required":["b"]}],"$defs":{"One":{"type":"object","properties":{"a":{}},"required":["a"]}}}"##,
                r##"{"$defs":{"One":{"type":"object","properties":{"a":{}},"required":["a"]}},"properties":{"a":{},"b":{}},"required":["a","b"],"type":"object"}"##,
            ),
            (
                r##"{"$ref":"#/$defs/One","$defs":{"One":{"type":"object","properties":{"a":{"$ref":"#/$defs/One"}}}}}"##,
                r##"{"$defs":{"One":{"type":"object","properties":{"a":{"$ref":"#/$defs/One"}}}},"type":"object","properties":{"a":{"$ref":"#/$defs/One"}}}"##,
            ),
            (r#"{"enum":["a"],"not":{}}"#, r#"{"type":"object","properties":{}}"#),
            (
                r#"{"type":"string","description":"d"}"#,
                r#"{"type":"object","description":"d","properties":{}}"#,
            ),
            (r#"true"#, r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(fitted(schema).as_deref(), Some(expected), "{schema}");
            assert_eq!(fitted(expected), None, "a fitted schema fits");
        }
    }

    #[test]
    fn references_in_circles_end() {
        for schema in [
            r##"{"$ref":"#"}"##,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
            r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##,
            r##"{"$ref":"#/nowhere"}"##,
        ] {
            let fitted = fitted(schema).unwrap();
            assert!(
                fitted.contains(r#""type":"object""#) && fitted.contains(r#""properties":{}"#),
                "{fitted}"
            );
        }
    }
}
