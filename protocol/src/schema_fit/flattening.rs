//! Merges references and alternatives at the top of a schema into its `properties` and `required`.
//!
//! A schema comes from a client, and this code runs on a thread that serves other clients as well. Therefore nothing of
//! the document is copied before the result is known, names are looked up in sets, and reading is limited by a budget
//! that is proportional to the document: a client can create any number of references to the same schema.

use std::collections::{HashMap, HashSet};

use super::tree::{Node, TreeMembers};

/// How deeply references and alternatives can nest; deeper ones are ignored.
const MOST_STEPS: usize = 8;
/// How often a document can be read on average. Alternatives that share a base read it once for each alternative.
const MOST_READINGS: usize = 16;
/// The cost of a member in addition to its name.
const MEMBER: usize = 8;
/// Keywords that are removed, in addition to the keywords of alternatives.
const REFUSED: [&str; 3] = ["enum", "const", "not"];
const ALTERNATIVES: [(&str, Join); 3] = [("allOf", Join::All), ("anyOf", Join::Any), ("oneOf", Join::Any)];

/// Returns the document without references and alternatives at its top; `None` if there are none.
pub(super) fn flattened(document: &Node) -> Option<TreeMembers> {
    let root = document.object()?;
    let is_refused = |word: &str| {
        word == "$ref" || REFUSED.contains(&word) || ALTERNATIVES.iter().any(|(known, _)| *known == word)
    };
    if !root.0.iter().any(|(name, _)| is_refused(name)) {
        return None;
    }
    let mut flattening = Flattening::new(document);
    let layers = flattening.layers(root, 0);
    let shape = flattening.shape(&layers);
    let mut known = HashSet::new();
    let members = layers.list.iter().flat_map(|layer| &layer.0);
    let members =
        members.filter(|(name, _)| !is_refused(name) && known.insert(name.as_str())).cloned().collect();
    let mut top = TreeMembers(members);
    shape.write(&mut top);
    Some(top)
}

/// How several schemas are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    All,
    Any,
}

/// A schema and its reference target, whose members apply if the schema itself does not define them.
struct Layers<'n> {
    list: Vec<&'n TreeMembers>,
    depth: usize,
}

impl<'n> Layers<'n> {
    fn get(&self, name: &str) -> Option<&'n Node> {
        self.list.iter().find_map(|layer| layer.get(name))
    }
}

/// The object that a schema describes.
#[derive(Default)]
struct ObjectShape<'n> {
    is_object: bool,
    properties: MergedProperties<'n>,
    required: Vec<String>,
    description: Option<&'n Node>,
}

impl ObjectShape<'_> {
    fn write(self, top: &mut TreeMembers) {
        let properties: Vec<_> = self
            .properties
            .list
            .into_iter()
            .map(|(name, schemas)| (name.to_owned(), combined(&schemas)))
            .collect();
        if !properties.is_empty() {
            top.set("properties", Node::Object(TreeMembers(properties)));
        }
        if let Some(description) = self.description.filter(|_| !top.has("description")) {
            top.set("description", description.clone());
        }
        if !self.required.is_empty() {
            top.set("required", Node::List(self.required.iter().map(|name| Node::string(name)).collect()));
        }
    }
}

/// Properties in order, each with all of its definitions.
#[derive(Default)]
struct MergedProperties<'n> {
    list: Vec<(&'n str, Vec<&'n Node>)>,
    positions: HashMap<&'n str, usize>,
    /// The known definitions by address: each address belongs to one name.
    known: HashSet<*const Node>,
}

impl<'n> MergedProperties<'n> {
    /// Adds a definition; with `All`, the first one of a name is kept.
    fn add(&mut self, name: &'n str, schema: &'n Node, join: Join) {
        let Some(&at) = self.positions.get(name) else {
            self.positions.insert(name, self.list.len());
            self.known.insert(std::ptr::from_ref(schema));
            self.list.push((name, vec![schema]));
            return;
        };
        if join == Join::Any
            && self.known.insert(std::ptr::from_ref(schema))
            && let Some((_, schemas)) = self.list.get_mut(at)
        {
            schemas.push(schema);
        }
    }

    /// Adds the properties of another schema, each of which can have several definitions.
    fn add_all(&mut self, others: Self, join: Join) {
        for (name, schemas) in others.list {
            if join == Join::All && self.positions.contains_key(name) {
                continue;
            }
            schemas.into_iter().for_each(|schema| self.add(name, schema, Join::Any));
        }
    }

    /// The cost of adding the properties elsewhere.
    fn cost(&self) -> usize {
        self.list.iter().map(|(name, schemas)| name.len() + MEMBER * schemas.len()).sum()
    }
}

struct Flattening<'n> {
    document: &'n Node,
    /// The remaining budget, in comparisons and bytes of names.
    budget: usize,
    /// The budget used so far.
    #[cfg(test)]
    spent: usize,
}

impl<'n> Flattening<'n> {
    fn new(document: &'n Node) -> Self {
        let budget = document.size().saturating_mul(MOST_READINGS);
        Self {
            document,
            budget,
            #[cfg(test)]
            spent: 0,
        }
    }

    fn spend(&mut self, cost: usize) {
        self.budget = self.budget.saturating_sub(cost);
        #[cfg(test)]
        {
            self.spent += cost;
        }
    }

    fn layers(&mut self, schema: &'n TreeMembers, depth: usize) -> Layers<'n> {
        let mut layers = Layers { list: vec![schema], depth };
        self.spend(MEMBER * schema.0.len());
        let mut last = schema;
        while layers.depth < MOST_STEPS {
            let Some(target) = last.get("$ref").and_then(Node::text).and_then(|text| self.resolve(&text))
            else {
                break;
            };
            let Some(target) = target.object() else { break };
            self.spend(MEMBER * target.0.len());
            layers.list.push(target);
            layers.depth += 1;
            last = target;
        }
        layers
    }

    fn shape(&mut self, layers: &Layers<'n>) -> ObjectShape<'n> {
        let mut shape = self.own_shape(layers);
        for (word, join) in ALTERNATIVES {
            if let Some(schemas) = layers.get(word).and_then(Node::list)
                && layers.depth < MOST_STEPS
            {
                self.join(&mut shape, schemas, layers.depth, join);
            }
        }
        shape
    }

    /// Returns what the schema itself defines, without its alternatives.
    fn own_shape(&mut self, layers: &Layers<'n>) -> ObjectShape<'n> {
        let mut shape = ObjectShape {
            is_object: layers.get("type").is_some_and(|kind| super::is_kind(kind, "object"))
                || layers.get("properties").is_some()
                || layers.get("required").is_some(),
            required: self.names(layers.get("required")),
            description: layers.get("description"),
            ..ObjectShape::default()
        };
        let properties = layers.get("properties").and_then(Node::object);
        for (name, schema) in properties.into_iter().flat_map(|properties| &properties.0) {
            self.spend(name.len() + MEMBER);
            shape.properties.add(name, schema, Join::All);
        }
        shape
    }

    /// Adds what all or any of the schemas define.
    fn join(&mut self, shape: &mut ObjectShape<'n>, schemas: &'n [Node], depth: usize, join: Join) {
        let mut references = HashSet::new();
        // The properties that every alternative requires.
        let mut common: Option<Vec<String>> = None;
        for schema in schemas {
            if self.budget == 0 {
                // An alternative that was not read may require nothing.
                common = None;
                break;
            }
            self.spend(MEMBER);
            let Some(schema) = schema.object() else { continue };
            if is_repeated(schema, &mut references) {
                continue;
            }
            let layers = self.layers(schema, depth + 1);
            let case = self.shape(&layers);
            if !case.is_object {
                continue;
            }
            self.spend(case.properties.cost());
            shape.is_object = true;
            shape.properties.add_all(case.properties, join);
            shape.description = shape.description.or(case.description);
            match join {
                Join::All => shape.required.extend(case.required),
                Join::Any => {
                    common = Some(match common {
                        Some(known) => intersection(known, &case.required),
                        None => case.required,
                    });
                }
            }
        }
        shape.required.extend(common.unwrap_or_default());
        self.spend(MEMBER * shape.required.len());
        let mut known = HashSet::new();
        shape.required.retain(|name| known.insert(name.clone()));
    }

    fn names(&mut self, list: Option<&Node>) -> Vec<String> {
        let list = list.and_then(Node::list).unwrap_or_default();
        let names: Vec<_> = list.iter().filter_map(Node::text).collect();
        self.spend(names.iter().map(|name| name.len() + MEMBER).sum());
        names
    }

    /// Resolves a reference within the document.
    fn resolve(&mut self, reference: &str) -> Option<&'n Node> {
        let steps = reference.strip_prefix('#')?.split('/').skip(1);
        let mut node = self.document;
        for step in steps.map(|step| step.replace("~1", "/").replace("~0", "~")) {
            node = match node {
                Node::Object(members) => {
                    let at = members.0.iter().position(|(name, _)| *name == step);
                    self.spend(step.len() + at.unwrap_or(members.0.len()));
                    &members.0.get(at?)?.1
                }
                Node::List(values) => values.get(step.parse::<usize>().ok()?)?,
                Node::Text(_) => return None,
            };
        }
        Some(node)
    }
}

/// Whether a schema consists of one reference that occurred before.
fn is_repeated(schema: &TreeMembers, references: &mut HashSet<String>) -> bool {
    match &schema.0[..] {
        [(name, Node::Text(reference))] if name == "$ref" => !references.insert(reference.clone()),
        _ => false,
    }
}

fn intersection(mut names: Vec<String>, others: &[String]) -> Vec<String> {
    let others: HashSet<_> = others.iter().collect();
    names.retain(|name| others.contains(name));
    names
}

/// Combines the definitions of a property in several alternatives.
fn combined(schemas: &[&Node]) -> Node {
    let [first, others @ ..] = schemas else { return Node::Object(TreeMembers::default()) };
    let cases = match first {
        Node::Object(members) if members.0.len() == 1 && members.has("anyOf") => {
            members.get("anyOf").and_then(Node::list).unwrap_or_default()
        }
        Node::Object(_) | Node::List(_) | Node::Text(_) => std::slice::from_ref(*first),
    };
    // Definitions are compared as text.
    let mut known = HashSet::from([first.to_json()]);
    known.extend(cases.iter().map(Node::to_json));
    let others: Vec<_> = others.iter().filter(|schema| known.insert(schema.to_json())).collect();
    if others.is_empty() {
        return (*first).clone();
    }
    let cases = cases.iter().chain(others.into_iter().copied()).cloned().collect();
    Node::Object(TreeMembers(vec![("anyOf".to_owned(), Node::List(cases))]))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Returns the budget used for a schema, and its size.
    fn spent(document: &Node) -> (usize, usize) {
        let mut flattening = Flattening::new(document);
        let layers = flattening.layers(document.object().unwrap(), 0);
        flattening.shape(&layers);
        (flattening.spent, document.size())
    }

    /// Returns an object with this number of properties, all of them required.
    fn wide(count: usize) -> String {
        let name = |at: usize| format!("\"property_{at}\"");
        let properties: Vec<_> =
            (0..count).map(|at| format!("{}:{{\"type\":\"string\"}}", name(at))).collect();
        let required: Vec<_> = (0..count).map(name).collect();
        format!("{{\"properties\":{{{}}},\"required\":[{}]}}", properties.join(","), required.join(","))
    }

    fn none(_: usize) -> String {
        String::new()
    }

    /// A title makes each reference different.
    fn title(at: usize) -> String {
        format!(",\"title\":\"{at}\"")
    }

    /// Returns alternatives that each refer to the definition `a`.
    fn referring(word: &str, cases: usize, target: &str, title: fn(usize) -> String) -> Node {
        let mut list = String::new();
        for at in 0..cases {
            let title = title(at);
            let comma = if at == 0 { "" } else { "," };
            write!(list, "{comma}{{\"$ref\":\"#/$defs/a\"{title}}}").unwrap();
        }
        Node::parse(&format!("{{\"{word}\":[{list}],\"$defs\":{{\"a\":{target}}}}}")).unwrap()
    }

    #[test]
    fn the_same_reference_is_read_once() {
        for word in ["allOf", "anyOf", "oneOf"] {
            let document = referring(word, 400, &wide(700), none);
            let (spent, size) = spent(&document);
            assert!(spent < 4 * size, "{word}: {spent} of {size}");
            let top = flattened(&document).unwrap();
            let count = |name: &str| match top.get(name) {
                Some(Node::Object(members)) => members.0.len(),
                Some(Node::List(list)) => list.len(),
                Some(Node::Text(_)) | None => 0,
            };
            assert_eq!((count("properties"), count("required")), (700, 700), "{word}");
        }
    }

    #[test]
    fn reading_is_bounded_by_the_size_of_the_document() {
        let circle = r##"{"properties":{"p":{}},"required":["p"],"allOf":[{"$ref":"#","title":"1"},{"$ref":"#","title":"2"},{"$ref":"#","title":"3"},{"$ref":"#","title":"4"}]}"##;
        for (target, cases) in [(wide(700), 400), (wide(5), 5000), (circle.to_owned(), 50)] {
            for word in ["allOf", "anyOf"] {
                let document = referring(word, cases, &target, title);
                let (spent, size) = spent(&document);
                // The last read may be finished beyond the budget.
                assert!(spent <= size * (MOST_READINGS + 8), "{word}: {spent} of {size}");
                let top = flattened(&document).unwrap();
                assert!(top.get("properties").and_then(Node::object).is_some(), "{word}");
            }
        }
    }

    #[test]
    fn alternatives_that_were_not_read_require_nothing() {
        let document = referring("anyOf", 400, &wide(700), title);
        assert!(flattened(&document).unwrap().get("required").is_none());
    }

    #[test]
    fn definitions_of_one_property_are_compared_as_text() {
        let case = |at: usize| format!("{{\"properties\":{{\"p\":{{\"maximum\":{}}}}}}}", at / 2);
        let cases: Vec<_> = (0..2000).map(case).collect();
        let document = Node::parse(&format!("{{\"anyOf\":[{}]}}", cases.join(","))).unwrap();
        let (spent, size) = spent(&document);
        assert!(spent <= size * MOST_READINGS, "{spent} of {size}");
        let top = flattened(&document).unwrap();
        let property = top.get("properties").and_then(Node::object).unwrap().get("p").unwrap();
        let cases = property.object().unwrap().get("anyOf").and_then(Node::list).unwrap();
        assert_eq!(cases.len(), 1000, "each definition occurs once");
    }

    #[test]
    fn variants_with_a_base_keep_what_all_require() {
        let variant = |at: usize| {
            format!(
                "{{\"allOf\":[{{\"$ref\":\"#/$defs/base\"}},{{\"properties\":{{\"v{at}\":{{}}}},\"required\":[\"v{at}\",\"id\"]}}]}}"
            )
        };
        let variants: Vec<_> = (0..40).map(variant).collect();
        let base = r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;
        let document =
            Node::parse(&format!("{{\"oneOf\":[{}],\"$defs\":{{\"base\":{base}}}}}", variants.join(",")))
                .unwrap();
        let top = flattened(&document).unwrap();
        assert_eq!(top.get("required").map(Node::to_json).as_deref(), Some("[\"id\"]"));
        assert_eq!(top.get("properties").and_then(Node::object).unwrap().0.len(), 41);
    }
}
