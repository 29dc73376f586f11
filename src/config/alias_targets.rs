//! The targets of aliases and fallbacks (`PROVIDER:MODEL`). A provider's alias with a prefix that is no provider goes upstream
//! as part of a model's name, so one that is near a provider's name is an error; a profile is no target at all.

use super::builder::Builder;
use super::error::ConfigError;
use super::file::BUILT_IN;
use super::layer::{LocatedText, Section};
use super::near_misses;
use super::profiles::why;

/// Tags of models, after the colon in names such as `llama:latest` or `vendor-model:free`.
const TAGS: [&str; 20] = [
    "latest", "free", "thinking", "instruct", "chat", "text", "code", "cloud", "beta", "extended", "online",
    "nitro", "floor", "exacto", "preview", "exp", "vision", "fast", "mini", "it",
];

/// What is wrong with a target.
enum TargetFinding {
    Error(String),
    Warning(String),
}

impl Builder<'_> {
    /// Checks the aliases that a user has written: those of registered providers, of profiles and of all.
    pub(super) fn check_aliases(&mut self) {
        let root = self.merged.root();
        let mut found = Vec::new();
        for provider in &self.registered {
            let targets = written(root.section("providers").section(&provider.name));
            found.extend(
                targets.filter_map(|target| Some((target, self.of_provider(&provider.name, target)?))),
            );
        }
        for target in written(root.section("defaults")) {
            found.extend(self.of_provider("", target).map(|finding| (target, finding)));
        }
        for profile in self.highest_profiles() {
            let targets = written(profile.section);
            found.extend(targets.filter_map(|target| Some((target, self.of_profile(target)?))));
        }
        for (LocatedText { place, .. }, finding) in found {
            match finding {
                TargetFinding::Error(text) => self.errors.push(ConfigError::new(place, text)),
                TargetFinding::Warning(text) => self.warnings.push(format!("{place}: {text}")),
            }
        }
    }

    /// A provider's alias. A local server has models with colons in their names (`mymodel:custom`), so only profiles are
    /// errors there.
    fn of_provider(
        &self,
        name: &str,
        LocatedText { text: target, .. }: LocatedText<'_>,
    ) -> Option<TargetFinding> {
        if let Some(text) = self.profile_error("alias", target) {
            return Some(TargetFinding::Error(text));
        }
        let (prefix, model) = prefix_of(target)?;
        if self.is_provider(&prefix) {
            let missing = self.missing(target).filter(|_| prefix != name)?;
            return Some(TargetFinding::Warning(format!("this alias cannot be used: {}", why(&missing))));
        }
        if self.needs_no_key(name) || is_model_name(&prefix, model) {
            return None;
        }
        let literal = format!("write \"!{target}\" if this is the name of a model");
        match near_misses::near_provider(&prefix, self.merged.providers().iter().map(String::as_str)) {
            Some(near) => Some(TargetFinding::Error(format!(
                "{target:?}: there is no provider {prefix:?}; did you mean \"{near}:{model}\"?; {literal}"
            ))),
            None if prefix.len() < 4 => None,
            None => Some(TargetFinding::Warning(format!(
                "{target:?}: there is no provider {prefix:?}, so this is sent as the name of a model; {literal}"
            ))),
        }
    }

    /// A profile's alias always leads to a provider. One of another machine's configuration may be unknown here.
    fn of_profile(&self, LocatedText { text: target, .. }: LocatedText<'_>) -> Option<TargetFinding> {
        // Here `!` concerns the model alone.
        let target = target.trim_start_matches('!');
        if let Some(text) = self.profile_error("alias", target) {
            return Some(TargetFinding::Error(text));
        }
        let (prefix, model) = target.split_once(':')?;
        let prefix = prefix.to_ascii_lowercase();
        let near = near_misses::near_provider(&prefix, self.merged.providers().iter().map(String::as_str));
        let near = near.filter(|_| !self.is_provider(&prefix))?;
        let text = format!("{target:?}: there is no provider {prefix:?}; did you mean \"{near}:{model}\"?");
        Some(TargetFinding::Error(text))
    }

    /// The error for an alias or a fallback (`what`) that names a profile, or anything with the `#` of profiles.
    pub(super) fn profile_error(&self, what: &str, target: &str) -> Option<String> {
        let (prefix, alias) = prefix_of(target)?;
        let name = prefix.trim_start_matches('#');
        let profile = self.merged.root().section("profiles").section(name);
        let is_marked = prefix.starts_with('#');
        if !is_marked && (!profile.is_there() || self.is_provider(name)) {
            return None;
        }
        let instead = profile.section("aliases").text(&alias.to_lowercase());
        // The target of the alias may itself name a profile.
        let instead = instead.filter(|LocatedText { text, .. }| {
            prefix_of(text).is_some_and(|(prefix, _)| self.is_provider(&prefix))
        });
        let instead = match instead {
            Some(LocatedText { text, .. }) => format!("write {text:?} instead"),
            None if !profile.is_there() && self.is_provider(name) => {
                format!("write \"{name}:{alias}\" for the provider")
            }
            None => "write a target such as \"openai:gpt-6-luna\" instead".to_owned(),
        };
        let article = if what == "alias" { "an" } else { "a" };
        Some(format!(
            "{target:?} names the profile {name:?}, but {article} {what} leads to a provider; {instead}"
        ))
    }

    pub(super) fn is_provider(&self, name: &str) -> bool {
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
pub(super) fn is_model_name(prefix: &str, rest: &str) -> bool {
    let tag = rest.to_ascii_lowercase();
    prefix.bytes().any(|byte| byte.is_ascii_digit())
        || tag.starts_with(|first: char| first.is_ascii_digit())
        || TAGS.contains(&tag.as_str())
}
