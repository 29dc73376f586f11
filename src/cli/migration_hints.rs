//! Hints for command lines that `vdm` does not accept: those of the Python original, and commands without their group, such
//! as `vdm start`.

use std::ffi::OsString;

use clap::Command;

/// Words in their order, of which the first is the first argument, and what to do instead.
const MOVED: &[(&[&str], &str)] = &[
    (
        &["oauth"],
        "OAuth subscriptions are refused, since vendors ban accounts for that; give the provider an API key, or \
         !PASSTHRU for the client's own",
    ),
    (
        &["config", "reload-profiles"],
        "use `vdm server reload`: it reads the whole configuration, profiles included",
    ),
    (&["models", "top", "--base-url"], "remove --base-url: `vdm models top` queries the catalogue itself"),
    (&["--config"], "put --config FILE after the subcommand: `vdm server start --config FILE`"),
    (&["-c"], "put --config FILE after the subcommand: `vdm server start --config FILE`"),
    (
        &["--verbose"],
        "put --verbose after the subcommand: `vdm server start --verbose`; for other commands set LOG_LEVEL=DEBUG",
    ),
    (
        &["-v"],
        "put --verbose after the subcommand: `vdm server start --verbose`; for other commands set LOG_LEVEL=DEBUG",
    ),
    (&["--install-completion"], "use `vdm completions SHELL` to generate shell completions"),
    (&["--show-completion"], "use `vdm completions SHELL` to generate shell completions"),
];

/// The words that other programs use for commands of `vdm`.
const SYNONYMS: &[(&str, &str)] = &[
    ("claude", "vdm wrap claude"),
    ("claude.vdm", "vdm wrap claude"),
    ("codex", "vdm wrap codex"),
    ("codex.vdm", "vdm wrap codex"),
    ("help", "vdm --help"),
    ("init", "vdm config setup"),
    ("ls", "vdm models list"),
    ("ping", "vdm test connection"),
    ("run", "vdm server start"),
    ("serve", "vdm server start"),
    ("up", "vdm server start"),
    ("down", "vdm server stop"),
];

/// What to do instead of these arguments (after the program's name), which `vdm` does not accept.
pub(super) fn advice(arguments: &[OsString]) -> Option<&'static str> {
    let given: Vec<_> = arguments.iter().skip(1).map(|argument| argument.to_string_lossy()).collect();
    let is_meant = |words: &[&str]| {
        let mut rest = given.iter();
        let first = given.first().zip(words.first()).is_some_and(|(given, word)| is(given, word));
        first && words.iter().all(|word| rest.any(|given| is(given, word)))
    };
    MOVED.iter().find(|(words, _)| is_meant(words)).map(|(_, advice)| *advice)
}

/// The commands that an unknown one means: those of this name in another group, else a synonym's.
pub(super) fn elsewhere(root: &Command, unknown: &str) -> Vec<String> {
    let unknown = unknown.to_ascii_lowercase();
    let mut found = Vec::new();
    for group in root.get_subcommands() {
        if group.get_name() == unknown {
            found.push(format!("vdm {unknown}"));
        }
        let within = group.get_subcommands().filter(|command| command.get_name() == unknown);
        found.extend(within.map(|command| format!("vdm {} {}", group.get_name(), command.get_name())));
    }
    if found.is_empty() {
        found.extend(
            SYNONYMS.iter().filter(|(word, _)| *word == unknown).map(|(_, command)| (*command).to_owned()),
        );
    }
    found
}

/// Whether the argument is this option, also as `--option=value`.
fn is(given: &str, word: &str) -> bool {
    given.split_once('=').map_or(given, |(option, _)| option) == word
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Vdm;
    use super::*;

    fn advised(line: &str) -> &'static str {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        advice(&arguments).unwrap_or_default()
    }

    #[test]
    fn commands_of_the_original_are_answered_with_their_replacements() {
        for (line, words) in [
            ("vdm oauth login chatgpt", "OAuth subscriptions are refused"),
            ("vdm config reload-profiles", "vdm server reload"),
            ("vdm -v server start", "vdm server start --verbose"),
            ("vdm --config x config show", "after the subcommand"),
        ] {
            assert!(advised(line).contains(words), "{line}: {}", advised(line));
        }
        for line in
            ["vdm", "vdm bogus", "vdm wrap oauth", "vdm server start --systemd", "vdm server start --demon"]
        {
            assert_eq!(advised(line), "", "{line}");
        }
    }

    #[test]
    fn a_command_without_its_group_is_found_in_every_group() {
        let vdm = Vdm::command();
        for (unknown, commands) in [
            ("start", &["vdm server start"][..]),
            ("STOP", &["vdm server stop"]),
            ("validate", &["vdm config validate"]),
            ("upstream", &["vdm health upstream"]),
            ("providers", &["vdm test providers"]),
            ("explain", &["vdm explain"]),
            ("serve", &["vdm server start"]),
            ("bogus", &[]),
        ] {
            assert_eq!(elsewhere(&vdm, unknown), commands, "{unknown}");
        }
        for (word, command) in SYNONYMS {
            assert_eq!(elsewhere(&vdm, word), [*command], "a synonym is no command: {word}");
        }
    }
}
