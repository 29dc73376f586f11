//! The provider for model names without a prefix, and the demo provider.

use super::*;

/// Requirement: Given POE key and `VDM_DEFAULT_PROVIDER=poe`, then `gpt-x` goes to poe.
/// Requirement: Given OPENAI and POE keys and `VDM_DEFAULT_PROVIDER=openai`, then the configured default is
/// openai with source env.
/// Requirement: Given `VDM_DEFAULT_PROVIDER=POE`, then exactly one provider poe is listed and is default.
/// Requirement: Given `VDM_DEFAULT_PROVIDER=nonexist` and an OPENAI key, then openai is used. a visible WARNING
/// names both.
#[test]
fn the_default_provider_is_the_configured_one_or_openai_or_the_first() {
    let key = |name| (name, "k");
    let poe = key("POE_API_KEY");
    let zai = key("ZAI_API_KEY");
    let openai = key("OPENAI_API_KEY");
    let wants = |name| ("VDM_DEFAULT_PROVIDER", name);
    let table: [(Set<'_>, Option<&str>, usize); 9] = [
        (&[zai, openai], Some("openai"), 0),
        (&[zai, poe], Some("poe"), 0),
        (&[zai, poe, wants("ZAI")], Some("zai"), 0),
        (&[poe, openai, wants("openai")], Some("openai"), 0),
        (&[poe, openai, wants("nonexist")], Some("openai"), 1),
        (&[poe, wants("openai")], Some("poe"), 1),
        (&[poe, wants("")], Some("poe"), 0),
        (&[wants("poe")], None, 1),
        (&[poe, wants("demo"), ("VDM_DEMO", "1")], Some("demo"), 0),
    ];
    for (variables, default, warnings) in table {
        let machine = Machine::with(variables);
        assert_eq!(machine.default_provider().as_deref(), default, "{variables:?}");
        assert_eq!(machine.load().warnings.len(), warnings, "{variables:?}: {:?}", machine.load().warnings);
    }
    let machine = Machine::with(&[poe, zai]).toml("[defaults]\ndefault-provider = 'zai'");
    assert_eq!(machine.default_provider().as_deref(), Some("zai"));
}

/// Requirement: Given `VDM_DEFAULT_PROVIDER=nonexist` and an OPENAI key, then openai is used. a visible WARNING
/// names both.
#[test]
fn an_unknown_default_provider_is_reported_with_the_one_in_use() {
    let machine =
        Machine::with(&[("POE_API_KEY", "k"), ("VDM_DEFAULT_PROVIDER", "foo"), ("FOO_API_KEY", "k")]);
    let warnings = machine.warnings();
    let told = warnings.iter().find(|warning| warning.contains("VDM_DEFAULT_PROVIDER")).unwrap();
    assert!(told.contains("\"foo\" misses FOO_BASE_URL") && told.contains("\"poe\""), "{told}");
}

#[test]
fn the_demo_answers_only_if_enabled_or_if_there_is_no_provider() {
    let table: [(Set<'_>, DemoMode); 8] = [
        (&[], DemoMode::Fallback),
        (&[("HOST", "localhost")], DemoMode::Fallback),
        (&[("HOST", "::1")], DemoMode::Fallback),
        (&[("HOST", "0.0.0.0")], DemoMode::Fallback),
        (&[("OPENAI_API_KEY", "k")], DemoMode::Off),
        (&[("OPENAI_API_KEY", "k"), ("VDM_DEMO", "1")], DemoMode::Forced),
        (&[("HOST", "0.0.0.0"), ("VDM_DEMO", "yes")], DemoMode::Forced),
        (&[("VDM_DEMO", "0")], DemoMode::Off),
    ];
    for (variables, demo) in table {
        assert_eq!(Machine::with(variables).load().demo, demo, "{variables:?}");
    }
}
