//! The variables of a client in the same shell (`ANTHROPIC_BASE_URL=http://localhost:8082`, `ANTHROPIC_API_KEY=any`), which
//! have the names of a provider's settings: they lead to the gateway itself. They are ignored, and lower layers hold.

use super::ConfigSource;
use super::base_url::{self, ListenAddress};
use super::environment;
use super::error::Diagnostics;
use super::key_text::is_passthrough;
use super::layer::Layer;
use super::variables::{EnvironmentVariable, Variables};

/// Vendors' keys have at least this length; clients of the gateway use any word.
const SHORTEST_VENDOR_KEY: usize = 20;

/// The layers below the variables, and what identifies the gateway itself.
pub(super) struct Below<'a> {
    pub(super) files: &'a [Layer],
    pub(super) listener: &'a ListenAddress,
    pub(super) gateway_key: Option<&'a str>,
}

/// What is done with the variables of one provider whose URL is the gateway's own.
enum VariableFinding {
    /// URL and key are a client's.
    Client,
    /// The URL alone; `.env` has another one.
    UrlOnly,
    /// Nothing here: the URL alone is skipped when the provider is built.
    Kept,
}

impl Below<'_> {
    /// Removes a client's variables, so that `.env` and files hold, with one warning each.
    pub(super) fn ignore_clients(&self, variables: &mut Variables, report: &mut Diagnostics) {
        let named = variables.iter().filter_map(|(name, _)| name.strip_suffix("_BASE_URL"));
        let prefixes: Vec<_> = named.map(str::to_owned).collect();
        for prefix in prefixes {
            // Twice: `.env` may contain a client's variables, too.
            self.ignore_client(&prefix, variables, report);
            self.ignore_client(&prefix, variables, report);
        }
    }

    fn ignore_client(&self, prefix: &str, variables: &mut Variables, report: &mut Diagnostics) {
        let (url_name, key_name) = (format!("{prefix}_BASE_URL"), format!("{prefix}_API_KEY"));
        let Some(url) = set(variables.find(&url_name)).filter(|url| self.is_gateway(&url.text)) else {
            return;
        };
        let place = url.place.clone();
        match self.inspect(prefix, variables) {
            VariableFinding::Kept => {}
            VariableFinding::UrlOnly => {
                report.warning(&place, "this is the gateway's own address; using the URL of .env instead");
                variables.remove(&url_name);
            }
            VariableFinding::Client => {
                let name = environment::named(prefix, &self.known());
                let then = match self.has_key(prefix, variables) {
                    true => format!("the other settings of {name} hold"),
                    false => format!("to use {name}, set {key_name} to its key"),
                };
                let text = format!(
                    "this is the gateway's own address, and {key_name} is no vendor's key, so both are ignored as \
                     settings of a client; {then}"
                );
                report.warning(&place, text);
                variables.remove(&url_name);
                variables.remove(&key_name);
            }
        }
    }

    fn inspect(&self, prefix: &str, variables: &Variables) -> VariableFinding {
        let hidden = variables.hidden(&format!("{prefix}_BASE_URL"));
        let url_only = match set(hidden) {
            Some(hidden) if !self.is_gateway(&hidden.text) => VariableFinding::UrlOnly,
            Some(_) | None => VariableFinding::Kept,
        };
        let Some(key) = set(variables.find(&format!("{prefix}_API_KEY"))) else { return url_only };
        let words = || key.text.split_whitespace();
        let is_own = words().any(|word| Some(word) == self.gateway_key);
        let is_placeholder =
            words().all(|word| word.len() < SHORTEST_VENDOR_KEY || Some(word) == self.gateway_key);
        if is_passthrough(&key.text) || !is_placeholder {
            return url_only;
        }
        let by_user = set(hidden).is_some() || self.states(prefix, "base-url", Some(ConfigSource::BuiltIn));
        // A word is the key of a user's own server, unless that has another one.
        if by_user && !is_own && !self.has_key(prefix, variables) {
            return url_only;
        }
        match by_user || self.states(prefix, "base-url", None) {
            true => VariableFinding::Client,
            // The provider is reported when it is built.
            false => VariableFinding::Kept,
        }
    }

    /// Whether the provider has a key without the variable that hides it.
    fn has_key(&self, prefix: &str, variables: &Variables) -> bool {
        let is_set = |name: &str| set(variables.find(&format!("{prefix}{name}"))).is_some();
        set(variables.hidden(&format!("{prefix}_API_KEY"))).is_some()
            || is_set("_API_KEY_FILE")
            || is_set("_AUTH_MODE")
            || ["api-key", "api-key-file", "auth-mode"].iter().any(|key| self.states(prefix, key, None))
    }

    /// Whether a file states this setting as a text, apart from one layer.
    fn states(&self, prefix: &str, key: &str, except: Option<ConfigSource>) -> bool {
        let name = environment::named(prefix, &self.known());
        let files = self.files.iter().filter(|layer| except.is_none() || layer.origin() != except);
        let mut texts = files.filter_map(|layer| layer.root().section("providers").section(&name).text(key));
        texts.any(|stated| !stated.text.trim().is_empty())
    }

    fn known(&self) -> Vec<String> {
        self.files.iter().flat_map(|layer| layer.providers().to_vec()).collect()
    }

    fn is_gateway(&self, url: &str) -> bool {
        base_url::parse(url).is_ok_and(|url| self.listener.is(&url))
    }
}

/// An empty variable counts as not set.
fn set(variable: Option<&EnvironmentVariable>) -> Option<&EnvironmentVariable> {
    variable.filter(|variable| !variable.text.trim().is_empty())
}
