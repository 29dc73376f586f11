//! Tests of the whole configuration, from files and variables to settings.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vandamme_actors::settings::{Api, ProviderSettings, ResponsesSupport};
use vandamme_protocol::convert::upstream::chat::{
    Dialect, HostedSearch, ReasoningModels, ReasoningParameter, Replay,
};

use super::*;

mod built_in;
mod client_variables;
mod clients;
mod clouds;
mod default_provider;
mod describers;
mod documents;
mod errors;
mod generated;
mod key_files;
mod layers;
mod limits;
mod listener;
mod original;
mod providers;
mod roles;
mod routes;
mod sample;
mod secrets;
mod slips;
mod targets;
mod thinking;
mod vendor_variables;

/// Variables and what they are set to.
type Set<'a> = &'a [(&'a str, &'a str)];

/// As long as the keys of vendors are.
const KEY_OF_A_VENDOR: &str = "sk-ant-api03-0123456789";

/// A machine with its own home, working directory and environment.
struct Machine {
    root: PathBuf,
    overrides: Overrides,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vdm-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("home/.config/vandamme-proxy")).unwrap();
        fs::create_dir_all(root.join("work")).unwrap();
        let overrides = Overrides {
            working_directory: root.join("work"),
            home: Some(root.join("home")),
            ..Overrides::default()
        };
        Self { root, overrides }
    }

    fn with(variables: Set<'_>) -> Self {
        variables.iter().fold(Self::new(), |machine, (name, text)| machine.variable(name, text))
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.overrides.environment.insert(name.into(), text.into());
        self
    }

    /// `work/vandamme-config.toml`, `work/.env` and so on.
    fn file(self, path: &str, text: &str) -> Self {
        fs::write(self.root.join(path), text).unwrap();
        self
    }

    fn toml(self, text: &str) -> Self {
        self.file("work/vandamme-config.toml", text)
    }

    fn load(&self) -> Config {
        Config::load(&self.overrides).unwrap_or_else(|_| panic!("{:?}", self.mistakes()))
    }

    /// Without the directory in front.
    fn mistakes(&self) -> Vec<String> {
        let mistakes = Config::load(&self.overrides).err().unwrap_or_default();
        let directory = format!("{}/", self.root.display());
        mistakes.iter().map(|mistake| mistake.to_string().replace(&directory, "")).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let directory = format!("{}/", self.root.display());
        self.load().warnings.iter().map(|warning| warning.replace(&directory, "")).collect()
    }

    fn default_provider(&self) -> Option<String> {
        self.load().settings.default_provider.map(|name| name.to_string())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn names(config: &Config) -> Vec<&str> {
    config.settings.providers.iter().map(|provider| &*provider.name).collect()
}

fn provider<'a>(config: &'a Config, name: &str) -> &'a ProviderSettings {
    config.settings.providers.iter().find(|provider| *provider.name == *name).unwrap()
}
