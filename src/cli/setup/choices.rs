//! The list of providers to choose from, with one line about each.

use std::fmt;

use inquire::list_option::ListOption;
use inquire::validator::Validation;
use inquire::{CustomUserError, MultiSelect};

use super::SetupError;
use super::answers::configured_value;
use crate::config::{Config, is_in_cloud};

/// The vendors of the built-in providers. A vendor with two APIs is two providers.
const VENDORS: [(&str, &str); 20] = [
    ("openai", "OpenAI"),
    ("poe", "Poe, models of many vendors"),
    ("openrouter", "OpenRouter, models of many vendors"),
    ("cerebras", "Cerebras, fast open models"),
    ("nanogpt", "NanoGPT, models of many vendors"),
    ("agentrouter", "AgentRouter"),
    ("agentroutera", "AgentRouter, for Claude Code"),
    ("zai", "Z.AI (GLM), for Claude Code"),
    ("zaio", "Z.AI (GLM)"),
    ("kimi", "Kimi (Moonshot)"),
    ("deepseek", "DeepSeek"),
    ("longcat", "LongCat (Meituan)"),
    ("longcata", "LongCat (Meituan), for Claude Code"),
    ("anthropic", "Anthropic (Claude)"),
    ("gemini", "Google Gemini"),
    ("azure", "Azure OpenAI, your own resource"),
    ("xai", "xAI (Grok)"),
    ("mistral", "Mistral"),
    ("groq", "Groq, fast open models"),
    ("ollama", "Ollama, a local server without a key"),
];

/// One line of the list.
#[derive(Clone, Debug)]
pub(super) struct MenuItem {
    /// `None` for a provider that is not on the list.
    pub(super) name: Option<String>,
    line: String,
}

impl MenuItem {
    fn new(config: &Config, name: &str) -> Self {
        let vendor = VENDORS.iter().find(|(known, _)| *known == name).map(|(_, vendor)| *vendor);
        let vendor =
            vendor.or_else(|| configured_value(config, name, "base-url")).unwrap_or("no base URL yet");
        let api = match configured_value(config, name, "api-format") {
            Some("anthropic") => "Anthropic API",
            Some("responses") => "Responses API",
            Some(_) | None => "OpenAI API",
        };
        Self { name: Some(name.to_owned()), line: format!("{name:12} {vendor}; {api}") }
    }

    fn another() -> Self {
        Self { name: None, line: "another one, by its URL".to_owned() }
    }

    /// The name, as it appears once it is chosen.
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("another one")
    }

    /// Typed letters find names before descriptions.
    fn score(&self, typed: &str) -> Option<i64> {
        let typed = typed.to_lowercase();
        let label = self.label();
        if label.starts_with(&typed) {
            return Some(2);
        }
        let others = [(label.contains(&typed), 1), (self.line.to_lowercase().contains(&typed), 0)];
        others.into_iter().find(|(fits, _)| *fits).map(|(_, score)| score)
    }
}

impl fmt::Display for MenuItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Asks for one provider or several. The providers with a key are selected already.
pub(super) fn choose_providers(now: &Config) -> Result<Vec<MenuItem>, SetupError> {
    let settings = &now.settings;
    let ready = settings.providers.iter().map(|provider| &*provider.name);
    let others = settings.partial.iter().chain(&settings.keyless).map(|provider| provider.name.as_str());
    // A key does not make them usable: they need a region or a project, and mostly the credentials of a cloud.
    let others = others.filter(|name| !is_in_cloud(name));
    let choices = ready.chain(others).map(|name| MenuItem::new(now, name)).chain([MenuItem::another()]);
    let selected: Vec<usize> = (0..settings.providers.len()).collect();
    let help = "space selects, enter continues, letters search; providers with a key are selected already";
    let question = MultiSelect::new("Which providers?", choices.collect())
        .with_default(&selected)
        .with_validator(at_least_one)
        .with_scorer(&|typed, choice, _, _| choice.score(typed))
        .with_formatter(&|chosen| {
            chosen.iter().map(|option| option.value.label()).collect::<Vec<_>>().join(", ")
        });
    Ok(question.with_help_message(help).with_page_size(16).prompt()?)
}

fn at_least_one(chosen: &[ListOption<&MenuItem>]) -> Result<Validation, CustomUserError> {
    Ok(match chosen {
        [] => Validation::Invalid("nothing is selected; select a provider with the space bar".into()),
        _ => Validation::Valid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn every_built_in_provider_has_a_line_and_no_two_are_equal() {
        let config = Config::load(&Overrides::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
        let names = config.settings.keyless.iter().map(|provider| provider.name.as_str());
        let names: Vec<_> = names.filter(|name| !is_in_cloud(name)).collect();
        assert_eq!(names, VENDORS.map(|(name, _)| name));
        let lines: Vec<_> = names
            .iter()
            .map(|name| MenuItem::new(&config, name).line.split_once(' ').map(|(_, line)| line.to_owned()))
            .collect();
        for (index, line) in lines.iter().enumerate() {
            assert!(!lines[..index].contains(line), "{line:?}");
        }
        assert_eq!(
            MenuItem::new(&config, "zai").to_string(),
            "zai          Z.AI (GLM), for Claude Code; Anthropic API"
        );
        assert_eq!(MenuItem::new(&config, "zaio").to_string(), "zaio         Z.AI (GLM); OpenAI API");
    }

    #[test]
    fn typed_letters_find_names_first() {
        let config = Config::load(&Overrides::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
        let score = |name: &str, typed: &str| MenuItem::new(&config, name).score(typed);
        assert!(score("zai", "zai") > score("openai", "zai") && score("openai", "zai").is_none());
        assert!(score("xai", "Grok").is_some() && score("groq", "grok").is_none());
        assert!(MenuItem::another().score("another").is_some());
    }
}
