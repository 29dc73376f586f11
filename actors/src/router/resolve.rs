//! Model name → provider and the model's name there. Pure: a table built once from the settings.

use std::collections::HashMap;
use std::sync::Arc;

use crate::settings::{PartialProvider, ProviderSettings, Settings};

/// How long a chain of aliases may be.
const CHAIN_LIMIT: usize = 10;

/// The words in Claude Code's built-in model ids, which are also the names of the aliases they fall back to.
const CLAUDE_WORDS: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

/// The routing tables: immutable, swapped as a whole.
#[derive(Debug, Default)]
pub struct Routes {
    providers: HashMap<String, Arc<ProviderSettings>>,
    names: Vec<String>,
    partial: Vec<PartialProvider>,
    default: Option<Arc<ProviderSettings>>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Route {
    pub provider: Arc<ProviderSettings>,
    /// As that provider calls it.
    pub model: Arc<str>,
}

/// Why a model name leads nowhere. Every text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    #[error(
        "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY or another {{PROVIDER}}_API_KEY and restart"
    )]
    NoProvider,
    #[error("unknown provider '{prefix}' in model '{model}': the providers are {known}")]
    UnknownProvider { prefix: String, model: String, known: String },
    #[error("unknown provider '{name}': the providers are {known}")]
    NoSuchProvider { name: String, known: String },
    #[error("provider '{name}' has a key but no base URL: set {missing} and restart")]
    Incomplete { name: String, missing: String },
    #[error("model: the name is empty")]
    EmptyModel,
    #[error(
        "model '{model}' leads through aliases that never end: check the aliases of provider '{provider}'"
    )]
    AliasCycle { model: String, provider: String },
}

impl Routes {
    pub fn new(settings: &Settings) -> Self {
        let providers: HashMap<_, _> =
            settings.providers.iter().map(|provider| (provider.name.to_string(), provider.clone())).collect();
        let default = settings.default_provider.as_ref().and_then(|name| providers.get(&**name).cloned());
        let names = settings.providers.iter().map(|provider| provider.name.to_string()).collect();
        Self { providers, names, partial: settings.partial.clone(), default }
    }

    /// The route of a model name as a client sends it: `provider:model`, an alias, or a plain name for the default
    /// provider; a trailing `[1m]` is Claude Code's own marker and goes.
    pub fn resolve(&self, model: &str) -> Result<Route, Unroutable> {
        let model = without_context_marker(model);
        if model.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        let (provider, name) = self.split(model)?;
        self.follow_aliases(provider, name)
    }

    /// The provider of that name in any case, or the default one.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider(&self, name: Option<&str>) -> Result<&Arc<ProviderSettings>, Unroutable> {
        let Some(name) = name else { return self.default.as_ref().ok_or(Unroutable::NoProvider) };
        if let Some(provider) = self.providers.get(&name.to_ascii_lowercase()) {
            return Ok(provider);
        }
        Err(self.incomplete(name).unwrap_or_else(|| match self.names.is_empty() {
            true => Unroutable::NoProvider,
            false => Unroutable::NoSuchProvider { name: name.to_owned(), known: self.names.join(", ") },
        }))
    }

    fn incomplete(&self, name: &str) -> Option<Unroutable> {
        let partial = self.partial.iter().find(|partial| partial.name.eq_ignore_ascii_case(name))?;
        let PartialProvider { name, missing } = partial.clone();
        Some(Unroutable::Incomplete { name, missing })
    }

    /// Splits at the first colon. A prefix with `/` or `.` in it is part of a model id (`vendor/model:free`).
    fn split<'m>(&self, model: &'m str) -> Result<(&Arc<ProviderSettings>, &'m str), Unroutable> {
        let default = || self.default.as_ref().ok_or(Unroutable::NoProvider);
        let Some((prefix, rest)) = model.split_once(':') else { return Ok((default()?, model)) };
        if let Some(provider) = self.providers.get(&prefix.to_ascii_lowercase()) {
            return if rest.is_empty() { Err(Unroutable::EmptyModel) } else { Ok((provider, rest)) };
        }
        if let Some(incomplete) = self.incomplete(prefix) {
            return Err(incomplete);
        }
        if prefix.contains(['/', '.']) {
            return Ok((default()?, model));
        }
        if self.names.is_empty() {
            return Err(Unroutable::NoProvider);
        }
        let known = self.names.join(", ");
        Err(Unroutable::UnknownProvider { prefix: prefix.to_owned(), model: model.to_owned(), known })
    }

    fn follow_aliases(&self, provider: &Arc<ProviderSettings>, name: &str) -> Result<Route, Unroutable> {
        let (mut provider, mut name) = (provider, name);
        for _ in 0..CHAIN_LIMIT {
            let Some(target) = alias_of(provider, name) else {
                return Ok(Route { provider: provider.clone(), model: name.into() });
            };
            match target.split_once(':').and_then(|(prefix, rest)| Some((self.providers.get(prefix)?, rest)))
            {
                Some((other, rest)) => (provider, name) = (other, rest),
                None if target.eq_ignore_ascii_case(name) => {
                    return Ok(Route { provider: provider.clone(), model: target.into() });
                }
                None => name = target,
            }
        }
        Err(Unroutable::AliasCycle { model: name.to_owned(), provider: provider.name.to_string() })
    }
}

/// What `name` stands for at `provider`, if it is an alias there. A provider that serves Claude itself gets ids
/// that start with `claude-` as they are; elsewhere the built-in ids of Claude Code stand for the alias of their
/// word.
fn alias_of<'p>(provider: &'p ProviderSettings, name: &str) -> Option<&'p str> {
    let lower = name.to_ascii_lowercase();
    let claude = lower.starts_with("claude-");
    if claude && provider.serves_claude {
        return None;
    }
    if let Some(target) = provider.aliases.get(&lower) {
        return Some(target);
    }
    if !claude {
        return None;
    }
    let word = lower.split('-').find(|part| CLAUDE_WORDS.contains(part))?;
    provider.aliases.get(word).map(String::as_str)
}

/// Claude Code marks a model with a 1M context window as `name[1m]`; no provider knows that name.
fn without_context_marker(model: &str) -> &str {
    const MARKER: usize = "[1m]".len();
    let split = model.len().checked_sub(MARKER).filter(|&at| model.is_char_boundary(at));
    match split.map(|at| model.split_at(at)) {
        Some((name, marker)) if marker.eq_ignore_ascii_case("[1m]") => name.trim_end(),
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{provider, settings};

    fn routes() -> Routes {
        let mut settings = settings(vec![
            provider("openai")
                .aliases(&[
                    ("haiku", "gpt-mini"),
                    ("sonnet", "gpt"),
                    ("opus", "gpt-max"),
                    ("fable", "gpt-max"),
                ])
                .build(),
            provider("poe")
                .aliases(&[("docs", "ds"), ("ds", "deepseek"), ("a", "b"), ("b", "a"), ("x", "openai:haiku")])
                .build(),
            provider("anthropic")
                .serves_claude()
                .aliases(&[("haiku", "claude-haiku-4-5"), ("claude-old", "never")])
                .build(),
        ]);
        settings.partial = vec![PartialProvider { name: "foo".into(), missing: "FOO_BASE_URL".into() }];
        settings.default_provider = Some("openai".into());
        Routes::new(&settings)
    }

    fn route(model: &str) -> String {
        match routes().resolve(model) {
            Ok(route) => format!("{}:{}", route.provider.name, route.model),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_prefix_names_the_provider_in_any_case_and_the_rest_is_the_model() {
        assert_eq!(route("poe:Some-Model"), "poe:Some-Model");
        assert_eq!(route("POE:qwen:8b"), "poe:qwen:8b");
    }

    #[test]
    fn a_name_without_prefix_goes_to_the_default_provider() {
        assert_eq!(route("gpt-4o"), "openai:gpt-4o");
    }

    #[test]
    fn exact_aliases_are_followed_through_chains_and_over_providers() {
        assert_eq!(route("HAIKU"), "openai:gpt-mini");
        assert_eq!(route("poe:docs"), "poe:deepseek");
        assert_eq!(route("poe:x"), "openai:gpt-mini");
    }

    #[test]
    fn an_alias_cycle_is_an_error_that_names_the_provider() {
        assert!(route("poe:a").contains("aliases of provider 'poe'"));
    }

    #[test]
    fn built_in_claude_ids_stand_for_the_alias_of_their_word() {
        assert_eq!(route("claude-haiku-4-5-20251001"), "openai:gpt-mini");
        assert_eq!(route("claude-3-5-haiku-20241022"), "openai:gpt-mini");
        assert_eq!(route("claude-sonnet-4-5-20250929"), "openai:gpt");
        assert_eq!(route("claude-opus-5-5[1M]"), "openai:gpt-max");
        assert_eq!(route("openai:claude-fable-5"), "openai:gpt-max");
        assert_eq!(route("poe:claude-opus-5-5"), "poe:claude-opus-5-5");
    }

    #[test]
    fn a_provider_that_serves_claude_gets_claude_ids_unchanged() {
        assert_eq!(route("anthropic:claude-haiku-4-5-20251001"), "anthropic:claude-haiku-4-5-20251001");
        assert_eq!(route("anthropic:claude-old"), "anthropic:claude-old");
        assert_eq!(route("anthropic:haiku"), "anthropic:claude-haiku-4-5");
    }

    #[test]
    fn a_prefix_that_is_no_provider_is_refused_unless_it_is_part_of_a_model_id() {
        assert_eq!(
            route("nope:m"),
            "unknown provider 'nope' in model 'nope:m': the providers are openai, poe, anthropic"
        );
        assert_eq!(route("vendor/model:free"), "openai:vendor/model:free");
        assert_eq!(route("foo:m"), "provider 'foo' has a key but no base URL: set FOO_BASE_URL and restart");
        assert_eq!(route("poe:"), "model: the name is empty");
    }

    #[test]
    fn the_context_marker_is_not_part_of_the_name() {
        assert_eq!(route("gpt-4o[1m]"), "openai:gpt-4o");
        assert_eq!(route("gpt-4ö[1"), "openai:gpt-4ö[1");
        assert_eq!(route("[1m]"), "model: the name is empty");
    }
}
