//! The profiles: aliases over providers, with a timeout and retries of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use vandamme_actors::settings::{PartialProvider, Profile, ProfileSource};

use super::ConfigSource;
use super::builder::Builder;
use super::environment::prefix;
use super::fallbacks;
use super::file::BUILT_IN;
use super::layer::Section;
use super::providers::{aliases, unless_zero};
use super::role_rules;

fn source(origin: Option<ConfigSource>) -> ProfileSource {
    match origin {
        Some(ConfigSource::UserFile) => ProfileSource::User,
        Some(ConfigSource::LocalFile) => ProfileSource::Local,
        Some(ConfigSource::GivenFile) => ProfileSource::Given,
        Some(ConfigSource::BuiltIn | ConfigSource::Variables | ConfigSource::CommandLine) | None => {
            ProfileSource::Package
        }
    }
}

/// A profile in one file.
pub(super) struct WrittenProfile<'a> {
    pub(super) name: &'a str,
    pub(super) origin: Option<ConfigSource>,
    pub(super) section: Section<'a>,
}

impl<'a> Builder<'a> {
    /// Each as in the highest file that names it: nothing is inherited. An alias that leads to a provider that is not
    /// registered is inactive, so that its name never leads to another model; a profile is inactive if all of its aliases
    /// are.
    pub(super) fn profiles(&mut self) -> Vec<Arc<Profile>> {
        let default = self.merged.root().section("defaults").text("default-provider");
        let default = default.map(|name| name.text.trim_start_matches('#').to_ascii_lowercase());
        let mut profiles = Vec::new();
        for WrittenProfile { name, origin, section } in self.highest_profiles() {
            let profile = Profile { source: source(origin), ..self.profile(name, section) };
            let place = section.section("aliases").texts().first().map(|(_, target)| target.place);
            let reported = match place {
                _ if default.as_deref() == Some(name) => Reported::Default,
                Some(place) if !place.starts_with(BUILT_IN) => Reported::Written,
                Some(_) | None => Reported::BuiltIn,
            };
            self.warn_of_profile(&profile, reported);
            profiles.push(Arc::new(profile));
        }
        profiles
    }

    /// The profiles, each as in the highest file that names it.
    pub(super) fn highest_profiles(&self) -> Vec<WrittenProfile<'a>> {
        let names = self.merged.root().section("profiles").names().into_iter();
        let highest = |name| {
            let written = self.layers.iter().rev().map(|layer| {
                let section = layer.root().section("profiles").section(name);
                WrittenProfile { name, origin: layer.origin(), section }
            });
            written.into_iter().find(|profile| profile.section.is_there())
        };
        names.filter_map(highest).collect()
    }

    fn profile(&self, name: &str, section: Section<'_>) -> Profile {
        let aliases = aliases(section);
        let unusable =
            aliases.iter().filter_map(|(alias, target)| Some((alias.clone(), self.missing(target)?)));
        let inactive_aliases: BTreeMap<_, _> = unusable.collect();
        let all = inactive_aliases.len() == aliases.len();
        Profile {
            name: name.into(),
            timeout: section.seconds("timeout").map(unless_zero),
            max_retries: section.count("max-retries").and_then(|count| u32::try_from(count).ok()),
            fallbacks: fallbacks::read(section),
            roles: role_rules::read(section),
            inactive: inactive_aliases.values().next().filter(|_| all).map(why),
            inactive_aliases,
            source: ProfileSource::Package,
            aliases,
        }
    }

    /// A default profile that is inactive as a whole is reported with what is used instead.
    fn warn_of_profile(&mut self, profile: &Profile, reported: Reported) {
        let name = &*profile.name;
        let lines: Vec<String> = match (&profile.inactive, reported) {
            (Some(why), Reported::Written) => {
                vec![format!("profile {name:?} is inactive: {why}")]
            }
            (None, Reported::Written | Reported::Default) => {
                let inactive = profile.inactive_aliases.iter();
                let line = |(alias, missing): (&String, &PartialProvider)| {
                    format!("profile {name:?}: its alias {alias:?} is inactive: {}", why(missing))
                };
                inactive.map(line).collect()
            }
            (Some(_), Reported::Default) | (_, Reported::BuiltIn) => vec![],
        };
        self.warnings.extend(lines);
        if profile.inactive.is_none() && self.registered.iter().any(|provider| *provider.name == *name) {
            let text = format!("{name:?} is a profile and a provider: \"{name}:…\" means the profile");
            self.warnings.push(text);
        }
    }

    /// The provider that a target needs and that is not registered.
    pub(super) fn missing(&self, target: &str) -> Option<PartialProvider> {
        let (name, _) = target.trim_start_matches('!').split_once(':')?;
        let name = name.to_ascii_lowercase();
        if name == super::DEMO || self.registered.iter().any(|registered| *registered.name == *name) {
            return None;
        }
        let mut unusable = self.partial.iter().cloned().chain(self.keyless());
        let known = unusable.find(|partial| partial.name == name);
        // Unknown providers have no base URL either.
        let prefix = prefix(&name);
        let missing = format!("{prefix}_API_KEY and {prefix}_BASE_URL");
        known.or(Some(PartialProvider { name, missing }))
    }
}

/// Why an alias that needs this provider is inactive.
pub(super) fn why(PartialProvider { name, missing }: &PartialProvider) -> String {
    format!("it leads to provider '{name}': set {missing} and restart")
}

/// Which profiles are reported when some of their aliases are inactive.
#[derive(Clone, Copy)]
enum Reported {
    /// A user has written it.
    Written,
    /// It is the default.
    Default,
    /// It is built in and not the default.
    BuiltIn,
}
