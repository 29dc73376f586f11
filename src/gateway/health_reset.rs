//! Resets the health of providers on an operator's order.

use std::time::Duration;

use vandamme_actors::provider::{ResetHealth, ResetScope};
use vandamme_actors::secret::KeyId;

use super::Gateway;
use crate::process::control::{HealthReset, ResetProvider, ResetTarget};

/// The longest wait for a provider's actor.
const PATIENCE: Duration = Duration::from_secs(2);

impl Gateway {
    /// Clears what is recorded about failures of the providers and keys of `target`. They are preferred again.
    ///
    /// # Errors
    /// One line that says what does not exist.
    pub(crate) async fn reset_health(&self, target: &ResetTarget) -> Result<HealthReset, String> {
        let live = self.live_config();
        let named = target.provider.as_ref().map(|name| name.to_ascii_lowercase());
        let is_meant = |name: &str| named.as_deref().is_none_or(|named| named == name);
        let providers: Vec<_> =
            live.settings.providers.iter().filter(|known| is_meant(&known.name)).collect();
        if providers.is_empty() && named.is_some() {
            let known: Vec<&str> = live.settings.providers.iter().map(|known| &*known.name).collect();
            return Err(format!("there is no such provider; configured: {}", known.join(", ")));
        }
        let keys = || providers.iter().flat_map(|provider| &provider.keys).map(|key| key.id());
        let scope = match &target.key {
            None => ResetScope::Provider,
            Some(id) => match keys().find(|key| key.to_string() == id.to_ascii_lowercase()) {
                Some(key) => ResetScope::Key(key),
                // The text is not repeated: it may be a key that somebody took for its id.
                None => return Err("no key has this id; `vdm health server` lists them".to_owned()),
            },
        };
        let mut reset = vec![];
        for provider in providers {
            let keys = self.reset_provider(&provider.name, scope).await?;
            if scope == ResetScope::Provider || !keys.is_empty() {
                let keys = keys.iter().map(ToString::to_string).collect();
                log::info!("the health of provider '{}' was reset by an operator", provider.name);
                reset.push(ResetProvider { provider: provider.name.to_string(), keys });
            }
        }
        Ok(HealthReset { reset })
    }

    async fn reset_provider(&self, name: &str, scope: ResetScope) -> Result<Vec<KeyId>, String> {
        let busy = || format!("provider '{name}' does not answer; try again");
        let registry = self.registry.load();
        let address = registry.provider(name).ok_or_else(busy)?;
        address.send(ResetHealth(scope)).timeout(PATIENCE).await.map_err(|_| busy())
    }
}
