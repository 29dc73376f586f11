//! What people paste or misspell: each slip is one line at the start that says what to write instead.

use super::*;

const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "k");

/// The only warning.
fn warning(machine: &Machine) -> String {
    let warnings = machine.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:#?}") };
    warning.clone()
}

#[test]
fn a_key_with_a_pasting_mistake_is_an_error_in_every_source_and_its_text_is_not_repeated() {
    for (text, advice) in [
        ("'canary'", "without quotes"),
        ("\"canary\"", "without quotes"),
        ("canary,canary2", "a blank between two"),
        ("canary, canary2", "a blank between two"),
        ("Bearer canary", "write the key alone"),
        ("!CANARY", "!PASSTHRU"),
        ("!PASSTHROUGH", "!PASSTHRU"),
        ("OPENAI_API_KEY=canary", "write the key alone"),
        ("${CANARY}", "write the key itself"),
        ("<canary>", "placeholder"),
    ] {
        let toml = format!("[openai]\napi-key = '''{text}'''");
        let machines = [
            (Machine::with(&[("OPENAI_API_KEY", text)]), "environment variable OPENAI_API_KEY: "),
            (
                Machine::with(&[("LAB_API_KEY", text), ("LAB_BASE_URL", "http://lab")]),
                "environment variable LAB_API_KEY: ",
            ),
            (Machine::new().toml(&toml), "work/vandamme-config.toml:2:11: [openai] api-key: "),
            (Machine::with(&[("OPENAI_API_KEY_FILE", "keys")]).file("work/keys", text), "keys: "),
            (Machine::with(&[OPENAI, ("PROXY_API_KEY", text)]), "environment variable PROXY_API_KEY: "),
        ];
        for (machine, place) in machines {
            let errors = machine.mistakes();
            let [error] = &errors[..] else { panic!("{text} {place}: {errors:?}") };
            assert!(error.starts_with(place) && error.contains(advice), "{text}: {error}");
            assert!(!error.to_lowercase().contains("canary"), "{error}");
        }
    }
    let own = Machine::with(&[OPENAI, ("PROXY_API_KEY_FILE", "own")]).file("work/own", "\"canary\"\n");
    assert!(own.mistakes()[0].starts_with("own: the quotes are part of the key"), "{:?}", own.mistakes());
    let own = Machine::with(&[OPENAI, ("PROXY_API_KEY", "!PASSTHRU")]);
    assert!(own.mistakes()[0].contains("a key of its own"), "{:?}", own.mistakes());
    let toml = "[openai]\napi-key = 'k'\nbase-url = 'http://x'\n[other]\napi-key = 'k,l'";
    assert!(Machine::new().toml(toml).load().settings.partial.len() == 1, "one without a URL is not checked");
}

#[test]
fn variables_of_other_programs_never_stop_a_gateway_with_a_provider() {
    let told = "environment variable JIRA_API_KEY: the key contains a comma or semicolon; write one key alone, or several \
                keys with a blank between two; until then jira is not a provider";
    let jira = |machine: Machine, key: &str, url: &str| {
        machine.variable("JIRA_API_KEY", key).variable("JIRA_BASE_URL", url)
    };
    let machine = jira(Machine::with(&[OPENAI]), "user,pass", "https://jira.example");
    assert_eq!(warning(&machine), told);
    assert_eq!(names(&machine.load()), ["openai"]);
    for (key, url) in
        [("k", "jira.example"), ("k", "https://jira.example/?x=1"), ("k", "'https://jira.example'")]
    {
        let machine = jira(Machine::with(&[OPENAI]), key, url);
        assert!(warning(&machine).starts_with("environment variable JIRA_BASE_URL: "), "{url}");
    }
    let format =
        jira(Machine::with(&[OPENAI]), "k", "https://jira.example").variable("JIRA_API_FORMAT", "json");
    assert!(warning(&format).starts_with("environment variable JIRA_API_FORMAT: "));
    // What only a provider of vdm can be stays an error.
    for machine in [
        Machine::new(),
        Machine::with(&[OPENAI, ("VDM_DEFAULT_PROVIDER", "jira")]),
        Machine::with(&[OPENAI, ("JIRA_ALIAS_HAIKU", "m")]),
        Machine::with(&[OPENAI, ("JIRA_API_FORMAT", "anthropic")]),
        Machine::with(&[OPENAI, ("OPENAI_ALIAS_X", "jira:m")]),
        Machine::with(&[OPENAI]).toml("[jira]\ntimeout = 5"),
        Machine::with(&[OPENAI]).toml("[openai]\nfallbacks = ['jira:m']"),
    ] {
        assert_eq!(jira(machine, "user,pass", "https://jira.example").mistakes().len(), 1);
    }
}

#[test]
fn a_placeholder_of_an_example_is_a_warning() {
    let machine = Machine::with(&[("OPENAI_API_KEY", "sk-your-openai-key")]);
    assert_eq!(
        warning(&machine),
        "environment variable OPENAI_API_KEY: the value looks like the placeholder of an example; replace it by your key"
    );
}

#[test]
fn a_variable_with_a_name_near_one_that_is_read_is_a_warning() {
    for (name, meant) in [
        ("OPENAI_APIKEY", "OPENAI_API_KEY"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEY"),
        ("OPENAI_KEY", "OPENAI_API_KEY"),
        ("GEMINI_BASEURL", "GEMINI_BASE_URL"),
        ("AZURE_ENDPOINT", "AZURE_BASE_URL"),
        ("OPENAI_ALIASES_HAIKU", "OPENAI_ALIAS_HAIKU"),
        ("OPENAI_ALIS_HAIKU", "OPENAI_ALIAS_HAIKU"),
        ("OPENAI_CUSTOM_HEADERS_X", "OPENAI_CUSTOM_HEADER_X"),
        ("VDM_DEFAULT_PROVIDR", "VDM_DEFAULT_PROVIDER"),
        ("VDM_DEFAULTPROVIDER", "VDM_DEFAULT_PROVIDER"),
        ("PROXY_APIKEY", "PROXY_API_KEY"),
        ("LOG_LEVELS", "LOG_LEVEL"),
        ("REQUEST_TIMOUT", "REQUEST_TIMEOUT"),
    ] {
        let machine = Machine::with(&[("POE_API_KEY", "k"), (name, "x")]);
        let told =
            format!("environment variable {name}: vdm does not read this variable; did you mean {meant}?");
        assert_eq!(warning(&machine), told);
        let machine = Machine::with(&[("POE_API_KEY", "k")]).file("work/.env", &format!("{name}=x"));
        assert_eq!(warning(&machine), told.replace("environment variable ", "work/.env:1: "));
        assert!(Machine::with(&[("POE_API_KEY", "k"), (name, " ")]).warnings().is_empty(), "{name} is empty");
    }
    let machine = Machine::with(&[OPENAI, ("VDM_COLOUR", "x")]);
    assert!(warning(&machine).contains("VDM_COLOUR: there is no such variable"), "{}", warning(&machine));
    for (name, text) in [
        ("OPENAI_ORG_ID", "o"),
        ("ANTHROPIC_AUTH_TOKEN", "any"),
        ("ANTHROPIC_MODEL", "opus"),
        ("OPENAI_API_TYPE", "x"),
        ("OPENAI_APIKEY", ""),
        ("OPENAI_API_VERSION", ""),
        ("GITHUB_TOKEN", "x"),
        ("PATH", "/bin"),
        ("VDM_WRAP_URL", "http://localhost:1"),
        ("VDM_WRAP_KEY", "any"),
        ("OPENAI_KEY", "set as well as the one that is read"),
    ] {
        assert!(Machine::with(&[OPENAI, (name, text)]).warnings().is_empty(), "{name}");
    }
}

#[test]
fn a_misspelt_provider_and_a_base_url_without_a_key_are_warnings() {
    for (variables, told) in [
        (
            &[("OPENIA_API_KEY", "k")][..],
            "openia has a key but no base URL; to use it, set OPENIA_BASE_URL (or did you mean OPENAI_API_KEY?)",
        ),
        (
            &[("OPENAI_BASE_URL", "http://lab:1/v1")],
            "environment variable OPENAI_BASE_URL: openai has no key, so its base URL has no effect; set OPENAI_API_KEY, \
             to any word if the server needs no key",
        ),
        (
            &[("OPENIA_BASE_URL", "http://lab:1/v1")],
            "environment variable OPENIA_BASE_URL: openia has no key, so its base URL has no effect; set \
             OPENIA_API_KEY, to any word if the server needs no key (or did you mean OPENAI_BASE_URL?)",
        ),
    ] {
        assert_eq!(warning(&Machine::with(variables)), told);
    }
    for variables in [
        &[("OLLAMA_BASE_URL", "http://lab:1")][..],
        &[("GITHUB_BASE_URL", "not a url")],
        &[("APP_BASE_URL", "http://lab:1")],
        &[("NEXT_PUBLIC_BASE_URL", "https://app.example")],
        &[("ACTIONS_BASE_URL", "https://actions.example")],
        &[("ANTHROPIC_BASE_URL", "http://localhost:8082")],
        &[("VDM_WRAP_URL", "http://127.0.0.1:40001"), ("OPENAI_BASE_URL", "http://127.0.0.1:40001/v1")],
    ] {
        assert!(Machine::with(variables).warnings().is_empty(), "{variables:?}");
    }
    let toml = "[mycorp]\nbase-url = 'http://c'";
    assert_eq!(
        warning(&Machine::with(&[OPENAI]).toml(toml)),
        "work/vandamme-config.toml:2:12: [mycorp] base-url: mycorp has no key, so its base URL has no effect; set \
         MYCORP_API_KEY, to any word if the server needs no key"
    );
    let known = Machine::with(&[("MYCORP_BASE_URL", "http://lab:1")]).toml("[mycorp]\ntimeout = 5");
    assert!(warning(&known).contains("set MYCORP_API_KEY"), "a file names it");
    let repeated = Machine::with(&[OPENAI]).toml("[poe]\nbase-url = 'https://api.poe.com/v1/'");
    assert!(repeated.warnings().is_empty(), "the built-in URL");
}

#[test]
fn certificates_that_cannot_be_read_are_a_warning() {
    let file = |text: &str| Machine::with(&[OPENAI, ("SSL_CERT_FILE", text)]).file("work/empty.pem", "x");
    assert!(warning(&file("/absent/ca.pem")).contains("SSL_CERT_FILE: cannot read /absent/ca.pem: "));
    assert!(warning(&file("empty.pem")).contains("contains no certificate in PEM form"));
    assert!(file("").warnings().is_empty(), "an empty variable is not set");
    let machine = file("ca.pem").file("work/ca.pem", "x\n-----BEGIN CERTIFICATE-----\n");
    assert!(machine.warnings().is_empty(), "{:?}", machine.warnings());
    let machine = Machine::with(&[OPENAI, ("SSL_CERT_DIR", "/absent")]);
    assert!(warning(&machine).contains("/absent is not a directory"));
    assert!(Machine::with(&[OPENAI, ("SSL_CERT_DIR", "")]).warnings().is_empty());
    let machine = Machine::with(&[OPENAI]).file("work/.env", "SSL_CERT_FILE=x");
    assert!(warning(&machine).contains("work/.env:1: SSL_CERT_FILE: has no effect in .env"));
}

#[test]
fn a_reference_to_an_unset_variable_in_dotenv_is_a_warning_without_its_text() {
    let machine =
        Machine::new().file("work/.env", "\n# $c\nOPENAI_API_KEY=sk-$canary9\nB='$x'\nC=${OPENAI_API_KEY}");
    let told = warning(&machine);
    assert!(
        told.starts_with("work/.env:3: OPENAI_API_KEY: the value refers to a variable that is not set"),
        "{told}"
    );
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let stock = Machine::with(&[OPENAI]).load();
    let empty = |machine: Machine, name: &str| machine.variable(name, "");
    let names = schema::variables().map(|variable| variable.name);
    let others = [
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "OPENAI_BASE_URL",
        "OPENAI_API_FORMAT",
        "OPENAI_API_KEY_FILE",
    ];
    let machine = names.chain(others).fold(Machine::with(&[OPENAI]), empty);
    let config = machine.load();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.settings.limits, stock.settings.limits);
    assert_eq!((config.host, config.port, config.log), (stock.host, stock.port, stock.log));
    let machine =
        Machine::with(&[OPENAI]).file("work/.env", "PORT=\nLOG_LEVEL=''\n").variable("MAX_RETRIES", " \t");
    assert!(machine.warnings().is_empty() && machine.load().port == 8082);
}

#[test]
fn a_complete_provider_may_have_a_name_near_a_section() {
    for name in ["limit", "limited", "litmus", "default", "defaults-lab"] {
        let section = format!("[{name}]\napi-key = 'k'\nbase-url = 'http://x'");
        assert_eq!(names(&Machine::new().toml(&section).load()), [name]);
        let prefix = variable_prefix(name);
        let variables = |toml: &str| {
            let machine = Machine::with(&[]).variable(&format!("{prefix}_API_KEY"), "k");
            machine.variable(&format!("{prefix}_BASE_URL"), "http://x").toml(toml)
        };
        assert_eq!(names(&variables(&format!("[{name}]\ntimeout = 5")).load()), [name]);
        assert_eq!(names(&variables("").load()).len(), 1);
        let url_alone = Machine::new().toml(&format!("[{name}]\nbase-url = 'http://x'"));
        assert!(url_alone.mistakes().is_empty(), "{:?}", url_alone.mistakes());
    }
    for (toml, told) in [
        ("[limit]\nevent = 1", "1:2: limit: did you mean [limits]?"),
        ("[default]\ntimeout = 5", "1:2: default: did you mean [defaults]?"),
        ("[default]\ndefault-provider = 'poe'", "1:2: default: did you mean [defaults]?"),
        ("[limit]", "1:2: limit: did you mean [limits]?"),
    ] {
        assert_eq!(Machine::new().toml(toml).mistakes(), [format!("work/vandamme-config.toml:{told}")]);
    }
}

#[test]
fn keys_of_the_originals_files_that_have_no_effect_are_warnings() {
    let toml = "[chatgpt]\nauth-mode = 'OAuth'\nbase-url = 'https://api.openai.com/v1'";
    let machine = Machine::with(&[OPENAI]).toml(toml);
    assert_eq!(
        machine.warnings(),
        [
            "work/vandamme-config.toml:2:13: [chatgpt] auth-mode: OAuth subscriptions are refused (vendors ban accounts \
             for it), so this provider is not available",
        ]
    );
    assert_eq!(names(&machine.load()), ["openai"]);
    let used = machine.variable("VDM_DEFAULT_PROVIDER", "chatgpt");
    assert_eq!(Config::load(&used.overrides).unwrap_err()[0].kind(), ConfigErrorKind::Unsupported);
}

#[test]
fn headers_for_all_that_vdm_sets_itself_are_warnings_and_not_sent() {
    for (variable, header) in [
        ("CUSTOM_HEADER_HOST", "host"),
        ("CUSTOM_HEADER_AUTHORIZATION", "authorization"),
        ("CUSTOM_HEADER_X_API_KEY", "x-api-key"),
        ("CUSTOM_HEADER_CONTENT_TYPE", "content-type"),
        ("CUSTOM_HEADER_TRANSFER_ENCODING", "transfer-encoding"),
        ("CUSTOM_HEADER_X_VDM_HOP", "x-vdm-hop"),
    ] {
        let machine = Machine::with(&[OPENAI, (variable, "canary")]);
        assert_eq!(
            warning(&machine),
            format!(
                "environment variable {variable}: vdm sets the header {header} itself, so this value is not sent; remove it"
            )
        );
        assert!(provider(&machine.load(), "openai").custom_headers.is_empty());
    }
    let own = Machine::with(&[OPENAI, ("OPENAI_CUSTOM_HEADER_CONTENT_TYPE", "text/plain")]);
    assert!(
        own.mistakes()[0].contains("the header content-type is set by vdm itself"),
        "{:?}",
        own.mistakes()
    );
}

#[test]
fn a_ranking_that_is_missing_or_malformed_is_a_warning() {
    let manual = ("TOP_MODELS_SOURCE", "manual_rankings");
    let file = |text: &str| {
        let machine = Machine::with(&[OPENAI, manual, ("TOP_MODELS_RANKINGS_FILE", "ranking.toml")]);
        machine.file("work/ranking.toml", text)
    };
    let embedded = Machine::with(&[OPENAI, manual]);
    assert!(embedded.warnings().is_empty() && embedded.load().settings.top_models.is_some());
    let absent = Machine::with(&[OPENAI, manual, ("TOP_MODELS_RANKINGS_FILE", "absent")]);
    assert!(warning(&absent).contains("TOP_MODELS_RANKINGS_FILE: cannot read"), "{}", warning(&absent));
    assert!(warning(&file("models = 1")).contains("is no ranking"), "{}", warning(&file("models = 1")));
    let good = file("[[models]]\nid = 'a'");
    assert!(good.warnings().is_empty() && good.load().settings.top_models.is_some());
}
