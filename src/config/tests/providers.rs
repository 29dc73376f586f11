//! Providers: which are registered, and what their sections say.

use super::*;

#[test]
fn the_built_in_providers_are_in_order_and_have_claude_codes_aliases() {
    let order = [
        "openai",
        "poe",
        "openrouter",
        "cerebras",
        "nanogpt",
        "agentrouter",
        "agentroutera",
        "zai",
        "zaio",
        "kimi",
        "deepseek",
        "longcat",
        "longcata",
        "anthropic",
        "gemini",
        "azure",
        "xai",
        "mistral",
        "groq",
        "ollama",
    ];
    let with_key =
        |machine: Machine, name: &&str| machine.variable(&format!("{}_API_KEY", name.to_uppercase()), "k");
    let azure = ("AZURE_BASE_URL", "https://r.openai.azure.com/openai/v1");
    let config = order.iter().fold(Machine::with(&[azure]), with_key).load();

    assert_eq!(names(&config), order);
    for settings in &config.settings.providers {
        let (name, aliases) = (&settings.name, &settings.aliases);
        assert!(aliases.get("fable") == aliases.get("opus") || &**name == "anthropic", "{name}");
        assert_eq!(settings.serves_claude, ["anthropic", "agentroutera"].contains(&&**name), "{name}");
        assert!(aliases.contains_key("haiku"), "{name}");
    }
    let of = |api| config.settings.providers.iter().filter(move |p| p.api == api).map(|p| p.name.to_string());
    assert_eq!(of(Api::Messages).collect::<Vec<_>>(), ["agentroutera", "zai", "longcata", "anthropic"]);
}

/// Requirement: without `api-format` the Responses API is used at the hosts of OpenAI, Azure and xAI only; with it the provider has
/// one API.
#[test]
fn the_responses_api_depends_on_the_host_and_on_the_format() {
    use ResponsesSupport::{Excluded, Known, Unknown};
    let azure = "[azure]\napi-key = 'k'\nbase-url = 'https://r.openai.azure.com";
    for (toml, name, responses) in [
        ("[openai]\napi-key = 'k'", "openai", Known),
        ("[xai]\napi-key = 'k'", "xai", Known),
        (&format!("{azure}/openai/v1'"), "azure", Known),
        (&format!("{azure}'\napi-version = '2025-04-01-preview'"), "azure", Known),
        (&format!("{azure}'\napi-version = '2024-10-21'"), "azure", Unknown),
        (
            "[azure]\napi-key = 'k'\nbase-url = 'http://gateway.lan/openai/v1'\napi-version = 'preview'",
            "azure",
            Unknown,
        ),
        ("[mine]\napi-key = 'k'\nbase-url = 'https://api.openai.com/v1'", "mine", Known),
        ("[openai]\napi-key = 'k'\nbase-url = 'https://llm.example/v1'", "openai", Unknown),
        ("[groq]\napi-key = 'k'", "groq", Unknown),
        ("[openai]\napi-key = 'k'\napi-format = 'openai'", "openai", Excluded),
        ("[openai]\napi-key = 'k'\napi-format = 'Responses'", "openai", Excluded),
        ("[zai]\napi-key = 'k'", "zai", Excluded),
    ] {
        let config = Machine::new().toml(toml).load();
        assert_eq!(provider(&config, name).responses, responses, "{toml}");
    }
    let formats =
        Machine::with(&[("X_API_KEY", "k"), ("X_BASE_URL", "http://x"), ("X_API_FORMAT", "RESPONSES")]);
    let formats = formats.load();
    let x = provider(&formats, "x");
    assert_eq!((x.api, x.apis()), (Api::Responses, vec![Api::Responses]));
    for client in [Api::Messages, Api::ChatCompletions, Api::Responses] {
        assert_eq!(x.api_for(client, "gpt-4o"), Api::Responses);
    }
}

#[test]
fn a_provider_uses_its_clients_keys_by_the_word_or_by_its_mode() {
    for (variables, toml) in [
        (&[("POE_API_KEY", " !passthru ")][..], ""),
        (&[("POE_AUTH_MODE", "Passthrough")][..], ""),
        (&[][..], "[poe]\nauth-mode = 'passthrough'"),
        (&[("POE_API_KEY", "!PASSTHRU")][..], "[poe]\nauth-mode = 'passthrough'"),
    ] {
        let config = Machine::with(variables).toml(toml).load();
        let poe = provider(&config, "poe");
        assert!(poe.passthrough && poe.keys.is_empty(), "{variables:?} {toml}");
    }
}

/// Requirement: With limits set: below minimum raised, above maximum lowered; unset limits do not clamp.
#[test]
fn the_section_of_a_provider_sets_its_dialect() {
    let toml = "[x]\napi-key = 'k'\nbase-url = 'http://x'\nreasoning-models = ['a*', 'b']\nreasoning-parameter = 'thinking'
        reasoning-replay = 'none'\nthink-tags = true\ncache-control = true\ntop-k = true\nuser-fields = 'user'\nprompt-cache = true
        web-search = ' {\"a\": {}} '\ntool-name-sanitization = true\n[openrouter]\napi-key = 'k'\n[zai]\napi-key = 'k'";
    let config = Machine::with(&[("MIN_TOKENS_LIMIT", "16"), ("MAX_TOKENS_LIMIT", "4096")]).toml(toml).load();
    let dialect = Dialect {
        reasoning: ReasoningParameter::Switch,
        reasoning_models: ReasoningModels::Listed(vec!["a*".to_owned(), "b".to_owned()]),
        replay: Replay::Nothing,
        think_tags: true,
        system_anywhere: false,
        cache_control: true,
        top_k: true,
        plain_tool_names: true,
        user_fields: vec!["user".to_owned()],
        prompt_cache: true,
        web_search: Some(HostedSearch::Members("\"a\": {}".to_owned())),
        extras: true,
        min_tokens: Some(16),
        max_tokens: Some(4096),
    };
    assert_eq!(provider(&config, "x").dialect, dialect);
    let openrouter = &provider(&config, "openrouter").dialect;
    assert_eq!((openrouter.reasoning, openrouter.replay), (ReasoningParameter::Nested, Replay::Details));
    assert!(!openrouter.prompt_cache);
    assert_eq!(openrouter.web_search, Some(HostedSearch::OpenRouter));
    let own = |toml: &str| {
        let config = Machine::with(&[("OPENAI_API_KEY", "k")]).toml(toml).load();
        provider(&config, "openai").dialect.prompt_cache
    };
    assert!(own(""));
    assert!(!own("[openai]\nprompt-cache = false") && !own("[openai]\nbase-url = 'http://localhost:1/v1'"));
    let unsaid = Machine::new().toml("[zai]\napi-key = 'k'").load();
    assert_eq!(provider(&unsaid, "zai").dialect, Dialect::default());
}

/// Requirement: Given `FOO_API_KEY=k` only, then foo is partial, shown with "Missing FOO_BASE_URL", and requests
/// to it fail as unknown.
/// Requirement: Given `AZURE_OPENAI_API_KEY` and base URL, then the provider name is `azure_openai`.
/// Requirement: Given `X_API_FORMAT=Anthropic`, same as 27; given `soap`, startup error.
/// Requirement: Given `PROXY_API_KEY=p`, then no provider named proxy is listed.
/// Requirement: Given `CUSTOM_API_KEY` and `CUSTOM_BASE_URL`, then provider custom is registered.
/// Requirement: Given `POE_CUSTOM_HEADER_X_API_KEY=v`, then no provider `poe_custom_header_x` is listed.
#[test]
fn a_provider_by_variables_alone_needs_a_base_url() {
    let machine = Machine::with(&[
        ("AZURE_OPENAI_API_KEY", "k"),
        ("AZURE_OPENAI_BASE_URL", "http://h/v1/"),
        ("X_API_KEY", "k"),
        ("X_BASE_URL", "http://x"),
        ("X_API_FORMAT", "Anthropic"),
        ("CUSTOM_API_KEY", "k"),
        ("CUSTOM_BASE_URL", "http://c"),
        ("PROXY_API_KEY", "p"),
        ("POE_CUSTOM_HEADER_X_API_KEY", "v"),
        ("FOO_API_KEY", "k"),
        ("BLANK_API_KEY", "   "),
    ]);
    let config = machine.load();

    assert_eq!(names(&config), ["azure_openai", "custom", "x"]);
    assert_eq!(provider(&config, "azure_openai").base_url, "http://h/v1");
    assert_eq!(provider(&config, "x").api, Api::Messages);
    assert_eq!(config.proxy_api_key.unwrap().expose(), "p");
    let missing: Vec<_> =
        config.settings.partial.iter().map(|p| (p.name.as_str(), p.missing.as_str())).collect();
    assert_eq!(missing, [("foo", "FOO_BASE_URL")]);
    assert_eq!(config.warnings[0], "foo has a key but no base URL; to use it, set FOO_BASE_URL");
}

#[test]
fn variables_of_a_name_with_a_dash_have_an_underscore() {
    let machine = Machine::with(&[("MY_CORP_API_KEY", "k")]).toml("[my-corp]\nbase-url = 'http://c'");
    assert_eq!(names(&machine.load()), ["my-corp"]);
}

/// Requirement: Keys `bad bad` → an error within a second and `/health` keeps answering.
#[test]
fn keys_are_separated_by_blanks_and_duplicates_count_once() {
    let machine = Machine::with(&[("POE_API_KEY", " a  b\ta ")]);
    let config = machine.load();

    let keys: Vec<_> = provider(&config, "poe").keys.iter().map(ApiKey::expose).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("POE_API_KEY"), "{:?}", config.warnings);
}

/// Requirement: Given `HD_CUSTOM_HEADER_X_USER_ID=u1`, then upstream requests of hd carry `X-USER-ID: u1` and
/// those of other providers do not.
#[test]
fn custom_headers_are_sent_to_their_provider_only() {
    let machine = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("ZAI_API_KEY", "k"),
        ("POE_CUSTOM_HEADER_X_USER_ID", "u1"),
        ("POE_CUSTOM_HEADER_", "ignored"),
    ])
    .toml("[poe.custom-headers]\nX-User-Id = 'under'\nx-team = 't'");
    let config = machine.load();

    let headers = &provider(&config, "poe").custom_headers;
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("x-team", "t"), ("x-user-id", "u1")]);
    assert!(provider(&config, "zai").custom_headers.is_empty());
}

/// Requirement: Given `CUSTOM_HEADER_X_GLOBAL=g`, then every provider's requests carry `X-GLOBAL: g`; a
/// provider-specific header of that name overrides it.
#[test]
fn a_header_for_all_is_sent_to_providers_without_one_of_its_name() {
    let machine = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("ZAI_API_KEY", "k"),
        ("CUSTOM_HEADER_X_TEAM", "all"),
        ("CUSTOM_HEADER_", "ignored"),
    ])
    .toml("[poe.custom-headers]\nX-Team = 'own'");
    let config = machine.load();

    for (name, value) in [("poe", "own"), ("zai", "all")] {
        let headers = &provider(&config, name).custom_headers;
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("x-team", value)], "{name}");
    }
}

#[test]
fn all_middleware_applies_unless_a_section_names_it() {
    let applies = |toml: &str, model: &str| {
        let config = Machine::with(&[("POE_API_KEY", "k")]).toml(toml).load();
        provider(&config, "poe").middleware.for_model(model).is_some()
    };
    let (named, none) = ("[poe]\nmiddleware = ['gemini']", "[poe]\nmiddleware = []");
    for (toml, model, expected) in [
        ("", "Gemini-3-flash", true),
        ("", "gpt-5", false),
        (named, "gpt-5", true),
        (none, "gemini-3-flash", false),
    ] {
        assert_eq!(applies(toml, model), expected, "{toml} {model}");
    }
    let mistakes = Machine::with(&[("POE_API_KEY", "k")]).toml("[poe]\nmiddleware = ['x']").mistakes();
    assert_eq!(
        mistakes,
        ["work/vandamme-config.toml:2:14: [poe] middleware: expected \"gemini\", found \"x\""]
    );
}
