//! What concerns clients: Claude's names at the default provider, origins of web pages, and OpenAI's own variables.

use super::*;

fn claude_warnings(variables: &[(&str, &str)], toml: &str) -> Vec<String> {
    let warnings = Machine::with(variables).toml(toml).warnings();
    warnings.into_iter().filter(|warning| warning.contains("Claude Code")).collect()
}

#[test]
fn a_default_provider_without_aliases_for_claudes_names_is_a_warning() {
    let mine = [("MINE_API_KEY", "k"), ("MINE_BASE_URL", "http://h/v1")];
    assert_eq!(
        claude_warnings(&mine, "[mine.aliases]\nhaiku = 'small'\nopus = 'big'"),
        [
            "provider 'mine' has no alias for sonnet, which Claude Code requests; set MINE_ALIAS_SONNET=MODEL, or serves-claude = true if it serves Claude's models"
        ]
    );
    for toml in [
        "[mine.aliases]\nhaiku = 'a'\nsonnet = 'b'\nopus = 'c'",
        "[defaults.aliases]\nhaiku = 'a'\nsonnet = 'b'\nopus = 'c'",
        "[mine]\nserves-claude = true",
        "[mine]\napi-format = 'anthropic'",
        "[defaults]\ndefault-provider = 'work'\n['#work'.aliases]\nhaiku = 'mine:a'\nsonnet = 'mine:b'\nopus = 'mine:c'",
    ] {
        assert_eq!(claude_warnings(&mine, toml), [""; 0], "{toml}");
    }
    for built_in in ["OPENAI_API_KEY", "POE_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "KIMI_API_KEY"] {
        assert_eq!(claude_warnings(&[(built_in, "k")], ""), [""; 0], "{built_in}");
    }
    assert_eq!(claude_warnings(&[], ""), [""; 0], "the demo has them");
}

#[test]
fn origins_come_from_a_file_or_a_variable() {
    let file = Machine::new().toml("cors-origins = ['https://a.example:443', 'http://localhost:3000']");
    assert_eq!(file.load().settings.cors_origins, ["https://a.example", "http://localhost:3000"]);
    let variable = Machine::with(&[("VDM_CORS_ORIGINS", " https://b.example ")]);
    assert_eq!(variable.load().settings.cors_origins, ["https://b.example"]);
    let none = Machine::with(&[("VDM_CORS_ORIGINS", "")]);
    assert_eq!(none.load().settings.cors_origins, [""; 0]);
    let mistakes = Machine::new().toml("cors-origins = ['*']").mistakes();
    assert!(mistakes[0].contains("cors-origins") && mistakes[0].contains("list each origin"), "{mistakes:?}");
}

#[test]
fn lists_with_commas_and_names_that_never_match_are_errors_in_files_and_variables() {
    for (variable, key, text) in [
        ("VDM_CORS_ORIGINS", "cors-origins", "https://a.com,https://b.com"),
        ("VDM_ALLOWED_HOSTS", "allowed-hosts", "a.example,b.example"),
        ("VDM_ALLOWED_HOSTS", "allowed-hosts", "http://a.example"),
    ] {
        for machine in [
            Machine::with(&[(variable, text)]),
            Machine::new().toml(&format!("{key} = ['{text}']")),
            Machine::new().toml(&format!("{key} = '{text}'")),
        ] {
            assert_eq!(machine.mistakes().len(), 1, "{key} {text}: {:?}", machine.mistakes());
        }
    }
    let hosts = Machine::with(&[("VDM_ALLOWED_HOSTS", "A.example b.example.")]).load().settings.allowed_hosts;
    assert_eq!(hosts, ["a.example", "b.example"]);
}

#[test]
fn openais_organization_is_a_header_of_provider_openai() {
    let headers = |variables: &[(&str, &str)], name: &str| {
        let config = Machine::with(variables).load();
        let headers = &provider(&config, name).custom_headers;
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let set =
        [("OPENAI_API_KEY", "k"), ("POE_API_KEY", "k"), ("OPENAI_ORG_ID", "org"), ("OPENAI_PROJECT_ID", "p")];
    assert_eq!(headers(&set, "openai"), ["openai-organization: org", "openai-project: p"]);
    assert_eq!(headers(&set, "poe"), [""; 0]);
    let mistakes = Machine::with(&[("OPENAI_API_KEY", "k"), ("OPENAI_ORG_ID", "o\u{7f}")]).mistakes();
    assert!(mistakes[0].starts_with("environment variable OPENAI_ORG_ID: "), "{mistakes:?}");
}
