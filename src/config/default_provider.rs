//! The provider for model names without a prefix.

use std::collections::BTreeSet;
use std::sync::Arc;

use vandamme_actors::settings::Profile;

use super::DemoMode;
use super::builder::Builder;
use super::file::BUILT_IN;
use super::layer::LocatedText;
use super::near_misses;

impl Builder<'_> {
    /// The first that is registered of: the configured one, the built-in one, any. If the configured one is not registered,
    /// a warning names the one in use.
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

    /// The profile that is configured as the default, if it is active.
    pub(super) fn default_profile(&mut self, profiles: &[Arc<Profile>]) -> Option<Arc<str>> {
        let configured = self.merged.root().section("defaults").text("default-provider")?;
        let name = configured.text.trim_start_matches('#').to_ascii_lowercase();
        if self.registered(&name).is_some() && !configured.text.starts_with('#') {
            return None;
        }
        let profile = profiles.iter().find(|profile| *profile.name == *name)?;
        if profile.inactive.is_none() {
            return Some(profile.name.clone());
        }
        let missing = profile.inactive_aliases.values().map(|provider| provider.missing.as_str());
        let missing: Vec<_> = missing.collect::<BTreeSet<_>>().into_iter().collect();
        let needs = missing.join(" or ");
        let instead = self.fallback();
        let instead = instead.map_or_else(String::new, |instead| format!("; using '{instead}'"));
        let place = configured.place;
        self.warnings.push(format!("{place}: default profile '{name}' is inactive (needs {needs}){instead}"));
        None
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
            None => {
                let written = text.trim_start_matches('#').to_ascii_lowercase();
                let profiles = || self.merged.root().section("profiles").names().into_iter();
                match text.starts_with('#') {
                    true => {
                        let near = near_misses::near_provider(&written, profiles());
                        let near =
                            near.map_or_else(String::new, |near| format!(" (did you mean \"#{near}\"?)"));
                        format!("is not a profile{near}")
                    }
                    false => {
                        let known = self.merged.providers().iter().map(String::as_str);
                        let near = near_misses::near_provider(&written, known.chain(profiles()));
                        let near = near.map_or_else(String::new, |near| format!(" (did you mean {near:?}?)"));
                        format!("is not a provider with a key{near}")
                    }
                }
            }
        };
        let instead = instead.map_or_else(String::new, |name| format!("; using {name:?} instead"));
        format!("{place}: the default provider {text:?} {why}{instead}")
    }
}
