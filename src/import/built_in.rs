//! Finds the built-in provider of vdm that a provider of the other file is.

use toml_edit::{Document, Item, TableLike, Value};

use super::endpoint::Format;
use crate::config::DEFAULTS;

/// A built-in provider.
#[derive(Debug)]
pub(super) struct BuiltIn {
    pub(super) name: String,
    pub(super) base_url: Option<String>,
    pub(super) format: Format,
    /// What the provider needs beyond its address.
    pub(super) options: Vec<(String, Value)>,
}

/// Keys with the provider's address, or with information for people.
const ADDRESS: [&str; 5] = ["base-url", "api-format", "models-url", "model-page", "aliases"];

/// The built-in provider of this name.
pub(super) fn named(name: &str) -> Option<BuiltIn> {
    all().into_iter().find(|provider| provider.name == name)
}

/// The first built-in provider with this base URL.
pub(super) fn at(base_url: &str) -> Option<BuiltIn> {
    all().into_iter().find(|provider| provider.base_url.as_deref() == Some(base_url))
}

fn all() -> Vec<BuiltIn> {
    let Ok(document) = Document::parse(DEFAULTS) else { return Vec::new() };
    let tables = document
        .as_table()
        .iter()
        .filter(|(name, _)| !name.starts_with('#') && !["defaults", "limits"].contains(name));
    tables.filter_map(|(name, item)| Some(BuiltIn::new(name, item.as_table_like()?))).collect()
}

impl BuiltIn {
    fn new(name: &str, table: &dyn TableLike) -> Self {
        let text = |key| table.get(key).and_then(Item::as_str);
        let options = table.iter().filter(|(key, _)| !ADDRESS.contains(key));
        let options = options.filter_map(|(key, item)| Some((key.to_owned(), item.as_value()?.clone())));
        Self {
            name: name.to_owned(),
            base_url: text("base-url").map(str::to_owned),
            format: match text("api-format") {
                Some("anthropic") => Format::Anthropic,
                Some("responses") => Format::Responses,
                Some(_) | None => Format::OpenAi,
            },
            options: options.collect(),
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.options.iter().any(|(known, value)| known == key && value.as_bool() == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a built-in provider is found by its name and by its address, with its options.
    #[test]
    fn built_in_providers_are_found() {
        let by_name = named("openrouter").unwrap();
        let by_address = at("https://openrouter.ai/api/v1").unwrap();
        assert_eq!((by_name.name.as_str(), by_name.format), ("openrouter", Format::OpenAi));
        assert_eq!(by_address.name, "openrouter");
        assert!(by_name.flag("cache-control") && !by_name.flag("think-tags"));
        assert!(by_name.options.iter().all(|(key, _)| key != "base-url"));
        assert_eq!(named("anthropic").map(|provider| provider.format), Some(Format::Anthropic));
        assert!(named("defaults").is_none() && named("#top").is_none() && at("https://x").is_none());
    }
}
