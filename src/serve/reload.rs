//! A new configuration for the running gateway: read, checked as a whole, compared, and applied. An invalid one changes
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use actix_web::rt::time::timeout;
use tokio::sync::oneshot;
use vandamme_actors::settings::{ProviderSettings, Settings};

use crate::config::{self, Config, ConfigValue, ListenerTls, Overrides};
use crate::gateway::{Gateway, ReloadReply};
use crate::process::control::Reloaded;
use crate::process::systemd;

/// The longest time for reading the files. A network file system may hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a thread reads the configuration. There is one at most, however long it takes.
static READING: AtomicBool = AtomicBool::new(false);

/// The sources of the configuration, and its last values.
pub(super) struct Reloader {
    origin: Overrides,
    host: String,
    port: u16,
    said: Vec<ConfigValue>,
}

impl Reloader {
    pub(super) fn new(config: &Config, origin: Overrides) -> Self {
        let (host, port, said) = (config.host.clone(), config.port, config.values.clone());
        Self { origin, host, port, said }
    }

    /// Whether the gateway would start with the configuration as it is now.
    pub(super) async fn check(&self) -> Result<(), Vec<String>> {
        load(self.origin.clone()).await.map(drop)
    }

    /// Notifies the service manager before and after. The error has one line for each mistake, the same as `vdm config
    /// validate`.
    pub(super) async fn reload(&mut self, gateway: &Gateway) -> Result<Reloaded, Vec<String>> {
        systemd::reloading(systemd::RELOADING);
        let reloaded = self.apply(gateway).await;
        gateway.counters.count_reload(&reloaded);
        if let Some(listener) = gateway.listener() {
            systemd::ready(&systemd::serving(listener.address));
        }
        reloaded
    }

    /// Reloads for a client that ordered it over HTTP.
    pub(super) async fn reload_for(&mut self, gateway: &Gateway, reply: ReloadReply) {
        let reloaded = self.reload(gateway).await;
        log_reload(&reloaded);
        // The client may have disconnected.
        drop(reply.send(reloaded));
    }

    async fn apply(&mut self, gateway: &Gateway) -> Result<Reloaded, Vec<String>> {
        let asked = load(self.origin.clone()).await?;
        let said = asked.values.clone();
        let config = if (&asked.host, asked.port) == (&self.host, self.port) {
            asked
        } else {
            // What follows from the address follows from the one that we really have.
            let (host, port) = (Some(self.host.clone()), Some(self.port));
            load(Overrides { host, port, ..self.origin.clone() }).await?
        };
        let warnings = config.warnings.clone();
        let (before, certificate) = (gateway.live_config(), fingerprint(gateway));
        gateway.apply(config).await.map_err(|error| vec![error])?;
        let after = gateway.live_config();
        let mut reloaded = changes(&self.said, &said);
        let more = provider_changes(&before.settings, &after.settings, &reloaded.changed);
        reloaded.changed.extend(more);
        if let (Some(old), Some(new)) = (certificate, fingerprint(gateway))
            && old != new
        {
            reloaded.changed.push("the certificate of tls-cert is new".to_owned());
        }
        reloaded.warnings = warnings;
        self.remember(said);
        Ok(reloaded)
    }

    /// Keys that apply at the start only keep their values.
    fn remember(&mut self, said: Vec<ConfigValue>) {
        let is_once = |said: &ConfigValue| config::applies_at_start(&said.key);
        self.said.retain(is_once);
        self.said.extend(said.into_iter().filter(|said| !is_once(said)));
    }
}

/// The fingerprint of the listener's certificate.
fn fingerprint(gateway: &Gateway) -> Option<String> {
    gateway.tls().as_ref().as_ref().map(ListenerTls::fingerprint)
}

/// On its own thread: the end of the process does not wait for it, as it would for a thread of the runtime.
async fn load(origin: Overrides) -> Result<Config, Vec<String>> {
    if READING.swap(true, Ordering::AcqRel) {
        return Err(vec!["the configuration is still being read since the last attempt".to_owned()]);
    }
    let (answer, loaded) = oneshot::channel();
    let thread = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let config = Config::load(&origin);
        READING.store(false, Ordering::Release);
        // The caller may have given up.
        drop(answer.send(config));
    });
    if let Err(error) = thread {
        READING.store(false, Ordering::Release);
        return Err(vec![format!("the configuration cannot be read: {error}")]);
    }
    match timeout(PATIENCE, loaded).await {
        Ok(Ok(config)) => config.map_err(|errors| errors.iter().map(ToString::to_string).collect()),
        Ok(Err(_)) => {
            READING.store(false, Ordering::Release);
            Err(vec!["reading the configuration failed by a fault of vdm itself".to_owned()])
        }
        Err(_) => Err(vec![format!(
            "the configuration could not be read within {} s; is one of its files on a disk that hangs?",
            PATIENCE.as_secs()
        )]),
    }
}

pub(super) fn log_reload(reloaded: &Result<Reloaded, Vec<String>>) {
    match reloaded {
        Ok(Reloaded { changed, needs_restart, warnings }) => {
            if changed.is_empty() && needs_restart.is_empty() {
                log::info!("reloaded: nothing has changed");
            }
            changed.iter().for_each(|line| log::info!("reloaded: {line}"));
            needs_restart.iter().for_each(|line| log::warn!("not reloaded, needs a restart: {line}"));
            warnings.iter().for_each(|line| log::warn!("{line}"));
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|line| log::error!("not reloaded, nothing has changed: {line}"));
        }
    }
}

/// The values that have changed.
fn changes(before: &[ConfigValue], after: &[ConfigValue]) -> Reloaded {
    let mut reloaded = Reloaded::default();
    let mut note = |key: &str, text: String| {
        let lines = match config::applies_at_start(key) {
            true => &mut reloaded.needs_restart,
            false => &mut reloaded.changed,
        };
        lines.push(text);
    };
    for ConfigValue { key, value, place } in after {
        match before.iter().find(|said| said.key == *key) {
            Some(said) if said.value == *value => {}
            Some(said) => note(key, format!("{key} = {value}, was {} ({place})", said.value)),
            None => note(key, format!("{key} = {value}, was not set ({place})")),
        }
    }
    for ConfigValue { key, value, .. } in before {
        if after.iter().all(|said| said.key != *key) {
            note(key, format!("{key} is no longer set, was {value}"));
        }
    }
    reloaded
}

/// The effects: new and removed providers, and keys that have changed outside the configuration.
fn provider_changes(before: &Settings, after: &Settings, told: &[String]) -> Vec<String> {
    let is_told = |name: &str| told.iter().any(|line| line.starts_with(&format!("{name}.api-key ")));
    let mut lines = Vec::new();
    for provider in &after.providers {
        match named(before, &provider.name) {
            None => lines.push(format!("provider '{}' is new", provider.name)),
            Some(known) if ids(known) != ids(provider) && !is_told(&provider.name) => {
                lines.push(format!("provider '{}' has other keys", provider.name));
            }
            Some(known) if known.tls != provider.tls => {
                lines.push(format!("provider '{}' has other certificates", provider.name));
            }
            Some(_) => {}
        }
    }
    let gone = before.providers.iter().filter(|provider| named(after, &provider.name).is_none());
    lines.extend(gone.map(|provider| format!("provider '{}' is gone", provider.name)));
    if before.default_provider != after.default_provider {
        let name = after.default_provider.as_deref().unwrap_or("nobody");
        lines.push(format!("names without a prefix go to '{name}'"));
    }
    lines
}

fn named<'a>(settings: &'a Settings, name: &str) -> Option<&'a Arc<ProviderSettings>> {
    settings.providers.iter().find(|provider| *provider.name == *name)
}

fn ids(provider: &ProviderSettings) -> Vec<vandamme_actors::secret::KeyId> {
    provider.keys.iter().map(vandamme_actors::secret::ApiKey::id).collect()
}
