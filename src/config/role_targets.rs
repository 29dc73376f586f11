//! Checks the targets of roles against the known providers.

use super::alias_targets::is_model_name;
use super::builder::Builder;
use super::error::ConfigError;
use super::role_rules::{TABLE, each};
use super::schema::suggestion;

impl Builder<'_> {
    /// A target names a provider that exists, as the target of an alias does. A known provider without a key is a warning of the
    /// routes.
    pub(super) fn check_roles(&mut self) {
        let root = self.merged.root();
        let profiles = self.highest_profiles().into_iter().map(|profile| profile.section);
        let tables = profiles.chain([root]).map(|owner| owner.section(TABLE));
        let lists: Vec<_> = tables.flat_map(|table| table.texts()).map(|(_, targets)| targets).collect();
        for list in lists {
            for target in each(list) {
                if let Some(text) = self.role_error(target) {
                    self.errors.push(ConfigError::new(list.place, text));
                }
            }
        }
    }

    fn role_error(&self, target: &str) -> Option<String> {
        let target = target.trim_start_matches('!');
        if let Some(text) = self.profile_error("role", target) {
            return Some(text);
        }
        let (prefix, model) = target.split_once(':')?;
        let name = prefix.to_ascii_lowercase();
        if self.is_provider(&name) || prefix.contains(['/', '.']) {
            return None;
        }
        let known = self.merged.providers().iter().map(String::as_str);
        let advice = match suggestion(&name, known) {
            Some(near) => format!("did you mean \"{near}:{model}\"?"),
            None if is_model_name(&name, model) => {
                format!("write \"PROVIDER:{target}\" if this is the name of a model")
            }
            None => "write \"PROVIDER:MODEL\" with a provider of this configuration, or an alias".to_owned(),
        };
        Some(format!("{target:?}: there is no provider {prefix:?}; {advice}"))
    }
}
