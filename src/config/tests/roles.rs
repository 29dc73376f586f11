//! `[routing]`: how it is read, and its errors.

use vandamme_actors::roles::{AGENT_TYPES, Role};

use super::*;

const OPENAI: Set<'static> = &[("OPENAI_API_KEY", "k")];

fn read(toml: &str) -> Vec<String> {
    let rules = Machine::with(OPENAI).toml(toml).load().settings.roles;
    let targets = rules.targets.iter().map(|(role, targets)| format!("{role} = {}", targets.join(", ")));
    targets.chain(rules.long_context_threshold.map(|count| format!("above {count}"))).collect()
}

/// Requirement: each role is a target, or a list of which each is the fallback of the one before.
#[test]
fn roles_are_read_in_every_form() {
    let toml = "[routing]\nbackground = 'haiku'\nthink = ['openai:a', '!openai:b', 'sonnet']\nlong-context = 'openai:long'\n\
                long-context-threshold = 100_000\nsubagent = 'haiku'\n'subagent.Explore' = 'openai:c'";
    let expected = [
        "subagent.Explore = openai:c",
        "subagent = haiku",
        "long-context = openai:long",
        "think = openai:a, !openai:b, sonnet",
        "background = haiku",
        "above 100000",
    ];
    assert_eq!(read(toml), expected);
    let table =
        "[routing.subagent]\n'*' = 'haiku'\nexplore = 'openai:c'\ngeneral-purpose = ['openai:d', 'haiku']";
    assert_eq!(
        read(table),
        ["subagent.Explore = openai:c", "subagent.general-purpose = openai:d, haiku", "subagent = haiku"]
    );
    assert_eq!(read("[routing]\nsubagent.Plan = 'openai:c'"), ["subagent.Plan = openai:c"]);
    assert!(read("").is_empty());
}

#[test]
fn files_are_merged_role_by_role_and_shown() {
    let machine = Machine::with(OPENAI)
        .file(
            "home/.config/vandamme-proxy/vandamme-config.toml",
            "[routing]\nbackground = 'haiku'\nthink = 'opus'",
        )
        .toml("[routing]\nthink = ['openai:a', 'opus']");
    let config = machine.load();
    let value =
        |key: &str| config.values.iter().find(|value| value.key == key).map(|value| value.value.clone());
    assert_eq!(value("routing.background").as_deref(), Some("\"haiku\""));
    assert_eq!(value("routing.think").as_deref(), Some("[\"openai:a\", \"opus\"]"));
}

#[test]
fn a_profile_has_roles_of_its_own() {
    let toml = "['#work'.routing]\nbackground = 'haiku'\nsubagent.Plan = 'openai:x'\n['#work'.aliases]\nhaiku = 'openai:small'";
    let config = Machine::with(OPENAI).toml(toml).load();
    let work = config.settings.profiles.iter().find(|profile| &*profile.name == "work").unwrap();
    assert_eq!(work.roles.targets[&Role::Background], ["haiku"]);
    assert_eq!(work.roles.targets.len(), 2);
    assert!(config.settings.roles.targets.is_empty());
}

/// Requirement: unknown types and names, and unknown targets, are clear errors at the start and at a reload.
#[test]
fn mistakes_are_errors_with_their_place() {
    for (toml, told) in [
        (
            "backgroud = 'haiku'",
            "2:13: [routing] backgroud: there is no such role; did you mean \"background\"?",
        ),
        (
            "zzz = 'haiku'",
            "2:7: [routing] zzz: there is no such role; known here: web-search, classifier, compaction, subagent, auxiliary, image, \
             long-context, think, background, long-context-threshold, subagent.TYPE",
        ),
        (
            "think = 'opnai:x'",
            "2:9: [routing] think: \"opnai:x\": there is no provider \"opnai\"; did you mean \"openai:x\"?",
        ),
        (
            "think = ['haiku', 'nothing-such:x']",
            "2:9: [routing] think: \"nothing-such:x\": there is no provider \"nothing-such\"; write \"PROVIDER:MODEL\" with a \
             provider of this configuration, or an alias",
        ),
        (
            "think = 'top:opus'",
            "2:9: [routing] think: \"top:opus\" names the profile \"top\", but a role leads to a provider; write",
        ),
        (
            "think = []",
            "2:9: [routing] think: expected a target, \"provider:model\" or an alias, or a list of up to 16 targets",
        ),
        ("think = 7", "2:9: [routing] think: expected a target"),
        ("think = 'openai:'", "2:9: [routing] think: expected a target"),
        (
            "long-context-threshold = 0",
            "2:26: [routing] long-context-threshold: expected a whole number from 1 to 1000000000, found 0",
        ),
    ] {
        let mistakes = Machine::with(OPENAI).toml(&format!("[routing]\n{toml}")).mistakes();
        assert_eq!(mistakes.len(), 1, "{toml}: {mistakes:?}");
        assert!(
            mistakes[0].starts_with(&format!("work/vandamme-config.toml:{told}")),
            "{toml}: {mistakes:?}"
        );
    }
    for toml in ["[routing.subagent]\nmine = 'haiku'", "[routing]\n'subagent.mine' = 'haiku'"] {
        let mistakes = Machine::with(OPENAI).toml(toml).mistakes();
        let told = mistakes.join("\n");
        assert!(
            told.contains("there is no such type of subagents; Claude Code sends Explore, Plan, "),
            "{told}"
        );
        assert!(told.contains("\"custom\" for every agent that you have defined"), "{told}");
    }
    let told = Machine::with(OPENAI).toml("[routing.subagent]\nExplorer = 'haiku'").mistakes().join("\n");
    assert!(told.ends_with("there is no such type of subagents; did you mean \"Explore\"?"), "{told}");
    let told = Machine::with(OPENAI).toml("routing = 'haiku'").mistakes().join("\n");
    assert!(told.contains("routing: expected a table of roles, each with its target"), "{told}");
}

#[test]
fn a_target_without_a_key_is_a_warning() {
    let warnings = Machine::with(OPENAI).toml("[routing]\nthink = 'zai:haiku'").warnings().join("\n");
    assert!(
        warnings.contains(
            "requests of the role 'think' of [routing] fail: provider 'zai' has no key: set ZAI_API_KEY"
        ),
        "{warnings}"
    );
    let warnings = Machine::with(OPENAI).toml("[routing]\nthink = ['zai:haiku', 'opus']").warnings();
    assert!(
        warnings.iter().all(|warning| !warning.contains("think")),
        "the second target serves: {warnings:?}"
    );
}

/// Requirement: the guide names every role and every type of subagents.
#[test]
fn the_guide_lists_every_role() {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/routing.md")).unwrap();
    for name in Role::names() {
        assert!(guide.contains(&format!("| `{name}` |")), "{name}");
    }
    for name in AGENT_TYPES {
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
}
