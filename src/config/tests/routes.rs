//! Where names lead: the worked examples of the specification (configuration §4.8), by their numbers.

use vandamme_actors::routing::{Lists, Routes};
use vandamme_actors::settings::ProfileSource;
use vandamme_actors::snapshot::Snapshot;

use super::Machine;

/// Keys for seven providers, Poe the default.
const A: &[(&str, &str)] = &[
    ("POE_API_KEY", "k"),
    ("OPENAI_API_KEY", "k"),
    ("ANTHROPIC_API_KEY", "k"),
    ("OPENROUTER_API_KEY", "k"),
    ("NANOGPT_API_KEY", "k"),
    ("AGENTROUTER_API_KEY", "k"),
    ("ZAI_API_KEY", "k"),
    ("VDM_DEFAULT_PROVIDER", "poe"),
];

fn routes(machine: &Machine) -> Routes {
    Routes::new(&machine.load().settings, Snapshot::new(Lists::new()))
}

fn route(routes: &Routes, name: &str) -> String {
    match routes.resolve(name) {
        Ok(route) => format!("{}, {}", route.provider.name, route.model),
        Err(error) => format!("✗ {error}"),
    }
}

/// Each name must lead where it says; behind `✗` stands a part of the error.
fn lead(routes: &Routes, examples: &[(&str, &str)]) {
    for (name, expected) in examples {
        let found = route(routes, name);
        match expected.strip_prefix("✗ ") {
            Some(part) => assert!(found.starts_with('✗') && found.contains(part), "{name}: {found}"),
            None => assert_eq!(found, *expected, "{name}"),
        }
    }
}

/// Requirement: Given POE key and `VDM_DEFAULT_PROVIDER=poe`, then `gpt-x` goes to poe.
/// Requirement: `haiku`, `HAIKU`, `my-haiku-model` → poe gpt-5.1-mini.
/// Requirement: `Poe:GPT-4o` → poe, `GPT-4o` (case of the model kept).
/// Requirement: `POE_ALIAS_FAST=sonnet-x`, `POE_ALIAS_FASTER=y`: `my-faster-model` → y (longest wins).
/// Requirement: `openrouter:free` → openrouter, `kwaipilot/kat-coder-pro:free`; `nanogpt:opus` → nanogpt,
/// `zai-org/glm-4.7-original:thinking`.
/// Requirement: `openrouter:qwen/qwen3-coder:free` reaches exactly that model.
/// Requirement: `anthropic:claude-sonnet-4-5` reaches exactly that model.
#[test]
fn names_are_routed_as_specified() {
    let routes = routes(&Machine::with(A));
    lead(
        &routes,
        &[
            ("haiku", "poe, gpt-5.4-mini"),
            ("HAIKU", "poe, gpt-5.4-mini"),
            ("my-haiku-model", "poe, gpt-5.4-mini"),
            ("claude-3-5-haiku-20241022", "poe, gpt-5.4-mini"),
            ("claude-opus-4-5-20251101", "poe, gpt-5.5"),
            (" haiku ", "poe, gpt-5.4-mini"),
            ("gpt-4.1-nano", "poe, gpt-4.1-nano"),
            ("openai:gpt-4o-mini", "openai, gpt-4o-mini"),
            ("Poe:GPT-4o", "poe, GPT-4o"),
            ("POE:Haiku", "poe, gpt-5.4-mini"),
            ("docs", "poe, deepseek-v3.2"),
            ("extract2", "poe, grok-4"),
            ("extract", "poe, claude-sonnet-4.6"),
            ("summary22", "poe, gpt-5.4-mini"),
            ("gemini_flash", "poe, gemini-3-flash"),
            ("GEMINI-FLASH-LITE", "poe, gemini-3-flash"),
            ("openai:claude-sonnet-4-5-20250929", "openai, gpt-6.1-sol"),
            ("anthropic:claude-sonnet-4-5", "anthropic, claude-sonnet-4-5"),
            ("anthropic:claude-3-haiku-20240307", "anthropic, claude-3-haiku-20240307"),
            ("agentrouter:glm-5", "agentrouter, glm-5.3"),
            ("!agentrouter:glm-5", "agentrouter, glm-5"),
            ("agentrouter:haiku", "agentrouter, glm-5.3"),
            ("nanogpt:sonnet", "nanogpt, moonshotai/kimi-k3"),
            ("nanogpt:opus_e", "nanogpt, google/gemini-3-flash-preview-thinking"),
            ("nanogpt:opus", "nanogpt, z-ai/glm-5.3:thinking"),
            ("openrouter:free", "openrouter, nvidia/nemotron-3-ultra-550b-a55b:free"),
            ("OPENROUTER:free", "openrouter, nvidia/nemotron-3-ultra-550b-a55b:free"),
            ("openrouter:google/gemma-4-31b-it:free", "openrouter, google/gemma-4-31b-it:free"),
            ("openrouter:openai/gpt-5.2", "openrouter, openai/gpt-5.2"),
        ],
    );
}

/// Requirement: `a:b:c` → prefix a, rest `b:c`.
/// Requirement: `!haiku` → poe, `haiku`; `!openai:gpt-4o` → openai, `gpt-4o`; `!` → 400.
/// Requirement: `TOP:HAIKU` and `top:haiku` select the same profile alias.
/// Requirement: `top:haiku` → zai, GLM-4.7 (target expanded).
/// Requirement: A model not in the profile (`top:gpt-4o`) goes to the default provider without the prefix.
#[test]
fn profiles_literals_and_invalid_names_are_routed_as_specified() {
    let routes = routes(&Machine::with(A));
    lead(
        &routes,
        &[
            ("top:haiku", "zai, glm-5.3"),
            ("TOP:HAIKU", "zai, glm-5.3"),
            ("main:opus", "agentrouter, gpt-5.6-sol"),
            ("top:gpt-4o", "poe, gpt-4o"),
            ("main:poe:haiku", "poe, gpt-5.4-mini"),
            ("main:zai:haiku", "zai, glm-5.3-flash"),
            ("main:claude-3-haiku", "zai, glm-5.3-flash"),
            ("a:b:c", "✗ unknown provider 'a'"),
            ("unknown:gpt", "✗ unknown provider 'unknown'"),
            ("poe::x", "poe, :x"),
            ("poe:", "✗ the name is empty"),
            (":x", "✗ the name is empty"),
            ("", "✗ the name is empty"),
            ("!haiku", "poe, haiku"),
            ("!openai:gpt-4o", "openai, gpt-4o"),
            ("desktop", "poe, gpt-5.2"),
            ("!desktop", "poe, desktop"),
            ("deepseek:deepseek-chat", "✗ provider 'deepseek' has no key: set DEEPSEEK_API_KEY"),
            // No aliases for all are built in: they would send one provider's requests to another.
            ("zai:per-message", "zai, per-message"),
            ("zai:docs", "zai, docs"),
            ("openai:docs-writer", "openai, docs-writer"),
        ],
    );
}

/// Requirement: `POE_ALIAS_MY_ALIAS=t`: `my-alias`, `my_alias`, `oh-my-alias-model` → poe t.
/// Requirement: `POE_ALIAS_X1=openai:haiku`: `x1` → openai gpt-5.1-mini (cross-provider chain).
/// Requirement: `POE_ALIAS_X2=unknownprov:model`: `x2` → poe `unknownprov:model`. `poe:x2` gives the same in any
/// order.
/// Requirement: `POE_ALIAS_SELF=self` is rejected with a log line; `POE_ALIAS_E=` is skipped with a warning.
/// Requirement: `FOO_ALIAS_BAR_ALIAS_BAZ=z`: provider `foo_alias_bar`, alias `baz`.
/// Requirement: `POE_ALIAS_V=claude-3-5-sonnet@20241022` is accepted.
#[test]
fn aliases_of_variables_are_routed_as_specified() {
    let with = |variables: &[(&str, &str)]| routes(&Machine::with(&[A, variables].concat()));
    lead(&with(&[("POE_ALIAS_FAST", "gemini-flash")]), &[("my-fast-model", "poe, gemini-3-flash")]);
    let mine = with(&[("POE_ALIAS_MY_ALIAS", "target-1")]);
    for name in ["oh-my-alias-model", "oh_my_alias", "MY_ALIAS"] {
        lead(&mine, &[(name, "poe, target-1")]);
    }
    lead(&with(&[("POE_ALIAS_X1", "openai:haiku")]), &[("x1", "openai, gpt-6-luna")]);
    let literal = with(&[("POE_ALIAS_X2", "!unknownprov:model")]);
    lead(&literal, &[("x2", "poe, unknownprov:model"), ("poe:x2", "poe, unknownprov:model")]);
    let upper = with(&[("POE_ALIAS_UP", "OPENAI:gpt-4o")]);
    lead(&upper, &[("up", "openai, gpt-4o"), ("poe:up", "openai, gpt-4o")]);
    lead(&with(&[("POE_ALIAS_SELF", "self")]), &[("self", "poe, self")]);
    lead(&with(&[("POE_ALIAS_AT", " m@1 ")]), &[("at", "poe, m@1")]);
    let haiku = with(&[("POE_ALIAS_HAIKU", "my-haiku")]);
    lead(&haiku, &[("haiku", "poe, my-haiku"), ("fasthaiku", "poe, my-haiku")]);
    let ghost = with(&[("GHOST_ALIAS_G", "gm")]);
    lead(&ghost, &[("ghost:gg", "✗ provider 'ghost' has no key: set GHOST_API_KEY"), ("g", "poe, g")]);
    let nested = with(&[("POE_ALIAS_BAR_ALIAS_BAZ", "t")]);
    lead(&nested, &[("baz", "poe, baz"), ("poe_alias_bar:baz", "✗ has no key")]);
}

/// Requirement: A three-alias cycle never hangs, is reported at startup, and a request to it is 400.
/// Requirement: Given `ALIAS_MAX_CHAIN_LENGTH=3` and a chain of five, then it is reported; `za` and `poe:za`
/// behave the same.
#[test]
fn cycles_and_long_chains_are_errors_and_reported_at_the_start() {
    let circle = [("POE_ALIAS_CYC_A", "cyc_b"), ("POE_ALIAS_CYC_B", "cyc_c"), ("POE_ALIAS_CYC_C", "cyc_a")];
    let machine = Machine::with(&[A, &circle].concat());
    lead(&routes(&machine), &[("cyc_a", "✗ in a circle"), ("poe:cyc_a", "✗ in a circle")]);
    let warnings = machine.load().warnings.join("\n");
    assert!(warnings.contains("poe:cyc_b → poe:cyc_c → poe:cyc_a"), "{warnings}");

    let letters: Vec<char> = ('a'..='y').collect();
    let links: Vec<(String, String)> = letters
        .windows(2)
        .map(|pair| (format!("POE_ALIAS_Z{}", pair[0].to_ascii_uppercase()), format!("z{}", pair[1])))
        .collect();
    let machine = links.iter().fold(Machine::with(A), |machine, (name, text)| machine.variable(name, text));
    let told = |machine: &Machine| machine.load().warnings.join("\n");
    assert!(told(&machine).contains("more than 10 aliases"), "{}", told(&machine));
    lead(
        &routes(&machine),
        &[("za", "✗ more than 10 aliases"), ("poe:za", "✗ more than 10 aliases"), ("zu", "poe, zy")],
    );
    let five =
        [("POE_ALIAS_Z1", "z2"), ("POE_ALIAS_Z2", "z3"), ("POE_ALIAS_Z3", "z4"), ("POE_ALIAS_Z4", "z5")];
    let machine = Machine::with(&[A, &five, &[("ALIAS_MAX_CHAIN_LENGTH", "3")]].concat());
    assert!(told(&machine).contains("more than 3 aliases"), "{}", told(&machine));
    lead(
        &routes(&machine),
        &[("z1", "✗ more than 3 aliases"), ("poe:z1", "✗ more than 3 aliases"), ("z2", "poe, z5")],
    );
}

/// Requirement: A profile named like a provider wins. the collision is visible in the startup log.
#[test]
fn aliases_for_all_and_a_profile_with_a_providers_name_are_routed_as_specified() {
    let toml = "[defaults.aliases]\nQuick = 'openai:gpt-4o-mini'\nhaiku = 'never'";
    let quick = routes(&Machine::with(A).toml(toml));
    lead(
        &quick,
        &[
            ("quick", "openai, gpt-4o-mini"),
            ("poe:quick", "openai, gpt-4o-mini"),
            ("haiku", "poe, gpt-5.4-mini"),
        ],
    );
    let machine = Machine::with(A).toml("['#openai'.aliases]\nhaiku = 'poe:haiku'");
    let told = "\"openai\" is a profile and a provider: \"openai:…\" means the profile";
    assert_eq!(machine.load().warnings, [told]);
    let shadow = routes(&machine);
    lead(
        &shadow,
        &[
            ("openai:haiku", "poe, gpt-5.4-mini"),
            ("openai:gpt-4o", "poe, gpt-4o"),
            ("!openai:haiku", "openai, haiku"),
        ],
    );
}

/// Requirement: Given only a POE key, stock defaults, strict on, then the server starts and `gpt-x` goes to poe.
/// Requirement: Given ZAI, POE, AGENTROUTER keys and `VDM_DEFAULT_PROVIDER=top`, then `haiku` goes to zai with
/// model GLM-4.7.
/// Requirement: With default openrouter, `nousresearch/hermes:free` → openrouter, that id.
#[test]
fn other_configurations_route_differently() {
    let poe = Machine::with(&[("POE_API_KEY", "k")]);
    lead(
        &routes(&poe),
        &[
            ("top:haiku", "✗ provider 'zai' has no key: set ZAI_API_KEY"),
            ("top:sonnet", "poe, gemini-3-flash"),
        ],
    );
    let openai = routes(&Machine::with(&[("OPENAI_API_KEY", "k")]));
    let inactive = "✗ profile 'top' is inactive: it leads to provider 'zai': set ZAI_API_KEY";
    lead(
        &openai,
        &[
            ("top:haiku", inactive),
            ("top:sonnet", inactive),
            ("per-message", "openai, per-message"),
            ("gpt-4o", "openai, gpt-4o"),
        ],
    );
    let cerebras = [("CEREBRAS_API_KEY", "k"), ("ZAI_API_KEY", "k"), ("VDM_DEFAULT_PROVIDER", "cerebras")];
    lead(
        &routes(&Machine::with(&cerebras)),
        &[("haiku", "cerebras, gpt-oss-120b"), ("fast", "cerebras, fast")],
    );
    let openrouter = Machine::with(&[("OPENROUTER_API_KEY", "k"), ("VDM_DEFAULT_PROVIDER", "openrouter")]);
    lead(
        &routes(&openrouter),
        &[
            ("cheap3", "openrouter, qwen/qwen3-coder-next"),
            ("nousresearch/hermes:free", "openrouter, nousresearch/hermes:free"),
        ],
    );
    let three = [
        ("ZAI_API_KEY", "k"),
        ("POE_API_KEY", "k"),
        ("AGENTROUTER_API_KEY", "k"),
        ("VDM_DEFAULT_PROVIDER", "top"),
    ];
    lead(&routes(&Machine::with(&three)), &[("haiku", "zai, glm-5.3"), ("gpt-4o", "poe, gpt-4o")]);
}

/// Requirement: Given a local `["#main"]` with no keys, then profile main has no aliases and no timeout and
/// source local.
/// Deviates from the original ("A local profile alias without a colon, strict on → startup fails, message
/// mentions "provider prefix"; strict off → warning"): a target without a provider is always a mistake of its
/// file; one without a key makes the profile inactive, with a warning, and ends no start: there is nothing left
/// to be strict about.
#[test]
fn a_profile_comes_from_the_file_with_the_highest_precedence() {
    let machine = Machine::with(A)
        .file(
            "home/.config/vandamme-proxy/vandamme-config.toml",
            "['#top'.aliases]\nfast = 'poe:fast'\n['#mine']\ntimeout = 7\n['#mine'.aliases]\na = 'kimi:b'",
        )
        .toml("['#main']");
    let config = machine.load();
    let profile =
        |name: &str| config.settings.profiles.iter().find(|profile| *profile.name == *name).unwrap();
    assert_eq!(profile("top").aliases.keys().collect::<Vec<_>>(), ["fast"]);
    let main = profile("main");
    assert!(main.aliases.is_empty() && main.timeout.is_none() && main.source == ProfileSource::Local);
    let warning = "profile \"mine\" is inactive: it leads to provider 'kimi': set KIMI_API_KEY and restart";
    assert_eq!(config.warnings, [warning]);
}
