//! Parses JSON Schema of any draft and size, with bounds for recursion, depth and growth.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{EnumValue, Numeral, Schema, SchemaPosition, SchemaType};
use crate::json::RawMembers;

/// The deepest nesting of parameters in practice. A deeper schema becomes a plain object.
const DEEPEST: usize = 32;
/// The most bytes that references can add to a schema: each reference is expanded in place.
const MOST_ADDED: usize = 256 << 10;
/// Gemini's counts are signed 64-bit integers.
const LARGEST_COUNT: u64 = i64::MAX as u64;

/// Parses a document.
pub(super) fn root(raw: &RawValue) -> Schema {
    let mut reader = SchemaReader { document: raw, following: vec![], added: 0 };
    reader.nested(raw, 0)
}

struct SchemaReader<'a> {
    document: &'a RawValue,
    /// The references being followed; each one is part of the target of the previous one.
    following: Vec<String>,
    added: usize,
}

impl<'a> SchemaReader<'a> {
    /// Parses a schema of a value. It must name a type, even if the value is always null.
    fn nested(&mut self, raw: &'a RawValue, depth: usize) -> Schema {
        let mut schema = self.parse_unsettled(raw, depth);
        schema.settle(SchemaPosition::from_depth(depth));
        schema
    }

    /// Parses one of several alternatives; `kind` is the type that all of them share.
    fn alternative(&mut self, raw: &'a RawValue, kind: Option<SchemaType>, depth: usize) -> Schema {
        let mut schema = self.parse_unsettled(raw, depth);
        if !schema.is_null() {
            schema.kind = schema.kind.or(kind);
            schema.settle(SchemaPosition::Inside);
        }
        schema
    }

    /// Parses a schema without settling it: more may follow.
    fn parse_unsettled(&mut self, raw: &'a RawValue, depth: usize) -> Schema {
        let Ok(members) = serde_json::from_str::<SchemaMembers<'a>>(raw.get()) else {
            return Schema::default();
        };
        if depth > DEEPEST {
            return Schema { kind: Some(SchemaType::Object), ..Schema::default() };
        }
        let mut schema = plain(&members);
        self.add_contents(&mut schema, &members, depth);
        if let Some(reference) = members.text("$ref") {
            let target = self.follow(&reference, depth);
            schema.merge(target);
        }
        for part in members.list("allOf") {
            let part = self.parse_unsettled(part, depth + 1);
            schema.merge(part);
        }
        let kinds = kinds(&members, &mut schema);
        if let [kind] = kinds[..] {
            schema.kind = Some(kind);
        }
        for word in ["anyOf", "oneOf"] {
            let kind = schema.kind;
            let alternatives = members.list(word).into_iter();
            let alternatives = alternatives.map(|each| self.alternative(each, kind, depth + 1)).collect();
            schema.choose(alternatives, SchemaPosition::from_depth(depth));
        }
        if kinds.len() > 1 && schema.any_of.is_empty() {
            schema.choose(one_for_each(&kinds, &schema), SchemaPosition::from_depth(depth));
        }
        schema
    }

    fn add_contents(&mut self, schema: &mut Schema, members: &SchemaMembers<'a>, depth: usize) {
        for (name, raw) in members.members("properties").0.iter() {
            // A property that is never valid cannot be sent.
            if raw.get() != "false" {
                let property = self.nested(raw, depth + 1);
                schema.properties.0.retain(|(known, _)| known != name);
                schema.properties.0.push((name.to_owned(), property));
            }
        }
        let items = members.value("items").filter(|items| items.get().starts_with('{'));
        let tuple = [members.list("prefixItems"), members.list("items")].concat();
        if let Some(items) = items {
            schema.items = Some(Box::new(self.nested(items, depth + 1)));
        } else if !tuple.is_empty() {
            let mut any = Schema::default();
            let alternatives =
                tuple.into_iter().map(|item| self.alternative(item, None, depth + 1)).collect();
            any.choose(alternatives, SchemaPosition::Inside);
            any.settle(SchemaPosition::Inside);
            schema.items = Some(Box::new(any));
        }
    }

    /// Resolves a reference within the document. A reference to itself, out of the document or to nothing becomes a
    /// plain object.
    fn follow(&mut self, reference: &str, depth: usize) -> Schema {
        let unknown = Schema { kind: Some(SchemaType::Object), ..Schema::default() };
        let Some(target) = self.resolve(reference) else { return unknown };
        self.added += target.get().len();
        if self.added > MOST_ADDED || self.following.iter().any(|followed| followed == reference) {
            return unknown;
        }
        self.following.push(reference.to_owned());
        let schema = self.parse_unsettled(target, depth + 1);
        self.following.pop();
        schema
    }

    fn resolve(&self, reference: &str) -> Option<&'a RawValue> {
        let pointer = reference.strip_prefix('#')?;
        let steps = pointer.split('/').skip(1);
        steps.map(|step| step.replace("~1", "/").replace("~0", "~")).try_fold(self.document, |raw, step| {
            if raw.get().starts_with('[') {
                let list: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
                return list.get(step.parse::<usize>().ok()?).copied();
            }
            serde_json::from_str::<SchemaMembers<'_>>(raw.get()).ok()?.value(&step)
        })
    }
}

/// Reads the members that contain no other schemas.
fn plain(members: &SchemaMembers<'_>) -> Schema {
    let mut schema = Schema {
        format: members.text("format"),
        title: members.text("title"),
        description: members.text("description"),
        nullable: members.value("nullable").is_some_and(|value| value.get() == "true"),
        min_items: members.count("minItems"),
        max_items: members.count("maxItems"),
        property_ordering: members.texts("propertyOrdering"),
        required: members.texts("required"),
        min_properties: members.count("minProperties"),
        max_properties: members.count("maxProperties"),
        minimum: members.number("minimum"),
        maximum: members.number("maximum"),
        min_length: members.count("minLength"),
        max_length: members.count("maxLength"),
        pattern: members.text("pattern"),
        ..Schema::default()
    };
    for value in members.list("enum").into_iter().chain(members.value("const")) {
        add_choice(&mut schema, value);
    }
    schema
}

/// Gemini refuses an empty string as a choice (ai.google.dev), and cannot represent objects and arrays.
fn add_choice(schema: &mut Schema, value: &RawValue) {
    let text = value.get();
    let choice = match text.as_bytes() {
        b"null" => {
            schema.nullable = true;
            return;
        }
        b"true" | b"false" => EnumValue::Boolean(text.to_owned()),
        [b'"', ..] => match serde_json::from_str::<String>(text) {
            Ok(text) if !text.is_empty() => EnumValue::Text(text),
            Ok(_) | Err(_) => return,
        },
        [b'{' | b'[', ..] => return,
        _ => EnumValue::Number(text.to_owned()),
    };
    schema.add_choice(choice);
}

/// Returns the named types, without null.
fn kinds(members: &SchemaMembers<'_>, schema: &mut Schema) -> Vec<SchemaType> {
    let mut words = members.texts("type");
    words.extend(members.text("type"));
    schema.nullable |= words.iter().any(|word| word.eq_ignore_ascii_case("null"));
    let mut kinds = vec![];
    for kind in words.iter().filter_map(|word| SchemaType::parse(word)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Returns one schema for each type of a value, with the constraints for that type.
fn one_for_each(kinds: &[SchemaType], schema: &Schema) -> Vec<Schema> {
    let schema_of = |&kind: &SchemaType| {
        let mut one =
            Schema { kind: Some(kind), title: None, description: None, nullable: false, ..schema.clone() };
        let fits = |choice: &EnumValue| match choice {
            EnumValue::Text(_) => kind == SchemaType::String,
            EnumValue::Number(_) => matches!(kind, SchemaType::Number | SchemaType::Integer),
            EnumValue::Boolean(_) => kind == SchemaType::Boolean,
        };
        one.choices.retain(fits);
        one.settle(SchemaPosition::Inside);
        one
    };
    kinds.iter().map(schema_of).collect()
}

/// The members of a schema.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct SchemaMembers<'a>(#[serde(borrow)] RawMembers<'a>);

impl<'a> SchemaMembers<'a> {
    fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0.value(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.read(name)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let mut texts = vec![];
        super::add_all(&mut texts, self.0.read(name).unwrap_or_default());
        texts
    }

    fn list(&self, name: &str) -> Vec<&'a RawValue> {
        self.0.read(name).unwrap_or_default()
    }

    fn members(&self, name: &str) -> Self {
        self.0.read(name).unwrap_or_default()
    }

    fn count(&self, name: &str) -> Option<u64> {
        crate::json::read_count(self.value(name)).filter(|&count| count <= LARGEST_COUNT)
    }

    fn number(&self, name: &str) -> Option<Numeral> {
        let text = self.value(name)?.get();
        let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
        is_finite.then(|| Numeral(text.to_owned()))
    }
}
