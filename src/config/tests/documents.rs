//! The files that show settings are generated from the declarations. `[limits]` has tests of its own.

use super::generated::{
    HEAD, Part, SampleSection, built_in_lines, is_table, row, rows, variable_row, wrapped,
};
use super::*;
use crate::config::schema::{Application, SettingDeclaration, SettingTable, applies_at_start, variables};
use crate::config::setting::{DefaultValue, ProviderScope};
use crate::config::value_type::KeyType;

const REFERENCE: &str = "docs/configuration.md";
const SAMPLE: &str = "vandamme-config.toml";
const BUILT_IN: &str = "src/config/defaults.toml";

fn of_format(providers: ProviderScope) -> impl Iterator<Item = &'static SettingDeclaration> {
    schema::PROVIDER.iter().filter(move |setting| setting.documentation.providers == providers)
}

/// Requirement: one declaration generates the built-in file (house, 5).
#[test]
fn the_built_in_file_has_the_declared_defaults() {
    let gateway =
        Part { file: BUILT_IN, start: "compares every alias with them.\n\n", end: "\n[defaults]\n" };
    gateway.compare(&built_in_lines(schema::GATEWAY));
    let defaults = Part { file: BUILT_IN, start: "\n[defaults]\n", end: "\n[limits]\n" };
    defaults.compare(&built_in_lines(schema::DEFAULTS));
}

/// Requirement: one declaration generates the reference page (house, 5).
#[test]
fn the_reference_shows_every_setting_as_declared() {
    let [gateway, defaults, _, safeguards, web_search] = &schema::TABLES;
    let part = |start, end| Part { file: REFERENCE, start, end };
    part("\n### The gateway\n", "\n### Keys of clients").compare(&format!("\n{HEAD}{}", rows(gateway)));
    part("\n### All providers: `[defaults]`\n", "\n### Auto mode: ")
        .compare(&format!("\n{HEAD}{}", rows(defaults)));
    part("\n### Auto mode: `[safeguards]`\n", "\n### A provider")
        .compare(&format!("\n{HEAD}{}", rows(safeguards)));
    part("\n### Web search: `[web-search]`\n", "\n### Limits")
        .compare(&format!("\n{HEAD}{}", rows(web_search)));
    let all: String = of_format(ProviderScope::All).map(row).collect();
    let variables: String = schema::PROVIDER_VARIABLES_WITHOUT_KEY.iter().map(variable_row).collect();
    let openai: String = of_format(ProviderScope::OpenAiFormat).map(row).collect();
    let provider = format!(
        "{HEAD}{all}{variables}\nFor OpenAI-format providers only; built-in providers have the right values:\n\n{HEAD}{openai}"
    );
    part("is `OPENAI_API_KEY` for `[openai]`.\n\n", "\n### A profile").compare(&provider);
    let profile: String = schema::PROFILE.iter().map(row).collect();
    part("\n### A profile: `[\"#NAME\"]`\n", "\n### Web search").compare(&format!("\n{HEAD}{profile}"));
}

/// Requirement: one declaration generates the sample file (house, 5).
#[test]
fn the_sample_file_shows_every_setting_as_declared() {
    let part = |start, end| Part { file: SAMPLE, start, end };
    // An alternative to api-key, which the sample shows.
    let is_shown = |setting: &&SettingDeclaration| !matches!(setting.key_type, KeyType::AuthMode);
    let top = SampleSection { table: "", prefix: "" };
    let entries: String = schema::GATEWAY.iter().map(|setting| top.entry(setting)).collect();
    part("# ---- The gateway itself ----\n", "\n\n# ---- Keys of clients").compare(&entries);
    let defaults = SampleSection { table: "defaults", prefix: "" };
    let entries: String = schema::DEFAULTS.iter().map(|setting| defaults.entry(setting)).collect();
    part("\n#[defaults]\n", "\n\n# ---- Auto mode").compare(&entries);
    let safeguards = SampleSection { table: "safeguards", prefix: "" };
    let entries: String = schema::SAFEGUARDS.iter().map(|setting| safeguards.entry(setting)).collect();
    part("\n#[safeguards]\n", "\n\n# ---- Web search").compare(&entries);
    let web_search = SampleSection { table: "web-search", prefix: "" };
    let entries: String = schema::WEB_SEARCH.iter().map(|setting| web_search.entry(setting)).collect();
    part("\n#[web-search]\n", "\n\n# ---- A profile").compare(&entries);
    let profile = SampleSection { table: "\"#work\"", prefix: "" };
    let entries: String = schema::PROFILE.iter().map(|setting| profile.entry(setting)).collect();
    part("\n#[\"#work\"]\n", "\n\n# ---- A provider").compare(&entries);
    let provider = SampleSection { table: "mycorp", prefix: "MYCORP" };
    let values = of_format(ProviderScope::All).filter(|setting| !is_table(setting)).filter(is_shown);
    let values: String = values.map(|setting| provider.entry(setting)).collect();
    let openai: String =
        of_format(ProviderScope::OpenAiFormat).map(|setting| provider.entry(setting)).collect();
    let tables = schema::PROVIDER.iter().filter(|setting| is_table(setting));
    let tables: String = tables.map(|setting| provider.entry(setting)).collect();
    let between = "The rest of this section, up to the tables, is for OpenAI-format providers: what they accept beyond the common \
                   subset. Built-in providers have the right values.";
    let between = wrapped("#", between);
    part("\n#[mycorp]\n", "\n\n# ---- Limits").compare(&format!("{values}\n{between}{openai}{tables}"));
}

fn at_start(table: &SettingTable) -> Vec<String> {
    let settings = table.settings.iter().filter(|setting| setting.application == Application::AtStart);
    settings.map(|setting| format!("`{}`", setting.key)).collect()
}

/// Requirement: whether a setting applies only after a restart is a property of its declaration (house, 5).
#[test]
fn the_page_on_reloading_lists_the_keys_that_need_a_restart() {
    let [gateway, defaults, limits, ..] = schema::TABLES.each_ref().map(|table| at_start(table).join(", "));
    let text = format!(
        "These keys need a restart, and `reload` lists them: {gateway}; {defaults} of `[defaults]`; {limits} of `[limits]`."
    );
    let part =
        Part { file: "docs/process-control.md", start: "starts with fresh state.\n\n", end: "\n## Stop" };
    part.compare(&wrapped("", &text));
    for (key, expected) in [("port", true), ("limits.connect-timeout", true), ("defaults.cache-dir", true)]
        .into_iter()
        .chain([("limits.drain", false), ("defaults.timeout", false), ("openai.port", false), ("x", false)])
    {
        assert_eq!(applies_at_start(key), expected, "{key}");
    }
}

/// Requirement: the declared default is the one in use, also for settings that the built-in file does not have.
#[test]
fn an_implied_default_changes_nothing_if_a_file_states_it() {
    let implied = |setting: &'static SettingDeclaration| match setting.default {
        DefaultValue::Implied(value) => Some(format!("{} = {value}", setting.key)),
        DefaultValue::BuiltIn(_) | DefaultValue::Unset => None,
    };
    // The directories of the cache and the history are other ones on each machine.
    let loaded = |toml: &str| {
        let settings = Settings { cache: None, history: None, ..Machine::new().toml(toml).load().settings };
        format!("{settings:?}")
    };
    let provider_with = |line: &str| loaded(&format!("[x]\napi-key = 'k'\nbase-url = 'http://x'\n{line}"));
    let lines: Vec<String> = schema::PROVIDER.iter().filter_map(implied).collect();
    assert!(lines.len() > 8, "{lines:?}");
    for line in lines {
        assert_eq!(provider_with(&line), provider_with(""), "{line}");
    }
    for line in schema::GATEWAY.iter().chain(schema::DEFAULTS).filter_map(implied) {
        assert_eq!(loaded(&line), loaded(""), "{line}");
    }
}

/// Requirement: the variables of the declarations are the ones that are read.
#[test]
fn every_declared_variable_is_read() {
    let settings =
        [schema::GATEWAY, schema::DEFAULTS, schema::LIMITS, schema::PROVIDER].into_iter().flatten();
    let mut seen = 0;
    for variable in settings.filter_map(|setting| setting.variable) {
        let name =
            variable.name.replace("{PROVIDER}", "OPENAI").replace("{NAME}", "X").replace("{X_Y}", "X_Y");
        assert!(environment::is_read(&name), "{name}");
        seen += 1;
    }
    assert!(seen > 30, "only {seen} are found");
    let declared: Vec<&str> = variables().map(|variable| variable.name).collect();
    for name in ["REQUEST_TIMEOUT", "MIN_TOKENS_LIMIT", "VDM_DEMO", "MODELS_CACHE_TTL_HOURS"] {
        assert!(declared.contains(&name), "{name}");
    }
}

/// Requirement: `vdm config env` shows each variable with its key and default, as declared.
#[test]
fn a_documented_variable_names_its_key_and_default() {
    let documented = crate::config::variables();
    let about = |name: &str| {
        let found = documented.iter().find(|variable| variable.name == name);
        found.unwrap_or_else(|| panic!("{name}")).about.clone()
    };
    assert!(about("HOST").ends_with(" (host = \"127.0.0.1\")"), "{}", about("HOST"));
    assert!(about("MAX_RETRIES").ends_with(" ([defaults] max-retries = 2)"), "{}", about("MAX_RETRIES"));
    assert!(about("REQUEST_TIMEOUT").ends_with(" ([defaults] timeout)"), "{}", about("REQUEST_TIMEOUT"));
    let hours = about("MODELS_CACHE_TTL_HOURS");
    assert!(
        hours.starts_with("In hours. ") && hours.ends_with(" ([limits] models-cache-ttl = 86_400)"),
        "{hours}"
    );
    assert!(about("{PROVIDER}_BASE_URL").ends_with(" ([PROVIDER] base-url)"));
    assert!(documented.iter().all(|variable| !variable.about.contains('`')), "plain text");
}
