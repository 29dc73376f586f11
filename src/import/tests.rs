//! Tests of the import.

use std::collections::BTreeMap;

use super::*;

fn env(name: &str) -> Option<String> {
    (name == "HOST_NAME").then(|| "llm.example".to_owned())
}

fn import(text: &str) -> Imported {
    from_ccr(text, &env).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

/// One provider `one`, with these members besides its name and key.
fn provider(members: &str) -> String {
    format!(r#"{{"Providers": [{{"name": "one", "api_key": "sk-one-0123456789", {members}}}]}}"#)
}

fn errors(text: &str) -> Vec<String> {
    from_ccr(text, &env).map(|imported| imported.toml).unwrap_err().iter().map(ToString::to_string).collect()
}

fn outcome(imported: &Imported, setting: &str) -> (Outcome, String) {
    let found = imported.report.iter().find(|line| line.setting == setting);
    let line = found.unwrap_or_else(|| panic!("{setting} is not reported: {:?}", imported.report));
    (line.outcome, line.note.clone())
}

/// The variables as `.env` has them.
fn variables(imported: &Imported) -> BTreeMap<&str, &str> {
    let text = |value: &'_ Secret| match value {
        Secret::Key(text) | Secret::Reference(text) => text.expose().to_owned(),
    };
    let all = imported.variables.iter().map(|variable| (variable.name.as_str(), text(&variable.value)));
    all.map(|(name, text)| (name, &*text.leak())).collect()
}

const CHAT: &str = r#""api_base_url": "https://llm.example/v1/chat/completions", "models": ["m-1"]"#;

/// Requirement: a provider becomes a section, its key a variable, and no key is in the file or the report.
#[test]
fn a_provider_becomes_a_section_and_its_key_a_variable() {
    let imported = import(&provider(CHAT));
    assert!(imported.toml.ends_with("\n[one]\nbase-url = \"https://llm.example/v1\"\n"), "{}", imported.toml);
    assert_eq!(variables(&imported), BTreeMap::from([("ONE_API_KEY", "sk-one-0123456789")]));
    assert!(!format!("{imported:?}").contains("sk-one"));
}

/// Requirement: a provider that vdm knows keeps its built-in options, whatever it is called.
#[test]
fn a_known_provider_has_its_built_in_options() {
    let known = import(
        r#"{"Providers": [
            {"name": "deepseek", "api_base_url": "https://api.deepseek.com/chat/completions", "api_key": "k-0123456789"},
            {"name": "zai", "api_base_url": "https://api.z.ai/api/paas/v4/chat/completions", "api_key": "k-0123456789"},
            {"name": "router", "api_base_url": "https://openrouter.ai/api/v1/chat/completions", "api_key": "k-0123456789"}]}"#,
    );
    assert!(!known.toml.contains("[deepseek]"), "{}", known.toml);
    let section = "[zai]\nbase-url = \"https://api.z.ai/api/paas/v4\"\napi-format = \"openai\"\n";
    assert!(known.toml.contains(section), "{}", known.toml);
    let router = &known.toml[known.toml.find("[router]").unwrap()..];
    assert!(
        router.contains("reasoning-parameter = \"reasoning\"") && !router.contains("aliases"),
        "{router}"
    );
}

/// Requirement: names that vdm cannot have are changed, and routes follow the change.
#[test]
fn a_name_that_vdm_cannot_have_is_changed() {
    let text = format!(
        r#"{{"Providers": [{{"name": "My.Provider", "api_key": "k-0123456789", {CHAT}}}, {{"name": "defaults", "api_key": "k-0123456789", {CHAT}}}],
            "Router": {{"default": "my.provider,M-1"}}}}"#
    );
    let imported = import(&text);
    assert!(imported.toml.contains("[my-provider]") && imported.toml.contains("[defaults-provider]"));
    assert!(imported.toml.contains("sonnet = \"!my-provider:m-1\""), "{}", imported.toml);
    assert!(variables(&imported).contains_key("MY_PROVIDER_API_KEY"));
}

/// Requirement: a reference to a variable stays one, so that the key is not copied; elsewhere its value is taken.
#[test]
fn references_to_variables_are_understood() {
    let text = r#"{"Providers": [
        {"name": "one", "api_base_url": "https://$HOST_NAME/v1/chat/completions", "api_key": "$ONE_API_KEY"},
        {"name": "two", "api_base_url": "https://x/v1/chat/completions", "api_key": "${OTHER_KEY}"}],
        "APIKEY": "$FRONT"}"#;
    let imported = import(text);
    assert!(imported.toml.contains("base-url = \"https://llm.example/v1\""), "{}", imported.toml);
    let expected = BTreeMap::from([("TWO_API_KEY", "${OTHER_KEY}"), ("PROXY_API_KEY", "${FRONT}")]);
    assert_eq!(variables(&imported), expected);
    let unset = text.replace("HOST_NAME", "NO_SUCH");
    assert_eq!(errors(&unset), ["2: Providers[0].api_base_url: the environment variable NO_SUCH is not set"]);
}

/// Requirement: transformers with an equivalent become settings, for one model or all; the others are reported.
#[test]
fn transformers_become_settings_or_are_reported() {
    let all = provider(&format!(
        r#"{CHAT}, "transformer": {{
            "use": ["deepseek", ["maxtoken", {{"max_tokens": 8192}}], "enhancetool", "extrathinktag", "my-plugin"],
            "m-1": {{"use": ["tooluse", ["sampling", {{"temperature": 0.5, "top_k": 20, "max_tokens": 100}}]]}},
            "m-2": {{"use": [["maxtoken", {{"max_tokens": 16}}], "maxcompletiontokens"]}}}}"#
    ));
    let imported = import(&all);
    let section = "think-tags = true\nset-params = [\"temperature=0.5@m-1\", \"top_k=20@m-1\"]\n\
        limit-params = [\"max_tokens<=8192\", \"max_tokens<=100@m-1\", \"max_tokens<=16@m-2\"]\n";
    assert!(imported.toml.contains(section), "{}", imported.toml);
    let path = "Providers[0].transformer";
    for (setting, expected) in [
        (".use deepseek", Outcome::NotNeeded),
        (".use maxtoken", Outcome::Taken),
        (".use enhancetool", Outcome::NotTaken),
        (".use my-plugin", Outcome::NotTaken),
        (".\"m-1\".use tooluse", Outcome::NotTaken),
        (".\"m-2\".use maxcompletiontokens", Outcome::NotTaken),
    ] {
        assert_eq!(outcome(&imported, &format!("{path}{setting}")).0, expected, "{setting}");
    }
}

/// Requirement: the API is that of the endpoint; `Anthropic` passes requests on unchanged.
#[test]
fn the_api_follows_from_the_endpoint() {
    for (url, transformer, format) in [
        ("https://x/anthropic/v1/messages", r#"{"use": ["Anthropic"]}"#, Some("anthropic")),
        ("https://x/anthropic/v1/messages", "{}", Some("anthropic")),
        ("https://x/anthropic", r#"{"use": ["anthropic"]}"#, Some("anthropic")),
        ("https://x/v1/chat/completions", r#"{"use": ["openai"]}"#, None),
    ] {
        let imported =
            import(&provider(&format!(r#""api_base_url": "{url}", "transformer": {transformer}"#)));
        let written = format.map(|format| format!("api-format = \"{format}\""));
        assert_eq!(imported.toml.contains("api-format"), written.is_some(), "{url}");
        assert!(imported.toml.contains(&written.unwrap_or_default()), "{url}: {}", imported.toml);
    }
}

/// Requirement: OpenRouter's options become headers and parameters.
#[test]
fn options_of_openrouter_are_kept() {
    let text = r#"{"Providers": [{"name": "openrouter", "api_base_url": "https://openrouter.ai/api/v1/chat/completions",
        "api_key": "k-0123456789", "transformer": {"use": [["openrouter", {"referer": "https://x", "title": "t", "providerOrder": ["a", "b"]}], "cleancache"],
        "m/k2": {"use": [["openrouter", {"provider": {"only": ["m/fp8"]}}]]}}}]}"#;
    let imported = import(text);
    for line in [
        "HTTP-Referer = \"https://x\"",
        "X-Title = \"t\"",
        r#"'provider.order=["a","b"]'"#,
        r#"'provider={"only":["m/fp8"]}@m/k2'"#,
        "cache-control = false",
    ] {
        assert!(imported.toml.contains(line), "{line}: {}", imported.toml);
    }
}

/// Requirement: the settings of the gateway are taken; `HOST` only where it had an effect.
#[test]
fn settings_of_the_gateway_are_taken() {
    let rest = r#""HOST": "0.0.0.0", "PORT": "3456", "API_TIMEOUT_MS": 1500, "LOG_LEVEL": "trace", "LOG": false,
        "PROXY_URL": "http://me:secret@proxy:1", "CUSTOM_ROUTER_PATH": "x.js", "Own": 1, "StatusLine": {}"#;
    let base = provider(CHAT);
    let base = base.trim_end_matches('}');
    let imported = import(&format!("{base}, {rest}, \"APIKEY\": \"front-key-0123\"}}"));
    assert!(imported.toml.contains("host = \"0.0.0.0\"\nport = 3456\nlog-level = \"DEBUG\"\n"));
    assert!(imported.toml.contains("[defaults]\ntimeout = 1.5\n"), "{}", imported.toml);
    let variables = variables(&imported);
    assert_eq!(variables["PROXY_API_KEY"], "front-key-0123");
    assert_eq!(variables["ALL_PROXY"], "http://me:secret@proxy:1");
    assert!(!format!("{:?}", imported.report).contains("secret"));
    for name in ["CUSTOM_ROUTER_PATH", "Own"] {
        assert_eq!(outcome(&imported, name).0, Outcome::NotTaken, "{name}");
    }
    let open = import(&format!("{base}, {rest}}}"));
    assert_eq!((outcome(&open, "HOST").0, open.toml.contains("host =")), (Outcome::NotTaken, false));
}

/// Requirement: a mistake is one line that says where it is and what to do; all are reported at once.
#[test]
fn mistakes_are_reported_with_their_places() {
    for (text, expected) in [
        ("", "1: column 1: this is not JSON: expected a value"),
        ("[]", "1: the file: expected an object, { … }, found a list"),
        ("{}", "1: Providers: it is missing; is this the file of claude-code-router?"),
        ("{Providers: 1}", "1: Providers: expected a list of providers, found a number"),
        ("{Providers: []}", "1: Providers: the list is empty; add a provider"),
        ("{Providers: [1]}", "1: Providers[0]: expected an object, found a number"),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
    assert_eq!(
        errors("{\nProviders: [{\napi_base_url: 1}]}"),
        [
            "2: Providers[0].name: it is missing; every provider needs it",
            "3: Providers[0].api_base_url: expected text in quotes, found a number",
        ]
    );
    let twice = format!("{{Providers: [{{name: 'A.b', {CHAT}}},\n{{name: 'a-B', {CHAT}}}]}}");
    assert_eq!(
        errors(&twice),
        ["2: Providers[1].name: \"a-B\" and \"A.b\" (line 1) would be the same provider; rename one of them"]
    );
    let base = provider(CHAT);
    let with = |rest: &str| errors(&format!("{}, {rest}}}", base.trim_end_matches('}')));
    assert_eq!(with("PORT: 0"), ["1: PORT: expected a number from 1 to 65535"]);
    let router = with("Router: {\ndefault: 'two,m', background: 'm',\nthink: 7, longContextThreshold: 'x'}");
    assert_eq!(router.len(), 4, "{router:?}");
    assert_eq!(router[0], "2: Router.default: Providers has no \"two\"; add it there, or correct the name");
    assert_eq!(router[1], "2: Router.background: expected \"provider,model\", found \"m\"");
}

/// Requirement: an invalid key is not written, and the report does not repeat it.
#[test]
fn an_invalid_key_is_not_written() {
    let text = provider(CHAT).replace("sk-one-0123456789", "sk-canary,sk-canary");
    let imported = import(&text);
    assert_eq!(outcome(&imported, "Providers[0].api_key").0, Outcome::NotTaken);
    assert!(imported.variables.is_empty() && !format!("{imported:?}").contains("canary"));
    let none = import(&provider(CHAT).replace("sk-one-0123456789", ""));
    assert!(outcome(&none, "Providers[0].api_key").1.contains("set ONE_API_KEY"));
    let local = provider(r#""api_base_url": "http://127.0.0.1:1/v1/chat/completions""#);
    let local = import(&local.replace("sk-one-0123456789", ""));
    assert!(local.toml.contains("api-key-optional = true"), "{}", local.toml);
}

/// Requirement: a provider that vdm cannot call is left out, with the routes that lead to it.
#[test]
fn a_provider_that_cannot_be_called_is_left_out() {
    let text = r#"{"Providers": [{"name": "v", "api_base_url": "https://europe-aiplatform.googleapis.com/v1", "api_key": "k-0123456789"}],
        "Router": {"default": "v,gemini"}}"#;
    let imported = import(text);
    assert!(outcome(&imported, "Providers[0].api_base_url").1.contains("Vertex"));
    assert_eq!(outcome(&imported, "Router.default").0, Outcome::NotTaken);
    assert!(imported.variables.is_empty() && !imported.toml.contains("[v]"), "{}", imported.toml);
}
