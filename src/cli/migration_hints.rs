//! The command line of the Python original, where it differs: what to say instead.

use std::ffi::OsString;

/// The words in their order, the first of them first of all; and what to do.
const MOVED: &[(&[&str], &str)] = &[
    (
        &["oauth"],
        "OAuth subscriptions are refused, since vendors ban accounts for that; give the provider an API key, or \
         !PASSTHRU for the client's own",
    ),
    (&["config", "reload-profiles"], "vdm server reload reads the whole configuration again, profiles too"),
    (
        &["server", "start", "--daemon"],
        "the gateway stays in the foreground: let systemd or a container run it, or vdm wrap, which starts and stops \
         one by itself",
    ),
    (
        &["server", "start", "--pid-file"],
        "there is no PID file: vdm server status, stop, reload and restart find the gateway by its control socket",
    ),
    (
        &["server", "start", "--systemd"],
        "leave --systemd out: what stderr says goes to the journal by itself",
    ),
    (
        &["server", "start", "--reload"],
        "vdm server reload (or SIGHUP) makes a running gateway read its configuration again",
    ),
    (&["models", "top", "--base-url"], "vdm models top asks the catalogue itself; leave --base-url out"),
    (&["--config"], "--config FILE stands behind the command: vdm server start --config FILE"),
    (&["-c"], "--config FILE stands behind the command: vdm server start --config FILE"),
    (
        &["--verbose"],
        "--verbose stands behind the command: vdm server start --verbose; elsewhere set LOG_LEVEL=DEBUG",
    ),
    (
        &["-v"],
        "--verbose stands behind the command: vdm server start --verbose; elsewhere set LOG_LEVEL=DEBUG",
    ),
    (&["--install-completion"], "vdm completions SHELL prints what a shell must know"),
    (&["--show-completion"], "vdm completions SHELL prints what a shell must know"),
];

/// What to do instead, when the arguments (behind the program's name) are the original's. They are known to be wrong.
pub(super) fn advice(arguments: &[OsString]) -> Option<&'static str> {
    let given: Vec<_> = arguments.iter().skip(1).map(|argument| argument.to_string_lossy()).collect();
    let is_meant = |words: &[&str]| {
        let mut rest = given.iter();
        let first = given.first().zip(words.first()).is_some_and(|(given, word)| is(given, word));
        first && words.iter().all(|word| rest.any(|given| is(given, word)))
    };
    MOVED.iter().find(|(words, _)| is_meant(words)).map(|(_, advice)| *advice)
}

/// `--option=value` is the option, too.
fn is(given: &str, word: &str) -> bool {
    given.split_once('=').map_or(given, |(option, _)| option) == word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> &'static str {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        advice(&arguments).unwrap_or_default()
    }

    #[test]
    fn what_the_original_had_is_answered_with_what_takes_its_place() {
        for (line, words) in [
            ("vdm oauth login chatgpt", "OAuth subscriptions are refused"),
            ("vdm config reload-profiles", "vdm server reload"),
            ("vdm server start --port 1 --pid-file=/x", "control socket"),
            ("vdm -v server start", "vdm server start --verbose"),
            ("vdm --config x config show", "behind the command"),
        ] {
            assert!(told(line).contains(words), "{line}: {}", told(line));
        }
        for line in ["vdm", "vdm bogus", "vdm wrap oauth", "vdm server start --demon"] {
            assert_eq!(told(line), "", "{line}");
        }
    }
}
