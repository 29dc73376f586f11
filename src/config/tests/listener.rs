//! The address of the gateway: who can reach it, and base URLs that lead to it.

use super::*;

#[test]
fn a_public_listener_without_a_key_causes_a_warning() {
    assert_eq!(Machine::with(&[("HOST", "0.0.0.0")]).load().warnings.len(), 1);
    assert!(Machine::with(&[("HOST", "0.0.0.0"), ("PROXY_API_KEY", "p")]).load().warnings.is_empty());
}

#[test]
fn an_upstream_that_is_the_gateway_itself_is_replaced_by_the_lower_layers() {
    let machine = Machine::with(&[
        ("ANTHROPIC_API_KEY", KEY_OF_A_VENDOR),
        ("ANTHROPIC_BASE_URL", "http://localhost:8082"),
    ]);
    let config = machine.load();
    assert_eq!(provider(&config, "anthropic").base_url, "https://api.anthropic.com");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("ANTHROPIC_BASE_URL") && config.warnings[0].contains("own address"));

    let machine = machine.toml("[anthropic]\nbase-url = 'https://corp.example'");
    assert_eq!(provider(&machine.load(), "anthropic").base_url, "https://corp.example");

    let machine = machine.variable("PORT", "9000");
    let config = machine.load();
    assert_eq!(provider(&config, "anthropic").base_url, "http://localhost:8082");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_provider_with_only_the_gateways_own_address_is_not_usable() {
    let machine = Machine::with(&[("FOO_API_KEY", "k"), ("FOO_BASE_URL", "http://[::1]:8082/v1")]);
    let config = machine.load();
    assert!(config.settings.providers.is_empty());
    assert_eq!(config.settings.partial[0].missing, "FOO_BASE_URL");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}
