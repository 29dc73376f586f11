//! Values at the top of the configuration that need more than their type.

use std::path::PathBuf;
use std::sync::Arc;

use vandamme_actors::secret::ApiKey;
use vandamme_actors::upstream::ProxySettings;

use super::LayerReading;
use super::error::ConfigError;
use super::key_text::{self, KeyFinding};
use super::layer::{LocatedText, Section};

impl LayerReading<'_> {
    /// Where lists of models are kept: `~` is the home, and without a home there is no place for them.
    pub(super) fn cache(&self, root: Section<'_>) -> Option<PathBuf> {
        let defaults = root.section("defaults");
        let directory =
            defaults.text("cache-dir").filter(|_| defaults.flag("models-cache") != Some(false))?;
        let home = || self.overrides.home.clone();
        match directory.text.trim().strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => Some(home()?.join(rest.trim_start_matches('/'))),
            Some(_) | None => Some(self.overrides.working_directory.join(directory.text.trim())),
        }
    }

    pub(super) fn proxies(&mut self) -> Arc<ProxySettings> {
        let variables = &self.variables;
        let read = ProxySettings::read(|name| variables.find(name).map(|variable| variable.text.clone()));
        Arc::new(read.unwrap_or_else(|wrong| {
            let place = |name: String| variables.find(&name).map_or(name, |variable| variable.place.clone());
            let error = |name| ConfigError::new(place(name), ProxySettings::EXPECTED);
            self.report.errors.extend(wrong.into_iter().map(error));
            ProxySettings::default()
        }))
    }

    /// The key that clients must show. A text that no client shows as it is, such as a key in quotes, is an error.
    pub(super) fn gateway_key(&mut self, key: LocatedText<'_>) -> ApiKey {
        match key_text::inspect_gateway_key(key.text) {
            Some(KeyFinding::Invalid(text)) => self.report.error(key.place, text),
            Some(KeyFinding::Suspicious(text)) => self.report.warning(key.place, text),
            None => {}
        }
        ApiKey::new(key.text)
    }
}
