//! JSON Schema in the subset that Gemini supports, which is part of OpenAPI's (ai.google.dev/api/caching#Schema).
//! Gemini refuses a whole request for one unknown keyword.
//!
//! A schema is parsed into Gemini's own fields, so that the output contains no others. Anything else is resolved
//! (`$ref`, `allOf`), rewritten (`const`, `oneOf`, a list of types), or omitted.

mod read;
mod settle;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

/// Returns a function's parameters in Gemini's form; `None` if the function takes none.
pub(super) fn parameters(schema: &RawValue) -> Option<String> {
    let schema = read::root(schema);
    let takes_something = schema.kind == Some(SchemaType::Object) && !schema.properties.0.is_empty();
    takes_something.then(|| schema.text())
}

/// Returns the schema of an answer in Gemini's form.
pub(super) fn answer(schema: &RawValue) -> String {
    read::root(schema).text()
}

/// The values of `type`; null becomes [`Schema::nullable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum SchemaType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
}

impl SchemaType {
    /// Google's own libraries write types in capitals.
    fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "string" => Some(Self::String),
            "number" => Some(Self::Number),
            "integer" => Some(Self::Integer),
            "boolean" => Some(Self::Boolean),
            "array" => Some(Self::Array),
            "object" => Some(Self::Object),
            _ => None,
        }
    }

    /// Whether Gemini accepts this value of `format`.
    fn takes_format(self, format: &str) -> bool {
        match self {
            Self::String => matches!(format, "enum" | "date-time"),
            Self::Number => matches!(format, "float" | "double"),
            Self::Integer => matches!(format, "int32" | "int64"),
            Self::Boolean | Self::Array | Self::Object => false,
        }
    }
}

/// One value of an `enum`, as text.
#[derive(Clone, Debug, PartialEq)]
enum EnumValue {
    Text(String),
    Number(String),
    Boolean(String),
}

impl EnumValue {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Boolean(text) => text,
        }
    }

    fn into_text(self) -> Self {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Boolean(text) => Self::Text(text),
        }
    }
}

impl Serialize for EnumValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// A number in its original notation.
#[derive(Clone, Debug, PartialEq)]
struct Numeral(String);

impl Serialize for Numeral {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Properties in their original order.
#[derive(Clone, Debug, Default, PartialEq)]
struct SchemaProperties(Vec<(String, Schema)>);

impl SchemaProperties {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn add(&mut self, others: Self) {
        for (name, schema) in others.0 {
            if !self.has(&name) {
                self.0.push((name, schema));
            }
        }
    }
}

impl Serialize for SchemaProperties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, schema) in &self.0 {
            map.serialize_entry(name, schema)?;
        }
        map.end()
    }
}

/// All fields that Gemini supports, except `default` and `example`, which it ignores.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<SchemaType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    nullable: bool,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    choices: Vec<EnumValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<u64>,
    #[serde(skip_serializing_if = "is_empty")]
    properties: SchemaProperties,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    property_ordering: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    required: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_properties: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_properties: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<Numeral>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<Numeral>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    any_of: Vec<Self>,
}

fn is_empty(properties: &SchemaProperties) -> bool {
    properties.0.is_empty()
}

impl Schema {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("a schema has a JSON form")
    }

    fn add_choice(&mut self, choice: EnumValue) {
        if !self.choices.contains(&choice) {
            self.choices.push(choice);
        }
    }

    /// Whether the schema allows null and nothing else.
    fn is_null(&self) -> bool {
        let Self { title, description, .. } = self;
        let (title, description) = (title.clone(), description.clone());
        *self == Self { nullable: true, title, description, ..Self::default() }
    }

    /// Merges `other` into this schema. Where both define the same field, this schema takes precedence.
    fn merge(&mut self, other: Self) {
        let both = !self.choices.is_empty() && !other.choices.is_empty();
        let agreed = |choice: &EnumValue| other.choices.iter().any(|known| known.text() == choice.text());
        if both && self.choices.iter().any(agreed) {
            self.choices.retain(agreed);
        }
        if self.choices.is_empty() {
            self.choices = other.choices;
        }
        self.kind = self.kind.or(other.kind);
        self.format = self.format.take().or(other.format);
        self.title = self.title.take().or(other.title);
        self.description = self.description.take().or(other.description);
        self.nullable |= other.nullable;
        self.items = self.items.take().or(other.items);
        self.min_items = self.min_items.or(other.min_items);
        self.max_items = self.max_items.or(other.max_items);
        self.properties.add(other.properties);
        add_all(&mut self.property_ordering, other.property_ordering);
        add_all(&mut self.required, other.required);
        self.min_properties = self.min_properties.or(other.min_properties);
        self.max_properties = self.max_properties.or(other.max_properties);
        self.minimum = self.minimum.take().or(other.minimum);
        self.maximum = self.maximum.take().or(other.maximum);
        self.min_length = self.min_length.or(other.min_length);
        self.max_length = self.max_length.or(other.max_length);
        self.pattern = self.pattern.take().or(other.pattern);
        if self.any_of.is_empty() {
            self.any_of = other.any_of;
        }
    }
}

/// The position of a schema in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SchemaPosition {
    Root,
    Inside,
}

impl SchemaPosition {
    fn from_depth(depth: usize) -> Self {
        if depth == 0 { Self::Root } else { Self::Inside }
    }
}

fn add_all(names: &mut Vec<String>, others: Vec<String>) {
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}
