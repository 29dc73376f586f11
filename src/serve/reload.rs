//! A new configuration for the running gateway: read, checked as a whole, compared, and swapped in. One that is wrong changes
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use actix::Addr;
use actix_web::rt::time::timeout;
use tokio::sync::oneshot;
use vandamme_actors::settings::{ProviderSettings, Settings};
use vandamme_actors::supervisor::{Reconfigure, Supervisor};

use crate::config::{Config, ConfigValue, DemoMode, Overrides};
use crate::demo::{self, Demo};
use crate::gateway::Gateway;
use crate::process::control::Reloaded;

/// A file that cannot be read in this time (on a network that hangs, say) is not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread reads the configuration. There is one at most, however long it takes.
static READING: AtomicBool = AtomicBool::new(false);

/// What is built once, at the start. Every other key holds from the reload on.
const ONCE: [&str; 11] = [
    "host",
    "port",
    "log-level",
    "defaults.cache-dir",
    "defaults.models-cache",
    "limits.connect-timeout",
    "limits.thoughts",
    "limits.thoughts-ttl",
    "limits.thoughts-sweep",
    "limits.watch-interval",
    "limits.watch-patience",
];

/// Knows where the configuration came from, and what it said the last time.
pub(super) struct Reloader {
    origin: Overrides,
    host: String,
    port: u16,
    said: Vec<ConfigValue>,
    /// Once started it stays, since requests may be in flight to it.
    demo: Option<Demo>,
}

impl Reloader {
    pub(super) fn new(config: &Config, origin: Overrides) -> Self {
        let (host, port, said) = (config.host.clone(), config.port, config.values.clone());
        Self { origin, host, port, said, demo: None }
    }

    /// Adds the demo provider where the configuration wants it.
    pub(super) fn embed_demo(&mut self, mode: DemoMode, settings: &mut Settings) -> Result<(), String> {
        if mode == DemoMode::Off {
            return Ok(());
        }
        let demo = match self.demo.take() {
            Some(demo) => demo,
            None => demo::start().map_err(|error| format!("the demo provider cannot be started: {error}"))?,
        };
        demo::embed(settings, &demo.base_url);
        self.demo = Some(demo);
        Ok(())
    }

    /// Whether the gateway would start with the configuration as it is now.
    pub(super) async fn check(&self) -> Result<(), Vec<String>> {
        load(self.origin.clone()).await.map(drop)
    }

    /// The error has one line for each error, the same as `vdm config validate`.
    pub(super) async fn reload(
        &mut self,
        gateway: &Gateway,
        supervisor: &Addr<Supervisor>,
    ) -> Result<Reloaded, Vec<String>> {
        let asked = load(self.origin.clone()).await?;
        let said = asked.values.clone();
        let config = if (&asked.host, asked.port) == (&self.host, self.port) {
            asked
        } else {
            // What follows from the address follows from the one that we really have.
            let (host, port) = (Some(self.host.clone()), Some(self.port));
            load(Overrides { host, port, ..self.origin.clone() }).await?
        };
        let Config { mut settings, proxy_api_key, demo: mode, warnings, .. } = config;
        self.embed_demo(mode, &mut settings).map_err(|error| vec![error])?;
        let before = gateway.terms();
        let mut reloaded = changes(&self.said, &said);
        let more = provider_changes(&before.settings, &settings, &reloaded.changed);
        reloaded.changed.extend(more);
        reloaded.warnings = warnings;
        let strangers = strangers(&before.settings, &settings);
        gateway.agree(settings.clone(), proxy_api_key);
        let gone = |_| vec!["the supervisor has died; restart the gateway".to_owned()];
        supervisor.send(Reconfigure(settings)).await.map_err(gone)?;
        gateway.hang_up(&strangers);
        self.remember(said);
        Ok(reloaded)
    }

    /// What is built once was said at the start, and is still what holds.
    fn remember(&mut self, said: Vec<ConfigValue>) {
        let is_once = |said: &ConfigValue| ONCE.contains(&&*said.key);
        self.said.retain(is_once);
        self.said.extend(said.into_iter().filter(|said| !is_once(said)));
    }
}

/// On a thread of its own: the end of the process waits for none that still reads, as it would for those of the runtime.
async fn load(origin: Overrides) -> Result<Config, Vec<String>> {
    if READING.swap(true, Ordering::AcqRel) {
        return Err(vec!["the configuration is still being read since the last attempt".to_owned()]);
    }
    let (answer, loaded) = oneshot::channel();
    let thread = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let config = Config::load(&origin);
        READING.store(false, Ordering::Release);
        // Whoever asked may have given up.
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

/// What is said otherwise than before.
fn changes(before: &[ConfigValue], after: &[ConfigValue]) -> Reloaded {
    let mut reloaded = Reloaded::default();
    let mut note = |key: &str, text: String| {
        let lines = if ONCE.contains(&key) { &mut reloaded.needs_restart } else { &mut reloaded.changed };
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

/// What comes of it: providers that come and go, and keys that have changed in another place than the configuration.
fn provider_changes(before: &Settings, after: &Settings, told: &[String]) -> Vec<String> {
    let is_told = |name: &str| told.iter().any(|line| line.starts_with(&format!("{name}.api-key ")));
    let mut lines = Vec::new();
    for provider in &after.providers {
        match named(before, &provider.name) {
            None => lines.push(format!("provider '{}' is new", provider.name)),
            Some(known) if ids(known) != ids(provider) && !is_told(&provider.name) => {
                lines.push(format!("provider '{}' has other keys", provider.name));
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

/// Providers whose connections are of no more use.
fn strangers(before: &Settings, after: &Settings) -> Vec<Arc<str>> {
    let moved = |provider: &&Arc<ProviderSettings>| {
        named(after, &provider.name).is_none_or(|now| now.base_url != provider.base_url)
    };
    before.providers.iter().filter(moved).map(|provider| provider.name.clone()).collect()
}

fn named<'a>(settings: &'a Settings, name: &str) -> Option<&'a Arc<ProviderSettings>> {
    settings.providers.iter().find(|provider| *provider.name == *name)
}

fn ids(provider: &ProviderSettings) -> Vec<vandamme_actors::secret::KeyId> {
    provider.keys.iter().map(vandamme_actors::secret::ApiKey::id).collect()
}
