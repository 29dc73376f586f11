//! Reduces a parsed schema to what Gemini accepts in combination: resolves or keeps alternatives, determines a type,
//! and keeps only the members of that type.

use super::{EnumValue, Schema, SchemaPosition, SchemaType, add_all};

impl Schema {
    /// Merges alternatives into this schema. `Position::Root` always becomes an object.
    pub(super) fn choose(&mut self, alternatives: Vec<Self>, position: SchemaPosition) {
        let mut distinct: Vec<Self> = vec![];
        for alternative in alternatives.into_iter().flat_map(Self::into_alternatives) {
            if alternative.is_null() {
                self.nullable = true;
            } else if !distinct.contains(&alternative) {
                distinct.push(alternative);
            }
        }
        let are_objects = distinct.iter().all(Self::is_object);
        if distinct.len() == 1 {
            distinct.into_iter().for_each(|only| self.merge(only));
        } else if !self.properties.0.is_empty() || (position == SchemaPosition::Root && are_objects) {
            self.merge_properties(distinct);
        } else if !distinct.is_empty() && distinct.iter().all(Self::is_choice) {
            let mut any = Self { kind: Some(SchemaType::String), ..Self::default() };
            let choices = distinct.into_iter().flat_map(|alternative| alternative.choices);
            choices.for_each(|choice| any.add_choice(choice));
            self.merge(any);
        } else {
            self.any_of.append(&mut distinct);
        }
    }

    fn into_alternatives(self) -> Vec<Self> {
        if self.any_of.is_empty() { vec![self] } else { self.any_of }
    }

    fn is_object(&self) -> bool {
        self.kind == Some(SchemaType::Object) || (self.kind.is_none() && !self.properties.0.is_empty())
    }

    /// Whether the schema enumerates strings and contains nothing else of relevance.
    fn is_choice(&self) -> bool {
        let Self { choices, title, description, .. } = self;
        let names = |kind| Self {
            kind,
            choices: choices.clone(),
            title: title.clone(),
            description: description.clone(),
            ..Self::default()
        };
        let texts = choices.iter().all(|choice| matches!(choice, EnumValue::Text(_)));
        !choices.is_empty() && texts && (*self == names(None) || *self == names(Some(SchemaType::String)))
    }

    /// Makes an object that matches any of these alternatives: it has all of their properties, and requires what all of
    /// them require.
    fn merge_properties(&mut self, alternatives: Vec<Self>) {
        let mut needed = alternatives.iter().map(|alternative| alternative.required.clone());
        let first = needed.next().unwrap_or_default();
        let needed = needed
            .fold(first, |needed, other| needed.into_iter().filter(|name| other.contains(name)).collect());
        add_all(&mut self.required, needed);
        for alternative in alternatives {
            self.properties.add(alternative.properties);
        }
    }

    /// Reduces the schema to what Gemini accepts in combination.
    pub(super) fn settle(&mut self, position: SchemaPosition) {
        let alternatives = std::mem::take(&mut self.any_of);
        self.choose(alternatives, position);
        if !self.any_of.is_empty() {
            return self.settle_alternatives();
        }
        let kind = self.kind.unwrap_or_else(|| self.default_kind(position));
        let mut other = std::mem::take(self);
        *self = Self { kind: Some(kind), title: other.title, nullable: other.nullable, ..Self::default() };
        self.description = other.description;
        self.format = other.format.filter(|format| kind.takes_format(format));
        match kind {
            SchemaType::String => {
                other
                    .choices
                    .into_iter()
                    .map(EnumValue::into_text)
                    .for_each(|choice| self.add_choice(choice));
                self.format =
                    self.format.take().filter(|format| format != "enum" || !self.choices.is_empty());
                (self.min_length, self.max_length) = (other.min_length, other.max_length);
                self.pattern = other.pattern;
            }
            SchemaType::Number | SchemaType::Integer => {
                (self.minimum, self.maximum) = (other.minimum, other.maximum);
                self.describe_choices(&other.choices);
            }
            SchemaType::Boolean => self.describe_choices(&other.choices),
            SchemaType::Array => {
                let default_items = || Box::new(Self { kind: Some(SchemaType::String), ..Self::default() });
                self.items = Some(other.items.unwrap_or_else(default_items));
                (self.min_items, self.max_items) = (other.min_items, other.max_items);
            }
            SchemaType::Object => {
                for names in [&mut other.required, &mut other.property_ordering] {
                    names.retain(|name| other.properties.has(name));
                }
                self.properties = other.properties;
                (self.required, self.property_ordering) = (other.required, other.property_ordering);
                (self.min_properties, self.max_properties) = (other.min_properties, other.max_properties);
            }
        }
    }

    /// Gemini allows nothing beside `anyOf`: shared members move to the first alternative that lacks them.
    fn settle_alternatives(&mut self) {
        let mut any_of = std::mem::take(&mut self.any_of);
        let description = self.description.take();
        if let Some(silent) = any_of.iter_mut().find(|alternative| alternative.description.is_none()) {
            silent.description = description;
        }
        if let Some(first) = any_of.first_mut() {
            first.nullable |= self.nullable;
        }
        *self = Self::default();
        self.choose(any_of, SchemaPosition::Inside);
        if self.any_of.is_empty() {
            self.settle(SchemaPosition::Inside);
        }
    }

    /// Returns the type to declare. A value of any type is declared as a string.
    fn default_kind(&self, position: SchemaPosition) -> SchemaType {
        let all = |is: fn(&EnumValue) -> bool| !self.choices.is_empty() && self.choices.iter().all(is);
        if !self.properties.0.is_empty() || !self.required.is_empty() {
            SchemaType::Object
        } else if self.items.is_some() || self.min_items.is_some() || self.max_items.is_some() {
            SchemaType::Array
        } else if all(|choice| matches!(choice, EnumValue::Boolean(_))) {
            SchemaType::Boolean
        } else if all(|choice| matches!(choice, EnumValue::Number(_)))
            || self.minimum.is_some()
            || self.maximum.is_some()
        {
            SchemaType::Number
        } else if position == SchemaPosition::Root && self.choices.is_empty() {
            SchemaType::Object
        } else {
            SchemaType::String
        }
    }

    /// Moves choices into the description: Gemini enumerates strings only.
    fn describe_choices(&mut self, choices: &[EnumValue]) {
        if choices.is_empty() {
            return;
        }
        let values: Vec<&str> = choices.iter().map(EnumValue::text).collect();
        let note = format!("One of: {}.", values.join(", "));
        self.description = Some(match self.description.take() {
            Some(description) => format!("{description} {note}"),
            None => note,
        });
    }
}
