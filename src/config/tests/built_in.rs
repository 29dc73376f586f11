//! The built-in providers: how each is registered, and that their aliases lead to models which the API that we speak to
//! them serves, by extracts of the vendors' own lists.

use std::collections::BTreeMap;

use serde::Deserialize;
use vandamme_actors::routing::{Lists, Routes};
use vandamme_actors::settings::PartialProvider;
use vandamme_actors::snapshot::Snapshot;

use super::*;

/// What Claude Code's models are called.
const CLAUDE: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

/// The day of the table of aliases, as `defaults.toml` states it.
const OF: &str = "2026-11-30";

/// A model behind one of Claude's names must not end before this day.
const CLAUDES_STAY_UNTIL: &str = "2027-06-01";

/// A model behind any other alias must not end before this day.
const OTHERS_STAY_UNTIL: &str = "2027-01-01";

/// `tests/vendor-models/*.json`
#[derive(Deserialize)]
struct Extract {
    read: String,
    sources: Vec<String>,
    /// By id: the APIs that serve it.
    models: BTreeMap<String, Vec<String>>,
    /// By id: the day that its vendor has announced.
    #[serde(default)]
    shutdown: BTreeMap<String, String>,
}

impl Extract {
    /// Two providers are the same vendor by its other API.
    fn of(provider: &str) -> Self {
        let vendor = match provider {
            "agentroutera" => "agentrouter",
            "zaio" => "zai",
            "longcata" => "longcat",
            // Under their plain ids.
            "bedrock" | "bedrock-mantle" | "claude-aws" | "vertex" | "claude-google" => "anthropic",
            vendor => vendor,
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vendor-models/{vendor}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn objection(&self, alias: &str, model: &str, api: Api) -> Option<String> {
        let word = match api {
            Api::ChatCompletions => "chat_completions",
            Api::Messages => "messages",
            Api::Responses => "responses",
        };
        let Some(apis) = self.models.get(model) else {
            return Some("the vendor does not list it".to_owned());
        };
        if !apis.iter().any(|served| served == word) {
            return Some(format!("it is not served by {word}"));
        }
        let limit = if CLAUDE.contains(&alias) { CLAUDES_STAY_UNTIL } else { OTHERS_STAY_UNTIL };
        let shutdown = self.shutdown.get(model).filter(|day| day.as_str() < limit)?;
        Some(format!("it ends on {shutdown}"))
    }
}

/// Everything that is built in, usable.
fn everything() -> Config {
    let keyless = Machine::new().load().settings.keyless;
    let with_key = |machine: Machine, provider: &PartialProvider| {
        machine.variable(&format!("{}_API_KEY", variable_prefix(&provider.name)), "k")
    };
    let machine = keyless.iter().fold(Machine::new(), with_key);
    let machine = machine.variable("AZURE_BASE_URL", "https://r.openai.azure.com/openai/v1");
    let machine = machine.variable("AWS_REGION", "us-east-1").variable("GOOGLE_CLOUD_PROJECT", "p");
    machine.variable("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID", "w").load()
}

#[test]
fn every_alias_leads_to_a_model_that_its_vendor_serves_by_the_api_we_speak() {
    let config = everything();
    let routes = Routes::new(&config.settings, Snapshot::new(Lists::new()));
    let mut objections = Vec::new();
    let mut check = |name: String, alias: &str| {
        let route = routes.resolve(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let extract = Extract::of(&route.provider.name);
        let objection = extract.objection(alias, &route.model, route.provider.api);
        objections.extend(
            objection
                .map(|why| format!("{name} leads to {}:{}, and {why}", route.provider.name, route.model)),
        );
    };
    for provider in &config.settings.providers {
        provider.aliases.keys().for_each(|alias| check(format!("{}:{alias}", provider.name), alias));
    }
    for profile in &config.settings.profiles {
        assert!(profile.inactive.is_none(), "{}", profile.name);
        profile.aliases.keys().for_each(|alias| check(format!("{}:{alias}", profile.name), alias));
    }
    assert!(objections.is_empty(), "{objections:#?}");
}

#[test]
fn every_provider_has_a_model_for_each_of_claudes_names() {
    let config = everything();
    assert_eq!(
        (&config.settings.partial, &config.settings.keyless),
        (&vec![], &vec![]),
        "{:?}",
        config.warnings
    );
    for provider in &config.settings.providers {
        for name in CLAUDE {
            assert!(provider.aliases.contains_key(name), "{}:{name}", provider.name);
        }
    }
}

#[test]
fn the_table_is_dated_and_no_extract_is_older() {
    assert!(file::DEFAULTS.contains(&format!("are of {OF}.")), "defaults.toml states the day of its aliases");
    for provider in &everything().settings.providers {
        let extract = Extract::of(&provider.name);
        assert!(extract.read.as_str() >= OF && !extract.sources.is_empty(), "{}", provider.name);
    }
}

/// The page that people read has a row for each provider, with the models that its names lead to.
#[test]
fn the_documentation_shows_the_table_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = fs::read_to_string(&path).unwrap();
    assert!(page.contains(&format!("are those of {OF}")), "the page states the day of the models");
    let config = everything();
    let routes = Routes::new(&config.settings, Snapshot::new(Lists::new()));
    for provider in &config.settings.providers {
        let api = if provider.api == Api::Messages { "anthropic" } else { "openai" };
        let models = CLAUDE.map(|name| {
            let route = routes.resolve(&format!("{}:{name}", provider.name)).unwrap();
            format!("`{}`", route.model)
        });
        let start = format!("| `{}` | ", provider.name);
        let end = format!(" | {api} | {} |", models.join(" | "));
        let row = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        assert!(
            row.ends_with(&end) && row.contains(&format!("{}_", variable_prefix(&provider.name))),
            "{row}\n{end}"
        );
    }
}

/// What an objection is made of: the faults that were reported would be found.
#[test]
fn an_alias_that_leads_nowhere_is_found() {
    let openai = Extract::of("openai");
    for (model, api, word) in [
        ("gpt-5.1-codex", Api::ChatCompletions, "not served by chat_completions"),
        ("gpt-5.5-pro", Api::ChatCompletions, "not served"),
        ("gpt-5.1-mini", Api::ChatCompletions, "does not list it"),
        ("gpt-5", Api::ChatCompletions, "it ends on 2026-12-11"),
        ("gpt-6-luna", Api::Messages, "not served by messages"),
    ] {
        let objection = openai.objection("sonnet", model, api).unwrap_or_default();
        assert!(objection.contains(word), "{model}: {objection}");
    }
    assert_eq!(openai.objection("haiku", "gpt-6-luna", Api::ChatCompletions), None);
}

#[test]
fn openais_key_alone_leads_every_name_of_claude_code_to_chat_completions() {
    let config = Machine::with(&[("OPENAI_API_KEY", "k")]).load();
    let routes = Routes::new(&config.settings, Snapshot::new(Lists::new()));
    for name in [
        "sonnet",
        "claude-sonnet-5-5",
        "claude-haiku-4-5-20251001",
        "claude-opus-5-5[1m]",
        "claude-fable-5-2",
    ] {
        let route = routes.resolve(name).unwrap();
        let extract = Extract::of(&route.provider.name);
        assert_eq!(
            extract.objection("sonnet", &route.model, Api::ChatCompletions),
            None,
            "{name}: {}",
            route.model
        );
    }
}

#[test]
fn a_server_that_needs_no_key_is_registered_by_its_users_url_alone() {
    let nobody = Machine::new().load();
    assert!(names(&nobody).is_empty(), "never by itself");
    let missing = nobody.settings.keyless.iter().find(|provider| provider.name == "ollama").unwrap();
    assert_eq!(missing.missing, "OLLAMA_BASE_URL");

    for (url, expected) in [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://gpu.lan:11434/", "http://gpu.lan:11434/v1"),
        ("http://gpu.lan:11434/v1", "http://gpu.lan:11434/v1"),
        ("https://proxy.example/ollama", "https://proxy.example/ollama"),
    ] {
        let config = Machine::with(&[("OLLAMA_BASE_URL", url)]).load();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let ollama = provider(&config, "ollama");
        assert_eq!((ollama.base_url.as_str(), ollama.keys.len(), ollama.passthrough), (expected, 1, false));
        assert_eq!(config.settings.default_provider.as_deref(), Some("ollama"));
        assert_eq!(config.demo, DemoMode::Off);
    }

    let config = Machine::with(&[("OLLAMA_API_KEY", "any")]).load();
    let ollama = provider(&config, "ollama");
    assert_eq!((ollama.base_url.as_str(), ollama.keys[0].expose()), ("http://localhost:11434/v1", "any"));

    let toml =
        "[lab]\nbase-url = 'http://lab.lan:8000'\napi-key-optional = true\n[other]\nbase-url = 'http://o'";
    let config = Machine::new().toml(toml).load();
    assert_eq!(names(&config), ["lab"]);
    assert_eq!(provider(&config, "lab").base_url, "http://lab.lan:8000/v1");
}

#[test]
fn a_keyless_server_is_not_the_default_before_a_provider_with_a_key() {
    let config = Machine::with(&[("OLLAMA_BASE_URL", "http://h:1"), ("GROQ_API_KEY", "k")]).load();
    assert_eq!(config.settings.default_provider.as_deref(), Some("groq"));
}

#[test]
fn a_wrong_address_of_a_server_that_needs_no_key_is_a_warning() {
    for (url, why) in [
        ("http://localhost:8082", "this is the gateway's own address"),
        ("localhost:11434", "the URL must start with http:// or https://"),
    ] {
        let machine = Machine::with(&[("OLLAMA_BASE_URL", url), ("GROQ_API_KEY", "k")]);
        let told = format!("environment variable OLLAMA_BASE_URL: {why}, so ollama cannot be used");
        assert_eq!(machine.warnings(), [told]);
        assert_eq!(names(&machine.load()), ["groq"]);
    }
}

#[test]
fn azure_names_the_missing_settings() {
    let machine = Machine::with(&[("AZURE_API_KEY", "k")]);
    assert_eq!(
        machine.warnings(),
        [
            "azure has a key but no base URL; to use it, set AZURE_BASE_URL to https://RESOURCE.openai.azure.com/openai/v1"
        ]
    );
    assert!(names(&machine.load()).is_empty());

    let machine = machine.variable("AZURE_BASE_URL", "https://r.openai.azure.com");
    let warnings = machine.warnings();
    assert!(warnings[0].contains("needs an api-version (AZURE_API_VERSION)"), "{warnings:?}");
    assert!(machine.variable("AZURE_API_VERSION", "2024-10-21").warnings().is_empty());
}

/// Whoever had configured a provider of such a name before it was built in.
#[test]
fn user_settings_override_built_in_ones() {
    let toml = "[mistral]\napi-key = 'k'\nbase-url = 'http://mine/v1'\nreasoning-models = ['mine*']\nsystem-anywhere = true
        [mistral.aliases]\nhaiku = 'mine-small'";
    let config = Machine::with(&[
        ("GEMINI_API_KEY", "k"),
        ("GEMINI_BASE_URL", "https://proxy.example/v1beta/openai/"),
        ("XAI_API_KEY", "k"),
        ("XAI_API_FORMAT", "anthropic"),
    ])
    .toml(toml)
    .load();
    let mistral = provider(&config, "mistral");
    assert_eq!(
        (mistral.base_url.as_str(), mistral.aliases["haiku"].as_str()),
        ("http://mine/v1", "mine-small")
    );
    assert_eq!(mistral.dialect.reasoning_models, ReasoningModels::Listed(vec!["mine*".to_owned()]));
    assert!(mistral.dialect.system_anywhere);
    assert_eq!(provider(&config, "gemini").base_url, "https://proxy.example/v1beta/openai");
    assert_eq!(provider(&config, "xai").api, Api::Messages);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}
