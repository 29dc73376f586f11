//! Variables that vendors' SDKs read, and keys of a provider that have no variable: one warning each, with what to set.

use super::*;

const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "k");

/// Requirement: a variable that a vendor's own SDK reads under another name is one warning with vdm's name (issue 14).
#[test]
fn a_variable_of_a_vendors_sdk_is_a_warning_with_our_name() {
    for (name, meant) in [
        ("AZURE_OPENAI_ENDPOINT", "AZURE_BASE_URL"),
        ("AZURE_OPENAI_API_VERSION", "AZURE_API_VERSION"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID"),
        ("GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL"),
        ("MOONSHOT_BASE_URL", "KIMI_BASE_URL"),
        ("OLLAMA_HOST", "OLLAMA_BASE_URL"),
        ("AGENT_ROUTER_TOKEN", "AGENTROUTER_API_KEY"),
    ] {
        let machine = Machine::with(&[OPENAI, (name, "https://canary.example")]);
        let told =
            format!("environment variable {name}: vdm does not read this variable; did you mean {meant}?");
        assert_eq!(machine.warnings(), [told]);
    }
    let url = "https://r.openai.azure.com/openai/v1";
    let machine =
        Machine::with(&[("AZURE_API_KEY", "k"), ("AZURE_BASE_URL", url), ("AZURE_OPENAI_ENDPOINT", url)]);
    assert_eq!(machine.warnings(), Vec::<String>::new(), "ours is set as well");
}

/// Requirement: the key of a vendor's own SDK is one warning, which names vdm's variable (issue 14).
#[test]
fn a_key_of_a_vendors_sdk_is_a_warning_with_our_name() {
    for (name, provider, meant) in [
        ("AZURE_OPENAI_API_KEY", "azure_openai", "AZURE_API_KEY"),
        ("GOOGLE_API_KEY", "google", "GEMINI_API_KEY"),
        ("GOOGLE_GENAI_API_KEY", "google_genai", "GEMINI_API_KEY"),
        ("MOONSHOT_API_KEY", "moonshot", "KIMI_API_KEY"),
        ("AGENT_ROUTER_API_KEY", "agent_router", "AGENTROUTER_API_KEY"),
    ] {
        let machine = Machine::with(&[OPENAI, (name, "canary")]);
        let prefix = variable_prefix(provider);
        let told = format!(
            "{provider} has a key but no base URL; to use it, set {prefix}_BASE_URL (or did you mean {meant}?)"
        );
        assert_eq!(machine.warnings(), [told]);
    }
    let machine = Machine::with(&[("GEMINI_API_KEY", "k"), ("GOOGLE_API_KEY", "k")]);
    assert_eq!(machine.warnings(), ["google has a key but no base URL; to use it, set GOOGLE_BASE_URL"]);
}

/// Requirement: a provider that the user adds under a vendor's name is used without a warning.
#[test]
fn a_complete_provider_with_a_vendors_name_is_used() {
    let machine = Machine::with(&[
        ("AZURE_OPENAI_API_KEY", "k"),
        ("AZURE_OPENAI_BASE_URL", "https://r.openai.azure.com"),
        ("AZURE_OPENAI_API_VERSION", "2024-10-21"),
    ]);
    let machine = ["HAIKU", "SONNET", "OPUS"].iter().fold(machine, |machine, alias| {
        machine.variable(&format!("AZURE_OPENAI_ALIAS_{alias}"), "my-deployment")
    });
    assert_eq!(machine.warnings(), Vec::<String>::new());
    assert_eq!(names(&machine.load()), ["azure_openai"]);
}

/// Requirement: a variable with the name of a key that has none, or nearly, is one warning with the key (issue 14).
#[test]
fn a_key_of_a_provider_without_a_variable_is_a_warning() {
    let told =
        |key: &str| format!("there is no such variable; set {key} under [openai] in a configuration file");
    let retries = format!("{}, or MAX_RETRIES for all providers", told("max-retries"));
    let timeout = format!("{}, or REQUEST_TIMEOUT for all providers", told("timeout"));
    for (name, text) in [
        ("OPENAI_MAX_RETRY", &retries),
        ("OPENAI_MAX_RETRIES", &retries),
        ("OPENAI_MAXRETRIES", &retries),
        ("OPENAI_TIMEOUT", &timeout),
        ("OPENAI_REQUEST_TIMEOUT", &timeout),
        ("OPENAI_SERVES_CLAUDE", &told("serves-claude")),
        ("OPENAI_TOOL_IDS", &told("tool-ids")),
    ] {
        let machine = Machine::with(&[OPENAI, (name, "5")]);
        assert_eq!(machine.warnings(), [format!("environment variable {name}: {text}")]);
    }
    for (name, text) in [
        ("OPENAI_MODEL", "x"),
        ("OPENAI_LOG", "debug"),
        ("POE_MAX_RETRIES", "5"),
        ("OPENAI_MAX_RETRIES", " "),
    ] {
        let warnings = Machine::with(&[OPENAI, (name, text)]).warnings();
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

/// Requirement: `OPENAI_API_VERSION`, which OpenAI's SDKs read for Azure, does not change the calls of openai.
#[test]
fn a_version_for_azure_does_not_break_openai() {
    let machine = Machine::with(&[OPENAI, ("OPENAI_API_VERSION", "2024-10-21")]);
    assert_eq!(provider(&machine.load(), "openai").azure, None);
    assert_eq!(
        machine.warnings(),
        [
            "environment variable OPENAI_API_VERSION: OpenAI's own API has no versions, so it has no effect; for Azure \
          OpenAI, set AZURE_API_VERSION"
        ]
    );
}
