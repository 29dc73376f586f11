//! Defaults, profiles and aliases that lead to providers which are missing or misspelt.

use super::*;

const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "k");

/// The only warning.
fn warning(machine: &Machine) -> String {
    let warnings = machine.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:#?}") };
    warning.clone()
}

#[test]
fn an_inactive_or_misspelt_default_is_one_warning_with_the_one_in_use() {
    for (variables, told) in [
        (
            &[OPENAI, ("VDM_DEFAULT_PROVIDER", "top")][..],
            "environment variable VDM_DEFAULT_PROVIDER: default profile 'top' is inactive (needs AGENTROUTER_API_KEY or \
             POE_API_KEY or ZAI_API_KEY); using 'openai'",
        ),
        (
            &[OPENAI, ("VDM_DEFAULT_PROVIDER", "#Main")],
            "environment variable VDM_DEFAULT_PROVIDER: default profile 'main' is inactive (needs AGENTROUTER_API_KEY or \
             POE_API_KEY or ZAI_API_KEY); using 'openai'",
        ),
        (
            &[OPENAI, ("VDM_DEFAULT_PROVIDER", "Opnai")],
            "environment variable VDM_DEFAULT_PROVIDER: the default provider \"Opnai\" is not a provider with a key (did \
             you mean \"openai\"?); using \"openai\" instead",
        ),
    ] {
        assert_eq!(warning(&Machine::with(variables)), told);
    }
    let profile =
        Machine::with(&[OPENAI, ("VDM_DEFAULT_PROVIDER", "#Wrok")]).toml("['#work'.aliases]\nx = 'openai:y'");
    assert_eq!(
        warning(&profile),
        "environment variable VDM_DEFAULT_PROVIDER: the default provider \"#Wrok\" is not a profile (did you mean \
         \"#work\"?); using \"openai\" instead"
    );
    let toml = "['#mine'.aliases]\nhaiku = 'zai:haiku'\n[defaults]\ndefault-provider = 'mine'";
    let machine = Machine::with(&[OPENAI]).toml(toml);
    assert!(
        warning(&machine).contains("default profile 'mine' is inactive (needs ZAI_API_KEY); using 'openai'")
    );
    let active = Machine::with(&[OPENAI, ("ZAI_API_KEY", "k")]).toml(toml);
    assert!(
        active.warnings().is_empty() && active.load().settings.default_profile.as_deref() == Some("mine")
    );
}

#[test]
fn only_the_aliases_of_a_profile_that_need_a_missing_provider_are_inactive() {
    let toml = "['#work'.aliases]\nhaiku = 'poe:haiku'\nsonnet = 'zai:sonnet'\nopus = '!nosuch:x'";
    let machine = Machine::with(&[("POE_API_KEY", "k")]).toml(toml);
    assert_eq!(
        machine.warnings(),
        [
            "profile \"work\": its alias \"opus\" is inactive: it leads to provider 'nosuch': set NOSUCH_API_KEY and \
             NOSUCH_BASE_URL and restart",
            "profile \"work\": its alias \"sonnet\" is inactive: it leads to provider 'zai': set ZAI_API_KEY and restart",
        ]
    );
    let config = machine.load();
    let work = config.settings.profiles.iter().find(|profile| *profile.name == *"work").unwrap();
    assert!(work.inactive.is_none() && work.inactive_aliases.len() == 2, "{work:?}");
    let routes = Routes::new(&config.settings, Snapshot::new(Lists::new()));
    assert_eq!(&*routes.resolve("work:haiku").unwrap().model, "gpt-5.4-mini");
    let error = routes.resolve("work:sonnet").unwrap_err().to_string();
    assert_eq!(error, "provider 'zai' has no key: set ZAI_API_KEY and restart");
}

#[test]
fn an_alias_to_a_misspelt_provider_or_to_a_profile_is_an_error() {
    let profile = "\n['#web'.aliases]\nhaiku = 'poe:haiku'";
    for (target, told) in [
        (
            "Opnai:gpt-4o",
            "\"Opnai:gpt-4o\": there is no provider \"opnai\"; did you mean \"openai:gpt-4o\"?; write \"!Opnai:gpt-4o\" if \
             this is the name of a model",
        ),
        (
            "web:haiku",
            "\"web:haiku\" names the profile \"web\", but an alias leads to a provider; write \"poe:haiku\" instead",
        ),
        (
            "top:opus",
            "\"top:opus\" names the profile \"top\", but an alias leads to a provider; write \"agentrouter:opus\" instead",
        ),
        (
            "#web:haiku",
            "\"#web:haiku\" names the profile \"web\", but an alias leads to a provider; write \"poe:haiku\" instead",
        ),
        (
            "#openai:x",
            "\"#openai:x\" names the profile \"openai\", but an alias leads to a provider; write \"openai:x\" for the \
             provider",
        ),
        (
            "web:x",
            "\"web:x\" names the profile \"web\", but an alias leads to a provider; write a target such as \
             \"openai:gpt-6-luna\" instead",
        ),
    ] {
        let machine = Machine::with(&[("POE_API_KEY", "k"), ("POE_ALIAS_X", target)]).toml(profile);
        assert_eq!(machine.mistakes(), [format!("environment variable POE_ALIAS_X: {told}")]);
        let toml = format!("[defaults.aliases]\nx = '{target}'{profile}");
        let machine = Machine::with(&[("POE_API_KEY", "k")]).toml(&toml);
        assert_eq!(
            machine.mistakes(),
            [format!("work/vandamme-config.toml:2:5: [defaults.aliases] x: {told}")]
        );
        let other = Machine::with(&[OPENAI, ("POE_ALIAS_X", target)]).toml(profile);
        assert!(other.mistakes().is_empty(), "poe is not used");
    }
    for target in [
        "openai:gpt-4o",
        "zai:glm",
        "!nosuch:foo",
        "qwen3:8b",
        "llama:70b",
        "mistral-small:latest",
        "z-ai/glm-5.3:thinking",
        "anthropic.claude-v2:0",
        "ft:gpt-4o:acme::id",
        "hf:zai-org/GLM-5",
        "plain",
    ] {
        let machine = Machine::with(&[("POE_API_KEY", "k"), ("POE_ALIAS_X", target)]).toml(profile);
        assert!(machine.mistakes().is_empty(), "{target}: {:?}", machine.mistakes());
    }
    let local = Machine::with(&[("OLLAMA_BASE_URL", "http://h:1"), ("OLLAMA_ALIAS_X", "mymodel:custom")]);
    assert!(local.mistakes().is_empty(), "models of a local server have colons in their names");
}

#[test]
fn an_alias_to_a_provider_that_is_near_none_is_a_warning() {
    let mine = |target: &str| {
        Machine::with(&[
            OPENAI,
            ("VLLM_API_KEY", "k"),
            ("VLLM_BASE_URL", "http://lab:8000/v1"),
            ("VLLM_ALIAS_X", target),
        ])
    };
    for target in ["mymodel:q4_K_M", "codestral:instruct-v2", "accounts:x", "gemma:it-qat", "nosuch:foo"] {
        let (prefix, _) = target.split_once(':').unwrap();
        assert_eq!(
            warning(&mine(target)),
            format!(
                "environment variable VLLM_ALIAS_X: {target:?}: there is no provider {prefix:?}, so this is sent as the name \
                 of a model; write \"!{target}\" if this is the name of a model"
            )
        );
        let aliases = &mine(target).load().settings.providers;
        assert!(aliases.iter().any(|provider| provider.aliases.get("x").is_some_and(|to| to == target)));
        let literal = format!("!{target}");
        assert!(mine(&literal).warnings().is_empty());
    }
    assert!(mine("opnai:x").mistakes()[0].contains("did you mean \"openai:x\"?"));
}

#[test]
fn an_alias_of_a_provider_to_one_without_a_key_is_a_warning() {
    let toml = |target: &str| format!("[openai.aliases]\nx = '{target}'");
    for target in ["zai:haiku", "ZAI:glm"] {
        assert_eq!(
            warning(&Machine::with(&[OPENAI]).toml(&toml(target))),
            "work/vandamme-config.toml:2:5: [openai.aliases] x: this alias cannot be used: it leads to provider 'zai': set \
             ZAI_API_KEY and restart"
        );
    }
    assert!(Machine::with(&[OPENAI, ("ZAI_API_KEY", "k")]).toml(&toml("zai:haiku")).warnings().is_empty());
    assert!(Machine::with(&[OPENAI]).toml(&toml("openai:y")).warnings().is_empty());
    assert!(
        Machine::with(&[("POE_API_KEY", "k")]).toml(&toml("zai:haiku")).warnings().is_empty(),
        "openai is not used"
    );
}

#[test]
fn profiles_and_fallbacks_name_providers_too() {
    let work = "\n['#work'.aliases]\nhaiku = 'openai:small'";
    let at = "work/vandamme-config.toml";
    for (toml, told) in [
        (
            "['#w'.aliases]\nx = 'work:haiku'",
            "2:5: [\"#w\".aliases] x: \"work:haiku\" names the profile \"work\", but an alias leads to a provider; write \
             \"openai:small\" instead",
        ),
        (
            "['#w'.aliases]\nx = '!#work:haiku'",
            "2:5: [\"#w\".aliases] x: \"#work:haiku\" names the profile \"work\", but an alias leads to a provider; write \
             \"openai:small\" instead",
        ),
        (
            "['#w'.aliases]\nx = 'opnai:z'",
            "2:5: [\"#w\".aliases] x: \"opnai:z\": there is no provider \"opnai\"; did you mean \"openai:z\"?",
        ),
        (
            "[openai.fallbacks]\n'*' = ['work:haiku']",
            "2:7: [openai.fallbacks] *: \"work:haiku\" names the profile \"work\", but a fallback leads to a provider; \
             write \"openai:small\" instead",
        ),
        (
            "['#w'.fallbacks]\n'*' = ['#work:haiku']",
            "2:7: [\"#w\".fallbacks] *: \"#work:haiku\" names the profile \"work\", but a fallback leads to a provider; \
             write \"openai:small\" instead",
        ),
    ] {
        let machine = Machine::with(&[OPENAI]).toml(&format!("{toml}{work}"));
        assert_eq!(machine.mistakes(), [format!("{at}:{told}")]);
    }
}
