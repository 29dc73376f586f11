//! Checks keys: requests each provider's list of models, as the gateway does.

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use serde::Serialize;
use vandamme_actors::settings::{ProviderSettings, Settings};
use vandamme_protocol::models::Models;

use crate::config::{Config, DemoMode, variable_prefix};
use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered};

/// The result for a provider's keys.
#[derive(Clone, Debug, Serialize)]
pub(super) struct KeyCheck {
    provider: String,
    /// The models listed for the last key.
    #[serde(skip)]
    pub(super) models: Vec<String>,
    #[serde(flatten)]
    outcome: KeyCheckResult,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum KeyCheckResult {
    #[serde(rename = "works")]
    Accepted {
        models: usize,
    },
    /// The provider answers, but has no list of models, so its keys are not checked.
    #[serde(rename = "untold")]
    NoModelList {
        #[serde(skip)]
        base_url: String,
    },
    Refused {
        why: String,
    },
    Unreachable {
        why: String,
    },
}

impl KeyCheck {
    pub(super) fn is_for(&self, provider: &str) -> bool {
        self.provider == provider
    }

    /// The reason why a provider cannot be used, if any.
    pub(super) fn refusal(&self) -> Option<String> {
        match &self.outcome {
            KeyCheckResult::Accepted { .. } | KeyCheckResult::NoModelList { .. } => None,
            KeyCheckResult::Refused { .. } | KeyCheckResult::Unreachable { .. } => Some(self.to_string()),
        }
    }
}

impl fmt::Display for KeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.provider;
        match &self.outcome {
            KeyCheckResult::Accepted { models } => write!(f, "{name} answers: it has {models} models"),
            KeyCheckResult::NoModelList { base_url } => write!(
                f,
                "{name} answers, but lists no models at {base_url}, so the key is not checked; is the base URL right?"
            ),
            KeyCheckResult::Refused { why } => write!(f, "{name} refuses a key: {why}"),
            KeyCheckResult::Unreachable { why } => write!(f, "{name} cannot be asked: {why}"),
        }
    }
}

/// Why the configuration does not register a provider. Setup tries its answers as variables.
pub(super) fn why_not<'c>(config: &'c Config, name: &str) -> Option<&'c str> {
    let variables = format!("{}_", variable_prefix(name));
    let warnings = config.warnings.iter();
    let stated = warnings.filter_map(|warning| warning.strip_prefix("environment variable "));
    stated.into_iter().find(|stated| stated.starts_with(&variables))
}

/// Checks each key of a provider by itself.
pub(super) fn run(config: &Config, name: &str) -> KeyCheck {
    let provider = config.settings.providers.iter().find(|provider| *provider.name == *name);
    let Some(provider) = provider else {
        let why = why_not(config, name).unwrap_or("it has no base URL").to_owned();
        return KeyCheck {
            provider: name.to_owned(),
            models: vec![],
            outcome: KeyCheckResult::Unreachable { why },
        };
    };
    let no_model_list = || KeyCheckResult::NoModelList { base_url: provider.base_url.clone() };
    let mut tried = KeyCheck { provider: name.to_owned(), models: vec![], outcome: no_model_list() };
    for key in &provider.keys {
        let alone = ProviderSettings { keys: vec![key.clone()], max_retries: 0, ..(**provider).clone() };
        let outcome = match actix_rt::System::new().block_on(list(config, alone)) {
            Ok(models) => {
                tried.models = models;
                KeyCheckResult::Accepted { models: tried.models.len() }
            }
            Err((404 | 405, _)) => no_model_list(),
            Err((401 | 403, why)) => KeyCheckResult::Refused { why: format!("{} ({why})", key.id()) },
            Err((_, why)) => KeyCheckResult::Unreachable { why },
        };
        tried.outcome = outcome;
        if tried.refusal().is_some() {
            break;
        }
    }
    tried
}

async fn list(config: &Config, provider: ProviderSettings) -> Result<Vec<String>, (u16, String)> {
    let ours = |why: String| (500, why);
    let provider = Arc::new(provider);
    // The check must not use a cached list, nor write one.
    let settings = Settings { providers: vec![provider.clone()], cache: None, ..config.settings.clone() };
    let alone = Config { settings, demo: DemoMode::Off, proxy_api_key: None, ..config.clone() };
    let gateway = Arc::new(Gateway::start(alone).map_err(ours)?);
    let no_headers = HeaderMap::new();
    let listed = models::list(gateway, "setup".into(), &provider, &no_headers, Remembered::PassedOver).await;
    let (ListedModels::Current(listing) | ListedModels::Stale(listing)) =
        listed.map_err(|failure| (failure.status(), failure.message()))?;
    let models = Models::read(&listing.body).map_err(|error| ours(error.to_string()))?;
    Ok(models.named().map(|model| model.id).collect())
}
