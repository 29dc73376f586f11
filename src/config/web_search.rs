//! `[web-search]`: who searches the web for models whose upstream cannot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vandamme_actors::secret::ApiKey;
use vandamme_actors::settings::{ProviderSettings, SearchService, Searcher, WebSearch};
use vandamme_protocol::web_search::Service;

use super::builder::Builder;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::nearest_name;
use crate::demo;

/// The table in files.
pub(super) const TABLE: &str = "web-search";
/// The provider of the model.
const PROVIDER: &str = "provider";

impl Builder<'_> {
    /// `None` without `by`: the gateway then searches nothing itself.
    pub(super) fn web_search(&mut self) -> Option<Arc<WebSearch>> {
        let section = self.merged.root().section(TABLE);
        let by = section.text("by")?;
        let mut searchers = Vec::new();
        for word in by.text.lines() {
            match searcher(word, by, section) {
                Ok(searcher) => searchers.push(searcher),
                Err(error) => self.errors.push(error),
            }
        }
        Some(Arc::new(WebSearch {
            by: searchers,
            max_searches: section.count("max-searches").and_then(|count| count.try_into().ok()).unwrap_or(8),
            max_results: section.count("max-results").and_then(|count| count.try_into().ok()).unwrap_or(8),
            timeout: Duration::from_secs_f64(section.seconds("timeout").unwrap_or(10.0)),
        }))
    }
}

fn searcher(word: &str, by: LocatedText<'_>, section: Section<'_>) -> Result<Searcher, ConfigError> {
    let error = |text: String| ConfigError::new(by.place, text);
    if word == PROVIDER {
        return Ok(Searcher::Provider);
    }
    let names = || Service::ALL.iter().map(|service| service.name());
    let Some(service) = Service::ALL.into_iter().find(|service| service.name() == word) else {
        let meant = nearest_name(word, names().chain([PROVIDER]));
        let meant = meant.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        let known: Vec<_> = [PROVIDER].into_iter().chain(names()).collect();
        return Err(error(format!(
            "nobody called {word:?} can search; expected {}{meant}",
            known.join(", ")
        )));
    };
    let key = section.text(&format!("{word}-api-key")).map(|key| ApiKey::new(key.text.trim()));
    let prefix = word.to_ascii_uppercase();
    if service.key_header().is_some() && key.is_none() {
        return Err(error(format!("{word} has no key; set {prefix}_API_KEY")));
    }
    let url = section.text(&format!("{word}-base-url")).map(|url| url.text.trim());
    let Some(url) = url.or(service.base_url()) else {
        return Err(error(format!("{word} has no address; set {word}-base-url or {prefix}_BASE_URL")));
    };
    let endpoint = ProviderSettings {
        name: format!("({TABLE} {word})").into(),
        keys: Vec::new(),
        aliases: BTreeMap::new(),
        demo: false,
        ..demo::provider(url)
    };
    Ok(Searcher::Service(Box::new(SearchService { service, key, endpoint })))
}
