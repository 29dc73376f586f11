//! The profiles: aliases over providers, with terms of their own.

use std::sync::Arc;

use vandamme_actors::settings::{Profile, ProfileSource};

use super::Origin;
use super::environment::prefix;
use super::fallbacks;
use super::file::BUILT_IN;
use super::layer::Section;
use super::providers::{Builder, aliases, unless_zero};

fn source(origin: Option<Origin>) -> ProfileSource {
    match origin {
        Some(Origin::UserFile) => ProfileSource::User,
        Some(Origin::LocalFile) => ProfileSource::Local,
        Some(Origin::GivenFile) => ProfileSource::Given,
        Some(Origin::BuiltIn | Origin::Variables | Origin::CommandLine) | None => ProfileSource::Package,
    }
}

impl Builder<'_> {
    /// Each as the highest file that names it has it: nothing is inherited. One that leads to a provider that is not
    /// registered is inactive as a whole, so that its names do not lead to different places on different machines.
    pub(super) fn profiles(&mut self) -> Vec<Arc<Profile>> {
        let mut profiles = Vec::new();
        for name in self.merged.root().section("profiles").names() {
            let highest = self
                .layers
                .iter()
                .rev()
                .map(|layer| (layer.root().section("profiles").section(name), source(layer.origin())));
            let Some((section, source)) = highest.into_iter().find(|(section, _)| section.is_there()) else {
                continue;
            };
            let profile = Profile { source, ..self.profile(name, section) };
            let place = section.section("aliases").texts().first().map(|(_, target)| target.place);
            if let Some(why) = &profile.inactive
                && place.is_some_and(|place| !place.starts_with(BUILT_IN))
            {
                self.warnings.push(format!("profile {name:?} is inactive: {why}"));
            }
            if profile.inactive.is_none() && self.registered.iter().any(|provider| *provider.name == *name) {
                let text = format!("{name:?} is a profile and a provider: \"{name}:…\" means the profile");
                self.warnings.push(text);
            }
            profiles.push(Arc::new(profile));
        }
        profiles
    }

    fn profile(&self, name: &str, section: Section<'_>) -> Profile {
        let aliases = aliases(section);
        let unusable = aliases.values().find_map(|target| self.why_not(target));
        Profile {
            name: name.into(),
            timeout: section.seconds("timeout").map(unless_zero),
            max_retries: section.count("max-retries").and_then(|count| u32::try_from(count).ok()),
            fallbacks: fallbacks::read(section),
            inactive: unusable,
            source: ProfileSource::Package,
            aliases,
        }
    }

    /// Why a target leads nowhere.
    fn why_not(&self, target: &str) -> Option<String> {
        let (provider, _) = target.trim_start_matches('!').split_once(':')?;
        let provider = provider.to_ascii_lowercase();
        if self.registered.iter().any(|registered| *registered.name == *provider) {
            return None;
        }
        let mut unusable = self.partial.iter().cloned().chain(self.keyless());
        let partial = unusable.find(|partial| partial.name == provider);
        let missing =
            partial.map_or_else(|| format!("{}_API_KEY", prefix(&provider)), |partial| partial.missing);
        Some(format!("it leads to provider '{provider}': set {missing} and restart"))
    }
}
