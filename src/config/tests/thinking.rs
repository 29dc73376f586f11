//! What `docs/thinking.md` says of models and of the built-in providers.

use std::fmt::Write as _;
use std::fs;

use vandamme_actors::settings::Api;
use vandamme_protocol::convert::upstream::chat::{
    AS_OF, Dialect, FAMILIES, Off, ReasoningModels, ReasoningParameter, StopSupport,
};

use super::Machine;

/// A row's second and third cell.
fn cells(dialect: &Dialect) -> (&'static str, &'static str) {
    let parameter = match dialect.reasoning {
        ReasoningParameter::Effort => "`reasoning_effort`",
        ReasoningParameter::Nested => "`reasoning: {\"effort\": …}`",
        ReasoningParameter::Switch => "`thinking` and `reasoning_effort`",
    };
    let models = match &dialect.reasoning_models {
        ReasoningModels::ByFamily => "table",
        ReasoningModels::Listed(patterns) if *patterns == ["*"] => "all",
        ReasoningModels::Listed(_) | ReasoningModels::Disabled => "listed",
    };
    (parameter, models)
}

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/thinking.md")).expect("the page")
}

/// The rows as the page has them.
fn table() -> String {
    let mut table = format!(
        "As of {AS_OF}.\n\n| model | thinking is turned off by | efforts | `stop` | source |\n|---|---|---|---|---|\n"
    );
    for family in FAMILIES {
        let off = match family.off {
            Off::NoReasoning => "(does not reason)",
            Off::None => "effort `none`",
            Off::Switch => "`thinking: disabled`",
            Off::Ignored => "`thinking: disabled`, without effect",
            Off::Lowest => "never; lowest effort",
            Off::Never => "never; nothing is sent",
        };
        let efforts = if family.efforts.is_empty() { "none".to_owned() } else { family.efforts.join(", ") };
        let stop = match family.stop {
            StopSupport::Taken => "sent",
            StopSupport::Cut => "applied by the gateway",
        };
        let (pattern, source) = (family.pattern, family.source);
        writeln!(table, "| `{pattern}` | {off} | {efforts} | {stop} | {source} |")
            .expect("a String takes it");
    }
    table
}

#[test]
fn the_page_about_thinking_has_the_table_of_the_code() {
    let (page, table) = (page(), table());
    let printed =
        page.split_once("<!-- table -->\n").and_then(|(_, rest)| rest.split_once("<!-- end of table -->"));
    let (printed, _) = printed.expect("the marks around the table");
    assert!(printed == table, "docs/thinking.md must have between its marks:\n{table}");
}

#[test]
fn the_page_about_thinking_has_every_built_in_provider() {
    let page = page();
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
    assert_eq!(models(""), ReasoningModels::ByFamily);
    assert_eq!(models("reasoning-models = []"), ReasoningModels::Disabled);
}
