//! Variables of other programs that look like a provider's: `JIRA_API_KEY` and `JIRA_BASE_URL`. A mistake in them does not
//! stop a gateway that has other providers.

use super::builder::Builder;
use super::error::{ConfigError, ConfigErrorKind};
use super::layer::Section;
use super::value_type::FORMATS;

impl<'a> Builder<'a> {
    /// Builds every provider. A faulty one that may belong to another program is a warning if there are others.
    pub(super) fn build_all_known(&mut self) {
        let mut doubtful = Vec::new();
        for name in self.merged.providers() {
            let (errors, registered) = (self.errors.len(), self.registered.len());
            self.build(name);
            let is_certain =
                || self.errors[errors..].iter().any(|error| error.kind() != ConfigErrorKind::Invalid);
            if self.errors.len() > errors && !is_certain() && !self.is_ours(name) {
                self.registered.truncate(registered);
                let found = self.errors.split_off(errors);
                doubtful.extend(found.into_iter().map(|error| (name, error)));
            }
        }
        if self.registered.is_empty() {
            self.errors.extend(doubtful.into_iter().map(|(_, error): (_, ConfigError)| error));
        } else {
            let line = |(name, error)| format!("{error}; until then {name} is not a provider");
            self.warnings.extend(doubtful.into_iter().map(line));
        }
    }

    /// Whether a provider is meant for vdm: a file names it, another setting does, or it has a setting that other programs
    /// do not have.
    fn is_ours(&self, name: &str) -> bool {
        let section = self.section(self.merged, name);
        let format = section.text("api-format").map_or("", |format| format.text);
        self.known_to_files().any(|known| known == name)
            || FORMATS.iter().any(|known| known.eq_ignore_ascii_case(format))
            || section.section("aliases").is_there()
            || section.section("custom-headers").is_there()
            || section.text("auth-mode").is_some()
            || self.is_named(name)
    }

    /// Whether the default, an alias or a fallback names it.
    fn is_named(&self, name: &str) -> bool {
        let root = self.merged.root();
        let defaults = root.section("defaults");
        let is_default =
            defaults.text("default-provider").is_some_and(|text| text.text.eq_ignore_ascii_case(name));
        let leads_to = |target: &str| {
            let prefix = target.trim_start_matches('!').split_once(':').map(|(prefix, _)| prefix);
            prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(name))
        };
        let is_target = |owner: Section<'_>| {
            let tables = ["aliases", "fallbacks"].into_iter().flat_map(|table| owner.section(table).texts());
            tables.into_iter().any(|(_, targets)| targets.text.lines().any(leads_to))
        };
        let owners = ["providers", "profiles"].into_iter().map(|kind| root.section(kind));
        let mut owners = owners.flat_map(|kind| kind.names().into_iter().map(move |name| kind.section(name)));
        is_default || is_target(defaults) || owners.any(is_target)
    }
}
