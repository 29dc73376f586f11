//! One layer of the configuration: checked values, each with its place. The `config` crate merges the layers.

use std::fmt;

use config::{Map, Source, Value, ValueKind};

use super::ConfigSource;

/// The values of one file, of the variables, or of the command line.
#[derive(Clone, Default)]
pub(super) struct Layer {
    tree: Map<String, Value>,
    /// The providers in the order written, which the tree does not keep.
    providers: Vec<String>,
    /// The source; `None` for merged layers.
    origin: Option<ConfigSource>,
}

/// A table of a layer, or of all layers merged.
#[derive(Clone, Copy)]
pub(super) struct Section<'a>(Option<&'a Map<String, Value>>);

/// A text with its place. It may be a key, so it has no `Debug`.
#[derive(Clone, Copy)]
pub(super) struct LocatedText<'a> {
    pub(super) text: &'a str,
    pub(super) place: &'a str,
}

impl Layer {
    pub(super) fn put(&mut self, path: &[&str], value: ValueKind, place: &str) {
        if let ["providers", name, ..] = path
            && !self.providers.iter().any(|known| known == name)
        {
            self.providers.push((*name).to_owned());
        }
        put(&mut self.tree, path, Value::new(Some(&place.to_owned()), value));
    }

    pub(super) fn with_origin(self, origin: ConfigSource) -> Self {
        Self { origin: Some(origin), ..self }
    }

    pub(super) fn origin(&self) -> Option<ConfigSource> {
        self.origin
    }

    pub(super) fn providers(&self) -> &[String] {
        &self.providers
    }

    pub(super) fn tree(&self) -> &Map<String, Value> {
        &self.tree
    }

    pub(super) fn root(&self) -> Section<'_> {
        Section(Some(&self.tree))
    }

    /// All layers as one, later ones over earlier ones, value by value.
    pub(super) fn merged(layers: &[Self]) -> Result<Self, config::ConfigError> {
        let sources = layers.iter().cloned();
        let merged = sources.fold(config::Config::builder(), |all, layer| all.add_source(layer)).build()?;
        let mut providers = Vec::new();
        for name in layers.iter().flat_map(|layer| &layer.providers) {
            if !providers.contains(name) {
                providers.push(name.clone());
            }
        }
        Ok(Self { tree: merged.collect()?, providers, origin: None })
    }
}

fn put(tree: &mut Map<String, Value>, path: &[&str], value: Value) {
    let [name, rest @ ..] = path else { return };
    if rest.is_empty() {
        tree.insert((*name).to_owned(), value);
        return;
    }
    let table =
        tree.entry((*name).to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if let ValueKind::Table(table) = &mut table.kind {
        put(table, rest, value);
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.tree.clone())
    }
}

/// Without the values, among which are keys.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("providers", &self.providers).finish_non_exhaustive()
    }
}

impl<'a> Section<'a> {
    pub(super) fn section(self, name: &str) -> Self {
        let Some(ValueKind::Table(table)) = self.kind(name) else { return Self(None) };
        Self(Some(table))
    }

    pub(super) fn text(self, key: &str) -> Option<LocatedText<'a>> {
        self.0?.get(key).and_then(located)
    }

    pub(super) fn seconds(self, key: &str) -> Option<f64> {
        if let Some(ValueKind::Float(seconds)) = self.kind(key) { Some(*seconds) } else { None }
    }

    pub(super) fn count(self, key: &str) -> Option<i64> {
        if let Some(ValueKind::I64(count)) = self.kind(key) { Some(*count) } else { None }
    }

    pub(super) fn flag(self, key: &str) -> Option<bool> {
        if let Some(ValueKind::Boolean(flag)) = self.kind(key) { Some(*flag) } else { None }
    }

    /// The names of the entries, in alphabetical order.
    pub(super) fn names(self) -> Vec<&'a str> {
        let mut names: Vec<_> = self.0.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn is_there(self) -> bool {
        self.0.is_some()
    }

    /// The texts of a table, by name.
    pub(super) fn texts(self) -> Vec<(&'a str, LocatedText<'a>)> {
        let entries = self.0.into_iter().flatten();
        let mut texts: Vec<_> =
            entries.filter_map(|(name, value)| Some((name.as_str(), located(value)?))).collect();
        texts.sort_unstable_by_key(|(name, _)| *name);
        texts
    }

    fn kind(self, name: &str) -> Option<&'a ValueKind> {
        Some(&self.0?.get(name)?.kind)
    }
}

fn located(value: &Value) -> Option<LocatedText<'_>> {
    let ValueKind::String(text) = &value.kind else { return None };
    Some(LocatedText { text, place: value.origin().unwrap_or_default() })
}
