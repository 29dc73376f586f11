//! Determines a provider's base URL, and whether the URL alone registers the provider.

use url::Url;

use super::ConfigSource;
use super::base_url;
use super::builder::Builder;
use super::environment::prefix;
use super::error::ConfigError;
use super::layer::{Layer, LocatedText};
use super::near_misses;

/// Sent as the key of a server that needs none, as most clients of such servers do.
const NO_KEY: &str = "no-key-needed";

pub(super) enum BaseUrl {
    Valid(String),
    Missing,
    /// Every layer that states one states the gateway's own address; the place of the highest.
    OwnListener(String),
    Invalid(ConfigError),
}

impl<'a> Builder<'a> {
    /// A provider that needs no key is registered by the base URL that a user has set, never by the built-in one alone.
    /// Other programs read such a variable, too, so an invalid one is a warning.
    pub(super) fn without_key(&mut self, name: &str) -> Option<LocatedText<'a>> {
        if !self.needs_no_key(name) {
            return None;
        }
        let by_user = self.layers.iter().rev().filter(|layer| layer.origin() != Some(ConfigSource::BuiltIn));
        let LocatedText { text, place } =
            by_user.filter_map(|layer| self.section(layer, name).text("base-url")).next()?;
        let why_not = match base_url::parse(text) {
            Ok(url) if self.listener.is(&url) => "this is the gateway's own address".to_owned(),
            Ok(_) => return Some(LocatedText { text: NO_KEY, place }),
            Err(refusal) => refusal,
        };
        self.warnings.push(format!("{place}: {why_not}, so {name} cannot be used"));
        None
    }

    /// Warns of a base URL that a user has set for a provider without a key. Many programs have a variable `*_BASE_URL`, so
    /// a variable counts only if the name is known or near a known one.
    pub(super) fn warn_of_url_without_key(&mut self, name: &str) {
        let Some((LocatedText { text, place }, origin)) = self.url_of_user(name) else { return };
        let Ok(url) = base_url::parse(text) else { return };
        if self.listener.is(&url) || self.is_wrapping_gateway(text) || self.needs_no_key(name) {
            return;
        }
        let near = near_misses::near_provider(name, self.known_to_files());
        if origin == ConfigSource::Variables
            && near.is_none()
            && !self.known_to_files().any(|known| known == name)
        {
            return;
        }
        let near =
            near.map_or_else(String::new, |near| format!(" (or did you mean {}_BASE_URL?)", prefix(near)));
        let key = format!("{}_API_KEY", prefix(name));
        self.warnings.push(format!(
            "{place}: {name} has no key, so its base URL has no effect; set {key}, to any word if the server needs no \
             key{near}"
        ));
    }

    /// The base URL of the highest layer and that layer. `None` for the built-in one, also if a user repeats it: the Python
    /// original's file does so for each provider.
    fn url_of_user(&self, name: &str) -> Option<(LocatedText<'a>, ConfigSource)> {
        let stated = |layer: &'a Layer| Some((self.section(layer, name).text("base-url")?, layer.origin()?));
        let built_in = self.layers.first().and_then(stated).map(|(url, _)| url.text.trim_end_matches('/'));
        let highest = self.layers.iter().rev().find_map(stated);
        highest.filter(|(url, _)| built_in != Some(url.text.trim_end_matches('/')))
    }

    /// Inside a tool that `vdm wrap` runs, the base URLs of vendors lead to the gateway of that tool.
    fn is_wrapping_gateway(&self, url: &str) -> bool {
        self.variables
            .find("VDM_WRAP_URL")
            .is_some_and(|wrap| url.starts_with(wrap.text.trim_end_matches('/')))
    }

    /// The providers that files name, the built-in ones included.
    pub(super) fn known_to_files(&self) -> impl Iterator<Item = &'a str> {
        let files = self
            .layers
            .iter()
            .filter(|layer| layer.origin().is_some_and(|origin| origin != ConfigSource::Variables));
        files.flat_map(|layer| layer.providers().iter().map(String::as_str))
    }

    /// The URL of the highest layer that is not the gateway itself.
    pub(super) fn base_url(&mut self, name: &str) -> BaseUrl {
        let layers = self.layers.iter().rev();
        let mut stated: Vec<_> =
            layers.filter_map(|layer| self.section(layer, name).text("base-url")).collect();
        if let Some(by_variable) = self.cloud_base_url(name) {
            // Above the built-in one, which is the lowest.
            stated.insert(stated.len().saturating_sub(1), by_variable);
        }
        let mut own = None;
        for LocatedText { text, place } in stated {
            // The builder has reported what is missing.
            let Some(text) = self.filled_base_url(name, text) else { return BaseUrl::Missing };
            match base_url::parse(&text) {
                Ok(url) if self.listener.is(&url) => own = own.or(Some(place)),
                Ok(url) => return self.usable(self.with_path(name, &url), own),
                Err(refusal) => return BaseUrl::Invalid(ConfigError::new(place, refusal)),
            }
        }
        own.map_or(BaseUrl::Missing, |place| BaseUrl::OwnListener(place.to_owned()))
    }

    /// The provider's URL, whether or not it has a key; an invalid one is reported when the provider is built.
    pub(super) fn usable_url(&mut self, name: &str) -> Option<String> {
        match self.base_url(name) {
            BaseUrl::Valid(url) => Some(url),
            BaseUrl::Missing | BaseUrl::OwnListener(_) | BaseUrl::Invalid(_) => None,
        }
    }

    /// A local server is mostly given as an address alone; its API is under /v1.
    fn with_path(&self, name: &str, url: &Url) -> String {
        let url_text = base_url::normalized(url);
        let local = self.needs_no_key(name);
        if local && url.path() == "/" { format!("{url_text}/v1") } else { url_text }
    }

    fn usable(&mut self, url: String, own: Option<&str>) -> BaseUrl {
        if let Some(place) = own {
            self.warnings.push(format!("{place}: this is the gateway's own address; using {url} instead"));
        }
        BaseUrl::Valid(url)
    }
}
