//! The answers, and the settings that follow from them.

use vandamme_actors::secret::ApiKey;

use crate::config::{Config, variable_prefix};

/// All answers.
#[derive(Debug, Default)]
pub(super) struct SetupAnswers {
    pub(super) providers: Vec<ProviderAnswers>,
    /// The provider for models without a prefix.
    pub(super) default: Option<String>,
    pub(super) aliases: Vec<Alias>,
    /// The key that clients must send.
    pub(super) own_key: Option<ApiKey>,
}

#[derive(Debug)]
pub(super) struct ProviderAnswers {
    pub(super) name: String,
    /// One or several with blanks between; `None` keeps the present ones.
    pub(super) keys: Option<ApiKey>,
    pub(super) base_url: Option<String>,
    pub(super) api_format: Option<String>,
}

#[derive(Debug)]
pub(super) struct Alias {
    pub(super) provider: String,
    pub(super) name: String,
    pub(super) model: String,
}

/// One value, with its name in either type of file.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    /// May be a key, so it is never printed.
    pub(super) value: ApiKey,
}

impl SetupAnswers {
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        for ProviderAnswers { name, keys, base_url, api_format } in &self.providers {
            let values = [
                ("_BASE_URL", "base-url", base_url.as_deref()),
                ("_API_FORMAT", "api-format", api_format.as_deref()),
                ("_API_KEY", "api-key", keys.as_ref().map(ApiKey::expose)),
            ];
            let values = values.into_iter().filter_map(|(suffix, key, value)| Some((suffix, key, value?)));
            settings.extend(values.map(|(suffix, key, value)| {
                Setting::new(format!("{}{suffix}", variable_prefix(name)), &[name, key], value)
            }));
        }
        settings.extend(self.aliases.iter().map(|Alias { provider, name, model }| {
            let variable = format!("{}_ALIAS_{}", variable_prefix(provider), variable_prefix(name));
            Setting::new(variable, &[provider, "aliases", &name.to_lowercase()], model)
        }));
        let default = self.default.iter();
        settings.extend(default.map(|name| {
            Setting::new("VDM_DEFAULT_PROVIDER".to_owned(), &["defaults", "default-provider"], name)
        }));
        let own = self.own_key.iter();
        settings.extend(
            own.map(|key| Setting::new("PROXY_API_KEY".to_owned(), &["proxy-api-key"], key.expose())),
        );
        settings
    }

    /// The providers with a new key or base URL, except those with their clients' keys.
    pub(super) fn to_try(&self) -> impl Iterator<Item = &str> {
        let is_new = |provider: &&ProviderAnswers| match &provider.keys {
            Some(keys) => !keys.expose().starts_with('!'),
            None => provider.base_url.is_some(),
        };
        self.providers.iter().filter(is_new).map(|provider| provider.name.as_str())
    }
}

/// A configured value of a provider, without quotes.
pub(super) fn configured_value<'a>(config: &'a Config, provider: &str, key: &str) -> Option<&'a str> {
    let key = format!("{provider}.{key}");
    let found = config.values.iter().find(|setting| setting.key == key)?;
    Some(found.value.trim_matches('"'))
}

/// A server that needs no key, such as Ollama.
pub(super) fn needs_no_key(config: &Config, provider: &str) -> bool {
    configured_value(config, provider, "api-key-optional") == Some("true")
}

impl Setting {
    fn new(variable: String, path: &[&str], value: &str) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        Self { variable, path, value: ApiKey::new(value) }
    }
}
