//! The fallbacks of providers and profiles, checked against the known providers.

use vandamme_actors::settings::Fallbacks;

use super::builder::Builder;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::schema::suggestion;

/// The fallbacks of a provider or profile.
pub(super) fn read(section: Section<'_>) -> Fallbacks {
    let entries = section.section("fallbacks").texts().into_iter();
    entries.map(|(name, targets)| (name.to_owned(), each(targets).map(str::to_owned).collect())).collect()
}

fn each(targets: LocatedText<'_>) -> impl Iterator<Item = &str> {
    targets.text.lines()
}

impl Builder<'_> {
    /// An unknown provider is misspelt. A known provider without a key is skipped.
    pub(super) fn check_fallbacks(&mut self) {
        let root = self.merged.root();
        let owners = ["providers", "profiles"].into_iter().map(|kind| root.section(kind));
        let owners = owners.flat_map(|kind| kind.names().into_iter().map(move |name| kind.section(name)));
        let lists = owners.flat_map(|owner| owner.section("fallbacks").texts());
        let known = || self.merged.providers().iter().map(String::as_str).chain([super::DEMO]);
        let mut errors = Vec::new();
        for (_, list) in lists {
            for target in each(list) {
                let provider = target.trim_start_matches('!').split(':').next().unwrap_or_default();
                if known().any(|name| name.eq_ignore_ascii_case(provider)) {
                    continue;
                }
                if let Some(text) = self.profile_error("fallback", target.trim_start_matches('!')) {
                    errors.push(ConfigError::new(list.place, text));
                    continue;
                }
                let meant = suggestion(provider, known());
                let meant = meant.map_or_else(String::new, |name| format!("; did you mean \"{name}:…\"?"));
                let text = format!("fallback {target:?}: there is no provider {provider:?}{meant}");
                errors.push(ConfigError::new(list.place, text));
            }
        }
        self.errors.append(&mut errors);
    }
}
