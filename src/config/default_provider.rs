//! Which provider takes a model name without a prefix.

use std::sync::Arc;

use vandamme_actors::settings::Profile;

use super::DemoMode;
use super::file::BUILT_IN;
use super::layer::LocatedText;
use super::providers::Builder;

impl Builder<'_> {
    /// What was configured if it is registered, else what is built in if it is registered, else the first.
    /// A configured one that is not registered is worth a warning.
    pub(super) fn default_provider(&mut self, demo: DemoMode) -> Option<Arc<str>> {
        let configured = self.merged.root().section("defaults").text("default-provider")?;
        let name = configured.text.to_ascii_lowercase();
        if name == super::DEMO && demo != DemoMode::Off {
            return Some(super::DEMO.into());
        }
        if let Some(found) = self.registered(&name) {
            return Some(found);
        }
        let profiles = self.merged.root().section("profiles");
        if profiles.section(name.trim_start_matches('#')).is_there() {
            return self.fallback();
        }
        let instead = self.fallback();
        if !configured.place.starts_with(BUILT_IN) {
            let warning = self.not_registered(configured, instead.as_deref());
            self.warnings.push(warning);
        }
        instead
    }

    /// The profile that is configured as the default, if it is one that works.
    pub(super) fn default_profile(&self, profiles: &[Arc<Profile>]) -> Option<Arc<str>> {
        let configured = self.merged.root().section("defaults").text("default-provider")?;
        let name = configured.text.trim_start_matches('#').to_ascii_lowercase();
        if self.registered(&name).is_some() && !configured.text.starts_with('#') {
            return None;
        }
        let active = profiles.iter().find(|profile| *profile.name == *name && profile.inactive.is_none());
        active.map(|profile| profile.name.clone())
    }

    fn registered(&self, name: &str) -> Option<Arc<str>> {
        let found = self.registered.iter().find(|provider| *provider.name == *name);
        found.map(|provider| Arc::clone(&provider.name))
    }

    fn fallback(&self) -> Option<Arc<str>> {
        let built_in = self.layers.first()?.root().section("defaults").text("default-provider");
        let built_in = built_in.and_then(|built_in| self.registered(built_in.text));
        built_in.or_else(|| self.registered.first().map(|provider| Arc::clone(&provider.name)))
    }

    fn not_registered(&self, LocatedText { text, place }: LocatedText<'_>, instead: Option<&str>) -> String {
        let partial = self.partial.iter().find(|partial| partial.name.eq_ignore_ascii_case(text));
        let why = match partial {
            Some(partial) => format!("misses {}", partial.missing),
            None => "is not a provider with a key".to_owned(),
        };
        let instead = instead.map_or_else(String::new, |name| format!("; using {name:?} instead"));
        format!("{place}: the default provider {text:?} {why}{instead}")
    }
}
