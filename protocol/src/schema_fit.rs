//! JSON schemas in the forms that vendors accept.
//!
//! [`completed`] adds what OpenAI requires and every other vendor ignores. [`fitted`] also replaces what OpenAI and
//! Anthropic refuse at the top of a tool's schema. [`reduced`] leaves what Anthropic's structured outputs support.

mod reduced;
mod tree;

use memchr::memmem;

pub(crate) use self::reduced::reduced;
use self::tree::{Members, Node};

/// How deeply references and alternatives nest before the rest is left out.
const MOST_STEPS: usize = 8;
/// How many alternatives are looked at, so that references in circles cost no more than that.
const MOST_CASES: usize = 500;

/// The schema with `properties` in each object and `items` in each array; `None` if nothing is missing.
///
/// A count of words comes first, so that a schema without gaps costs no parse.
pub(crate) fn completed(schema: &str) -> Option<String> {
    let count = |word: &str| memmem::find_iter(schema.as_bytes(), word).count();
    let has_gap = count("\"object\"") > count("\"properties\"") || count("\"array\"") > count("\"items\"");
    if !has_gap {
        return None;
    }
    let mut node = Node::parse(schema)?;
    complete(&mut node).then(|| node.to_json())
}

/// The schema of a tool as an object that needs no alternatives at its top; `None` if it already is one and lacks
/// nothing.
///
/// The properties of all alternatives are allowed then, and only what all of them require is required. The tool itself
/// still checks the rest.
pub(crate) fn fitted(schema: &str) -> Option<String> {
    let mut node = Node::parse(schema)?;
    let mut changed = false;
    if node.object().is_none() {
        node = Node::Object(Members::default());
        changed = true;
    }
    let document = node.clone();
    if let Node::Object(top) = &mut node {
        changed |= Flattening { document: &document, cases: 0 }.flatten(top, 0);
        if top.get("type").and_then(Node::text).as_deref() != Some("object") {
            top.set("type", Node::string("object"));
            changed = true;
        }
    }
    changed |= complete(&mut node);
    changed.then(|| node.to_json())
}

/// Whether anything was missing.
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
        if is_of(schema, kind) && !schema.has(member) {
            schema.set(member, Node::Object(Members::default()));
            changed = true;
        }
    }
    changed
}

fn is_of(schema: &Members, kind: &str) -> bool {
    let is_it = |node: &Node| node.text().as_deref() == Some(kind);
    schema.get("type").is_some_and(|kinds| match kinds {
        Node::List(kinds) => kinds.iter().any(is_it),
        Node::Text(_) | Node::Object(_) => is_it(kinds),
    })
}

/// Which of several schemas hold at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    All,
    Any,
}

/// Puts references and alternatives at the top of a schema into its `properties` and `required`.
struct Flattening<'n> {
    document: &'n Node,
    cases: usize,
}

impl Flattening<'_> {
    /// Answers whether there were any.
    fn flatten(&mut self, top: &mut Members, depth: usize) -> bool {
        if let Some(reference) = top.take("$ref") {
            let target = reference.text().and_then(|text| resolve(self.document, &text));
            if let Some(target) = target.and_then(Node::object).filter(|_| depth < MOST_STEPS) {
                for (name, value) in
                    target.0.iter().filter(|(name, _)| !top.has(name)).cloned().collect::<Vec<_>>()
                {
                    top.set(&name, value);
                }
                self.flatten(top, depth + 1);
            }
            top.take("$ref");
            return true;
        }
        let mut changed = false;
        for (word, how) in [("allOf", Join::All), ("anyOf", Join::Any), ("oneOf", Join::Any)] {
            if let Some(alternatives) = top.take(word) {
                changed = true;
                self.join(top, alternatives.list().unwrap_or_default(), depth, how);
            }
        }
        for word in ["enum", "const", "not"] {
            changed |= top.take(word).is_some();
        }
        changed
    }

    fn join(&mut self, top: &mut Members, schemas: &[Node], depth: usize, how: Join) {
        if depth >= MOST_STEPS {
            return;
        }
        let mut required: Option<Vec<String>> = None;
        for schema in schemas.iter().filter_map(Node::object) {
            self.cases += 1;
            if self.cases > MOST_CASES {
                break;
            }
            let mut schema = schema.clone();
            self.flatten(&mut schema, depth + 1);
            let is_object = is_of(&schema, "object") || schema.has("properties") || schema.has("required");
            if !is_object {
                continue;
            }
            let needs = names(schema.get("required"));
            required = Some(match (required, how) {
                (None, _) => needs,
                (Some(known), Join::All) => with_all(known, needs),
                (Some(known), Join::Any) => known.into_iter().filter(|name| needs.contains(name)).collect(),
            });
            if let Some(Node::Object(properties)) = schema.take("properties") {
                add_properties(top, properties, how);
            }
            if let Some(description) = schema.take("description").filter(|_| !top.has("description")) {
                top.set("description", description);
            }
        }
        let needs = required.unwrap_or_default();
        if !needs.is_empty() {
            let all = with_all(names(top.get("required")), needs);
            top.set("required", Node::List(all.iter().map(|name| Node::string(name)).collect()));
        }
    }
}

fn add_properties(top: &mut Members, properties: Members, how: Join) {
    let mut known = match top.get("properties") {
        Some(Node::Object(known)) => known.clone(),
        Some(Node::List(_) | Node::Text(_)) | None => Members::default(),
    };
    for (name, schema) in properties.0 {
        match known.get(&name).cloned() {
            None => known.set(&name, schema),
            Some(other) if other == schema || how == Join::All => {}
            Some(other) => known.set(&name, either(other, schema)),
        }
    }
    top.set("properties", Node::Object(known));
}

/// A property that alternatives define differently.
fn either(one: Node, other: Node) -> Node {
    let mut cases = match &one {
        Node::Object(members) if members.0.len() == 1 && members.has("anyOf") => {
            members.get("anyOf").and_then(Node::list).unwrap_or_default().to_vec()
        }
        Node::Object(_) | Node::List(_) | Node::Text(_) => vec![one],
    };
    if !cases.contains(&other) {
        cases.push(other);
    }
    Node::Object(Members(vec![("anyOf".to_owned(), Node::List(cases))]))
}

fn names(node: Option<&Node>) -> Vec<String> {
    node.and_then(Node::list).unwrap_or_default().iter().filter_map(Node::text).collect()
}

fn with_all(mut names: Vec<String>, others: Vec<String>) -> Vec<String> {
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What a reference within the document leads to.
fn resolve<'n>(document: &'n Node, reference: &str) -> Option<&'n Node> {
    let steps = reference.strip_prefix('#')?.split('/').skip(1);
    let steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
    steps.into_iter().try_fold(document, |node, step| match node {
        Node::Object(members) => members.get(&step),
        Node::List(values) => values.get(step.parse::<usize>().ok()?),
        Node::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openai_requires_is_added_wherever_it_is_missing() {
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
            assert_eq!(completed(expected), None, "it lacks nothing then");
        }
    }

    #[test]
    fn values_are_no_schemas_and_a_complete_schema_stays_as_it_is() {
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
            assert_eq!(fitted(expected), None, "it fits then");
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
