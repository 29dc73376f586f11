//! Which models accept no images, and which target describes images for them.

use std::sync::Arc;

use vandamme_actors::settings::PartialProvider;
use vandamme_protocol::models::text_only::TextOnlyModels;

use super::builder::Builder;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::schema::suggestion;

/// The key, of a provider and for all.
const KEY: &str = "describe-images-with";

/// The describing model of the provider, otherwise that of `[defaults]`.
pub(super) fn describer(own: Section<'_>, defaults: Section<'_>) -> Option<Arc<str>> {
    own.text(KEY).or_else(|| defaults.text(KEY)).map(|target| target.text.trim().into())
}

pub(super) fn text_only_models(section: Section<'_>) -> TextOnlyModels {
    let patterns = |listed: LocatedText<'_>| {
        listed.text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    section
        .text("text-only-models")
        .map_or(TextOnlyModels::Known, |listed| TextOnlyModels::Listed(patterns(listed)))
}

impl Builder<'_> {
    /// Checks the describers that are in use: an unknown provider and a model that cannot see are errors, a provider without
    /// a key is a warning.
    pub(super) fn check_describers(&mut self) {
        let root = self.merged.root();
        let own = self.registered.iter().map(|provider| root.section("providers").section(&provider.name));
        let stated = own.chain([root.section("defaults")]).filter_map(|section| section.text(KEY));
        let stated: Vec<LocatedText<'_>> = stated.collect();
        for LocatedText { text, place } in stated {
            if let Some(text) = self.describer_error(text.trim()) {
                self.errors.push(ConfigError::new(place, text));
            } else if let Some(missing) = self.missing(text) {
                let PartialProvider { name, missing } = missing;
                self.warnings.push(format!(
                    "{place}: images cannot be described: provider '{name}' is not complete: set {missing} and restart"
                ));
            }
        }
    }

    fn describer_error(&self, target: &str) -> Option<String> {
        let parts = target.trim_start_matches('!').split_once(':');
        let Some((provider, model)) =
            parts.filter(|(provider, model)| !provider.is_empty() && !model.is_empty())
        else {
            return Some(format!("expected \"provider:model\", found {target:?}"));
        };
        if let Some(text) = self.profile_error("describing model", target) {
            return Some(text);
        }
        let name = provider.to_ascii_lowercase();
        if !self.is_provider(&name) {
            let known = self.merged.providers().iter().map(String::as_str);
            let meant = suggestion(&name, known);
            let meant = meant.map_or_else(String::new, |near| format!("; did you mean \"{near}:{model}\"?"));
            return Some(format!("{target:?}: there is no provider {provider:?}{meant}"));
        }
        let found = self.registered.iter().find(|registered| *registered.name == *name)?;
        if found.passthrough {
            return Some(format!(
                "{target:?}: provider '{name}' has no key of its own (it takes its clients'), so the gateway cannot call it; \
                 name a model of a provider with a key"
            ));
        }
        let model = found.aliases.get(&model.to_lowercase()).map_or(model, String::as_str);
        found.text_only_models.include(model).then(|| {
            format!("{target:?}: {model:?} accepts no images; name a model that does, or change text-only-models of [{name}]")
        })
    }
}
