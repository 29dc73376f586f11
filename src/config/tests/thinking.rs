//! What `docs/thinking.md` says of the built-in providers.

use std::fs;

use vandamme_actors::settings::Api;
use vandamme_protocol::bridge::messages_over_chat::{Dialect, Reasoning};

use super::Machine;

/// A row's second and third cell.
fn cells(dialect: &Dialect) -> (&'static str, &'static str) {
    let parameter = match dialect.reasoning {
        Reasoning::Effort => "`reasoning_effort`",
        Reasoning::Nested => "`reasoning: {\"effort\": …}`",
        Reasoning::Switch => "`thinking` and `reasoning_effort`",
    };
    let models = match dialect.reasoning_models.as_slice() {
        [] => "table",
        [all] if all == "*" => "all",
        [..] => "listed",
    };
    (parameter, models)
}

#[test]
fn the_page_about_thinking_has_every_built_in_provider() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/thinking.md");
    let page = fs::read_to_string(page).expect("the page");
    let defaults = include_str!("../defaults.toml");
    let names = defaults.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let mut found = 0;
    for name in names.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())) {
        let variables = [(format!("{}_API_KEY", name.to_uppercase()), "k".to_owned())];
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let config = Machine::with(&variables).load();
        let Some(provider) = config.settings.providers.iter().find(|provider| *provider.name == *name) else {
            continue;
        };
        if provider.api != Api::ChatCompletions {
            continue;
        }
        found += 1;
        let (parameter, models) = cells(&provider.dialect);
        let row = format!("| `{name}` | {parameter} | {models} |");
        assert!(page.contains(&row), "docs/thinking.md lacks: {row}");
    }
    assert!(found >= 10, "{found}");
}

#[test]
fn an_empty_list_of_models_is_for_none() {
    let models = |line: &str| {
        let config = Machine::with(&[("POE_API_KEY", "k")]).toml(&format!("[poe]\n{line}")).load();
        super::provider(&config, "poe").dialect.reasoning_models.clone()
    };
    assert!(models("").is_empty());
    assert_eq!(models("reasoning-models = []"), [""]);
}
