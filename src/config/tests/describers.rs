//! Which model describes images, and for which models.

use std::fmt::Write as _;
use std::fs;

use vandamme_protocol::models::text_only::{AS_OF, TEXT_ONLY};

use super::*;

const KEYS: Set<'_> = &[("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")];

fn describer(config: &Config, name: &str, model: &str) -> Option<String> {
    provider(config, name).image_describer(model).map(ToString::to_string)
}

/// Requirement: a provider's own describer is used before that of all; a list of models replaces the table.
#[test]
fn a_describer_is_for_models_that_cannot_see() {
    let config = Machine::with(KEYS)
        .toml(
            "[defaults]\ndescribe-images-with = 'anthropic:claude-haiku-4-5'\n[openai]\ndescribe-images-with = 'openai:gpt-4o'\n\
             [anthropic]\ntext-only-models = ['old-*']",
        )
        .load();
    let openai = |model| describer(&config, "openai", model);
    assert_eq!(openai("o3-mini").as_deref(), Some("openai:gpt-4o"));
    assert_eq!((openai("gpt-4o"), openai("old-1")), (None, None));
    let anthropic = |model| describer(&config, "anthropic", model);
    assert_eq!(anthropic("OLD-1").as_deref(), Some("anthropic:claude-haiku-4-5"));
    assert_eq!(anthropic("gpt-oss-20b"), None, "the list replaces the table");

    let by_variable =
        Machine::with(KEYS).variable("VDM_DESCRIBE_IMAGES_WITH", "anthropic:claude-haiku-4-5").load();
    assert!(describer(&by_variable, "openai", "gpt-oss-20b").is_some());
    assert_eq!(describer(&Machine::with(KEYS).load(), "openai", "gpt-oss-20b"), None, "off by default");
}

/// Requirement: a describer that can never describe is one error line with its place and what to do; a missing key is a warning.
#[test]
fn an_impossible_describer_is_an_error() {
    let passthrough = "[own]\nbase-url = 'http://127.0.0.1:1'\nauth-mode = 'passthrough'\n";
    for (target, told) in [
        ("gpt-4o", "expected \"provider:model\", found \"gpt-4o\""),
        ("opnai:gpt-4o", "\"opnai:gpt-4o\": there is no provider \"opnai\"; did you mean \"openai:gpt-4o\"?"),
        (
            "openai:o3-mini",
            "\"openai:o3-mini\": \"o3-mini\" accepts no images; name a model that does, or change text-only-models of [openai]",
        ),
        (
            "own:model",
            "\"own:model\": provider 'own' has no key of its own (it takes its clients'), so the gateway cannot call it; name a \
             model of a provider with a key",
        ),
    ] {
        let machine =
            Machine::with(KEYS).toml(&format!("{passthrough}[defaults]\ndescribe-images-with = '{target}'"));
        let mistakes = machine.mistakes();
        let [mistake] = &mistakes[..] else { panic!("{target}: {mistakes:?}") };
        assert!(
            mistake.ends_with(told) && mistake.contains("describe-images-with"),
            "{mistake}\nexpected: {told}"
        );
    }
    let warnings = Machine::with(KEYS).toml("[openai]\ndescribe-images-with = 'poe:gpt-4o'").warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("images cannot be described") && warning.contains("POE_API_KEY")),
        "{warnings:?}"
    );
}

/// Requirement: the page about images has the table of the code.
#[test]
fn the_page_about_images_has_the_table_of_the_code() {
    let mut table = format!("As of {AS_OF}.\n\n| models | source |\n|---|---|\n");
    for family in TEXT_ONLY {
        let patterns: Vec<String> = family.patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
        writeln!(table, "| {} | {} |", patterns.join(", "), family.source).expect("a String takes it");
    }
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images.md")).expect("the page");
    assert!(page.contains(&table), "docs/images.md needs this table:\n{table}");
}
