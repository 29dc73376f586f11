//! The configuration that an import writes.

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::routes::{Route, Routes};

/// A provider's section.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) values: Vec<(String, Value)>,
    /// Rules of `set-params` and `limit-params`.
    pub(super) sets: Vec<String>,
    pub(super) limits: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
}

/// Everything that is written, except keys.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Settings outside of every section.
    pub(super) gateway: Vec<(&'static str, Value)>,
    pub(super) defaults: Vec<(&'static str, Value)>,
    pub(super) sections: Vec<Section>,
    pub(super) routes: Routes,
}

/// The comment above the settings.
const HEADER: &str = "\
# Written by `vdm config import ccr`. Keys are in the file .env in this directory.
# In a target, ! selects exactly this model, without aliases.
";

impl Section {
    /// Sets a value; the last one counts.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.values.retain(|(known, _)| known != key);
        self.values.push((key.to_owned(), value.into()));
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        for (key, value) in &self.values {
            table.insert(key, Item::Value(value.clone()));
        }
        let lists = [("set-params", &self.sets), ("limit-params", &self.limits)];
        for (key, rules) in lists.into_iter().filter(|(_, rules)| !rules.is_empty()) {
            table.insert(key, list(rules));
        }
        if !self.headers.is_empty() {
            let mut headers = Table::new();
            for (name, text) in &self.headers {
                headers.insert(name, toml_edit::value(text));
            }
            table.insert("custom-headers", Item::Table(headers));
        }
        table
    }
}

impl Document {
    /// The text of the file.
    pub(super) fn to_toml(&self) -> String {
        let mut document = DocumentMut::new();
        for (key, value) in &self.gateway {
            document.insert(key, Item::Value(value.clone()));
        }
        let mut defaults = Table::new();
        if self.routes.default.is_some() {
            defaults.insert("default-provider", toml_edit::value(&self.routes.profile));
        }
        for (key, value) in &self.defaults {
            defaults.insert(key, Item::Value(value.clone()));
        }
        let sections = self.sections.iter().map(|section| (section.name.clone(), section.table()));
        let tables = [("defaults".to_owned(), defaults)].into_iter().chain(sections);
        let tables = tables.chain([
            (format!("#{}", self.routes.profile), profile(&self.routes)),
            ("routing".to_owned(), routing(&self.routes)),
        ]);
        for (name, table) in tables.filter(|(_, table)| !table.is_empty()) {
            document.insert(&name, Item::Table(table));
        }
        let body = document.to_string();
        let gap = if body.starts_with('\n') { "" } else { "\n" };
        format!("{HEADER}{gap}{body}")
    }
}

fn profile(routes: &Routes) -> Table {
    let mut table = Table::new();
    let Some(default) = &routes.default else { return table };
    table.set_implicit(default.fallbacks.is_empty());
    if !default.fallbacks.is_empty() {
        table.insert("fallbacks", list(&default.fallbacks));
    }
    let mut aliases = Table::new();
    for name in ["haiku", "sonnet", "opus", "fable"] {
        aliases.insert(name, toml_edit::value(&default.target));
    }
    table.insert("aliases", Item::Table(aliases));
    table
}

fn routing(routes: &Routes) -> Table {
    let mut table = Table::new();
    for (key, Route { target, fallbacks }) in &routes.roles {
        let targets = [std::slice::from_ref(target), fallbacks].concat();
        let item = if fallbacks.is_empty() { toml_edit::value(target) } else { list(&targets) };
        table.insert(key, item);
    }
    if let Some(tokens) = routes.long_context_threshold.and_then(|tokens| i64::try_from(tokens).ok()) {
        table.insert("long-context-threshold", toml_edit::value(tokens));
    }
    table
}

fn list(items: &[String]) -> Item {
    Item::Value(Value::Array(items.iter().map(String::as_str).collect::<Array>()))
}
