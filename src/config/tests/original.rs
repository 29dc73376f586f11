//! What the variables and files of the Python original mean here.

use super::*;

/// Requirement: OAuth requests (7) or an honest "not supported". 5. No freeze on duplicate keys (31) and true
/// upstream errors (29). 6. Retries, timeouts, 504 (8, 9).
/// Deviates from the original ("Given `MODELS_CACHE_ENABLED=maybe`, then the cache is off; given `YES`, on"): a
/// word that is neither yes nor no is a mistake, as every other wrong value.
#[test]
fn words_for_yes_and_for_a_level_are_accepted_in_any_case() {
    for (word, kept) in [("YES", true), ("1", true), ("On", true), (" false ", false), ("off", false)] {
        let config = Machine::with(&[("MODELS_CACHE_ENABLED", word)]).load();
        assert_eq!(config.settings.cache.is_some(), kept, "{word}");
    }
    assert_eq!(Machine::with(&[("LOG_LEVEL", "debug")]).load().log.level_word, "DEBUG");
}

/// Deviates from the original ("Given `STREAMING_READ_TIMEOUT_SECONDS` unset, then streams have no read timeout;
/// given `0`, error"): without it a silence of 300 s ends a stream; zero is a mistake, as here.
/// Requirement: Given `ALIAS_MAX_CHAIN_LENGTH=3` and a chain of five, then it is reported; `za` and `poe:za`
/// behave the same.
#[test]
fn limits_have_the_originals_variables_too() {
    let second = Duration::from_secs(1);
    let config = Machine::with(&[
        ("STREAMING_READ_TIMEOUT_SECONDS", "1.5"),
        ("STREAMING_CONNECT_TIMEOUT_SECONDS", "3"),
        ("ALIAS_MAX_CHAIN_LENGTH", "3"),
    ])
    .toml("[limits]\nidle-timeout = 9\nalias-chain = 9")
    .load();
    let limits = &config.settings.limits;
    assert_eq!((limits.idle_timeout, limits.connect_timeout), (Some(second * 3 / 2), 3 * second));
    assert_eq!(limits.alias_chain, 3);
}

#[test]
fn a_variable_sets_the_page_of_a_providers_models() {
    let machine = Machine::with(&[("POE_API_KEY", "k"), ("POE_MODELS_URL", "https://poe.example/all")]);
    assert_eq!(provider(&machine.load(), "poe").models_url.as_deref(), Some("https://poe.example/all"));
}

/// Requirement: Given `[mycorp]` with `api-key = "a b"` and a base URL, then provider mycorp has two keys and no
/// variable is needed.
/// Requirement: Given `OPENAI_API_KEY=" "`, then openai is not registered.
#[test]
fn a_section_alone_registers_a_provider_with_all_its_keys() {
    let toml = "[mycorp]\napi-key = 'a b'\nbase-url = 'http://c'";
    let config = Machine::with(&[("OPENAI_API_KEY", "   ")]).toml(toml).load();
    assert_eq!(names(&config), ["mycorp"]);
    let keys: Vec<_> = provider(&config, "mycorp").keys.iter().map(ApiKey::expose).collect();
    assert_eq!(keys, ["a", "b"]);
}

/// Deviates from the original ("Given local `[defaults.aliases]` with one entry, then package default aliases not
/// redefined remain"): no aliases for all are built in (bug 22); those of lower files remain.
#[test]
fn aliases_for_all_merge_name_by_name() {
    let config = Machine::with(&[("POE_API_KEY", "k")])
        .file(
            "home/.config/vandamme-proxy/vandamme-config.toml",
            "[defaults.aliases]\nOne = 'below'\ntwo = 'stays'\nhaiku = 'never'",
        )
        .toml("[defaults.aliases]\nONE = 'above'")
        .load();
    let aliases = &provider(&config, "poe").aliases;
    assert_eq!((aliases["one"].as_str(), aliases["two"].as_str()), ("above", "stays"));
    assert_eq!(aliases["haiku"], "gpt-5.4-mini", "a provider's own come first");
}

/// Requirement: Given one invalid TOML provider and one valid after it, then either startup fails naming the
/// first, or the second is registered.
#[test]
fn an_invalid_provider_does_not_hide_the_errors_of_the_next() {
    let toml =
        "[one]\napi-key = 'a !PASSTHRU'\nbase-url = 'http://one'\n[two]\napi-key = 'k'\nbase-url = 'two'";
    let mistakes = Machine::new().toml(toml).mistakes();
    assert!(mistakes.iter().any(|mistake| mistake.contains("[one] api-key")), "{mistakes:?}");
    assert!(mistakes.iter().any(|mistake| mistake.contains("[two] base-url")), "{mistakes:?}");
}

/// Requirement: `POE_ALIAS_SELF=self` is rejected with a log line; `POE_ALIAS_E=` is skipped with a warning.
/// Deviates from the original ("A local profile alias without a colon, strict on → startup fails, message
/// mentions "provider prefix"; strict off → warning"): a target without a provider is always a mistake of its
/// file; one without a key makes the profile inactive, with a warning, and ends no start: there is nothing left
/// to be strict about.
#[test]
fn settings_without_effect_cause_warnings() {
    for (name, text, told) in [
        ("ALIAS_CACHE_MAX_SIZE", "5", "no longer needed, so it has no effect: aliases are not cached"),
        (
            "VDM_STRICT_PROFILE_VALIDATION",
            "false",
            "no longer needed, so it has no effect: a profile that leads to a provider without a key is inactive and \
             never ends the start",
        ),
        ("POE_ALIAS_SELF", " Self ", "the alias names itself, so it has no effect"),
    ] {
        let machine = Machine::with(&[("POE_API_KEY", "k"), (name, text)]);
        assert_eq!(machine.warnings(), [format!("environment variable {name}: {told}")]);
        let config = machine.load();
        let aliases = &provider(&config, "poe").aliases;
        assert!(!aliases.contains_key("self") && !aliases.contains_key("e"));
    }
    for (name, text) in [
        ("LOG_SUMMARY_INTERVAL", ""),
        ("LOG_SUMMARY_INTERVAL", "100"),
        ("LOG_REQUEST_METRICS", ""),
        ("POE_MODEL_PAGE", ""),
        ("POE_MODEL_PAGE", "https://x/{id}"),
        ("ALIAS_CACHE_MAX_SIZE", ""),
        ("SHELL_ALIAS_LS", ""),
        ("POE_ALIAS_HAIKU", " "),
        ("SHELL_ALIAS_LS", "ls"),
        ("SOME_MODEL_PAGE", "x"),
    ] {
        assert!(Machine::with(&[("POE_API_KEY", "k"), (name, text)]).warnings().is_empty(), "{name}");
    }
}
