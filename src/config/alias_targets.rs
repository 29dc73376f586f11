//! The targets of providers' aliases (`PROVIDER:MODEL`): a prefix that is no provider would go upstream as part of a model's
//! name, so a misspelt one is an error here.

use super::error::ConfigError;
use super::file::BUILT_IN;
use super::layer::{LocatedText, Section};
use super::near_misses;
use super::providers::Builder;

/// Tags of models, after the colon in names such as `llama:latest` or `vendor-model:free`.
const TAGS: [&str; 20] = [
    "latest", "free", "thinking", "instruct", "chat", "text", "code", "cloud", "beta", "extended", "online",
    "nitro", "floor", "exacto", "preview", "exp", "vision", "fast", "mini", "it",
];

impl Builder<'_> {
    /// Checks the aliases that a user has written, of registered providers and of all. A local server has models with colons
    /// in their names (`mymodel:custom`), so only profiles are errors there.
    pub(super) fn check_aliases(&mut self) {
        let root = self.merged.root();
        let mut errors = Vec::new();
        for provider in &self.registered {
            let local = self.needs_no_key(&provider.name);
            for target in written(root.section("providers").section(&provider.name)) {
                let text = self.profile_error(target.text);
                let text = text.or_else(|| self.unknown_provider(target.text).filter(|_| !local));
                errors.extend(text.map(|text| ConfigError::new(target.place, text)));
            }
        }
        for target in written(root.section("defaults")) {
            let text = self.profile_error(target.text).or_else(|| self.unknown_provider(target.text));
            errors.extend(text.map(|text| ConfigError::new(target.place, text)));
        }
        self.errors.append(&mut errors);
    }

    fn profile_error(&self, target: &str) -> Option<String> {
        let (prefix, alias) = prefix_of(target)?;
        let profile = self.merged.root().section("profiles").section(&prefix);
        if !profile.is_there() || self.is_provider(&prefix) {
            return None;
        }
        let instead = profile.section("aliases").text(&alias.to_lowercase());
        let instead = match instead {
            Some(LocatedText { text, .. }) => format!("write {text:?} instead"),
            None => "write a target such as \"openai:gpt-6-luna\" instead".to_owned(),
        };
        Some(format!("{target:?} names the profile {prefix:?}, but an alias leads to a provider; {instead}"))
    }

    fn unknown_provider(&self, target: &str) -> Option<String> {
        let (prefix, model) = prefix_of(target)?;
        if self.is_provider(&prefix) {
            return None;
        }
        let near = near_misses::provider(&prefix, self.merged.providers().iter().map(String::as_str));
        if is_model_name(&prefix, model) || (near.is_none() && prefix.len() < 4) {
            return None;
        }
        let meant = near.map_or_else(String::new, |near| format!("; did you mean \"{near}:{model}\"?"));
        Some(format!(
            "{target:?}: there is no provider {prefix:?}{meant}; write \"!{target}\" if this is the name of a model"
        ))
    }

    fn is_provider(&self, name: &str) -> bool {
        name == super::DEMO || self.merged.providers().iter().any(|known| known == name)
    }
}

/// The targets of a section that are not built in.
fn written(section: Section<'_>) -> impl Iterator<Item = LocatedText<'_>> {
    let targets = section.section("aliases").texts().into_iter().map(|(_, target)| target);
    targets.filter(|target| !target.place.starts_with(BUILT_IN))
}

/// The part before the first colon in lower case, and the rest. `None` for a target without a colon, for a literal one
/// (`!…`), and for ids such as `vendor/model:free` and `anthropic.claude-v2:0`.
fn prefix_of(target: &str) -> Option<(String, &str)> {
    let (prefix, rest) = target.trim().split_once(':')?;
    let is_id = prefix.is_empty() || prefix.starts_with('!') || prefix.contains(['/', '.']);
    (!is_id).then(|| (prefix.to_ascii_lowercase(), rest))
}

/// `qwen3:8b`, `mistral:latest`: a model with a tag. No provider's name is known to contain a digit.
fn is_model_name(prefix: &str, rest: &str) -> bool {
    let tag = rest.to_ascii_lowercase();
    prefix.bytes().any(|byte| byte.is_ascii_digit())
        || tag.starts_with(|first: char| first.is_ascii_digit())
        || TAGS.contains(&tag.as_str())
}
