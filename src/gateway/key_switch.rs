//! Disables and enables keys on an operator's order.

use std::time::Duration;

use actix_rt::time::sleep;
use vandamme_actors::provider::{KeySwitch, KeySwitched, SwitchKey};

use super::Gateway;

/// The longest wait for a provider's actor.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before the actor that has replaced another one is asked.
const PAUSE: Duration = Duration::from_millis(250);
/// How often an actor is asked.
const TRIES: usize = 3;
const UNKNOWN_KEY: &str = "no key of this provider has this id; `vdm health server` lists them";

/// Why a key was not switched.
#[derive(Debug)]
pub(crate) enum NotSwitched {
    /// There is no such provider or key; one line that says so.
    Unknown(String),
    Busy,
}

impl Gateway {
    /// Disables a key until it is enabled, or enables it: for this run, over reloads and restarts.
    ///
    /// # Errors
    /// If there is no such provider or key, or if the provider's actor does not answer.
    pub(crate) async fn switch_key(&self, name: &str, key: &str, to: KeySwitch) -> Result<(), NotSwitched> {
        let live = self.live_config();
        let providers = &live.settings.providers;
        let Some(provider) = providers.iter().find(|known| known.name.eq_ignore_ascii_case(name)) else {
            let known: Vec<&str> = providers.iter().map(|known| &*known.name).collect();
            let known = known.join(", ");
            return Err(NotSwitched::Unknown(format!("there is no such provider; configured: {known}")));
        };
        let mut ids = provider.keys.iter().map(|known| known.id());
        // The text is not repeated: it may be a key that somebody took for its id.
        let unknown = || NotSwitched::Unknown(UNKNOWN_KEY.to_owned());
        let key = ids.find(|id| id.to_string() == key.to_ascii_lowercase()).ok_or_else(unknown)?;
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(PAUSE).await;
            }
            let registry = self.registry.load();
            let Some(address) = registry.provider(&provider.name) else { continue };
            match address.send(SwitchKey { key, to }).timeout(PATIENCE).await {
                Ok(KeySwitched::Done) => {
                    let state = match to {
                        KeySwitch::Enabled => "enabled",
                        KeySwitch::Disabled => "disabled",
                    };
                    log::info!("key {key} of provider '{}' was {state} by an operator", provider.name);
                    return Ok(());
                }
                Ok(KeySwitched::UnknownKey) => return Err(unknown()),
                Ok(KeySwitched::Replaced) | Err(_) => {}
            }
        }
        Err(NotSwitched::Busy)
    }
}
