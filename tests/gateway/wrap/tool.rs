//! The environment of a wrapped tool, and its exit.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use super::{User, WAITING, ended, text};
use crate::support::client::{Call, prompt};
use crate::support::gateway::MODEL;
use crate::support::upstream::Upstream;

/// Requirement: `vdm wrap claude` returns the tool's exit code (0 and 7 tested); a proxy already running is
/// reused and left running.
#[test]
fn the_exit_code_is_that_of_the_tool() {
    let user = User::with_claude("codes", "echo \"$@\"; exit $1");
    for code in [0, 7, 70, 255] {
        let argument = code.to_string();
        let line = format!("{argument} --port b c\n");
        let wrapped = ended(&mut user.wrap(&["claude", "--", &argument, "--port", "b c"]));
        assert_eq!((wrapped.0, wrapped.1, wrapped.2.as_str()), (Some(code), line, ""));
    }
}

#[test]
fn arguments_for_the_tool_need_no_dashes_before_them() {
    let user = User::with_claude("plain", "printf '%s|' \"$@\"; exit 0");
    let port = user.port.to_string();
    for (line, got) in [
        (&["claude", "--model", "sonnet"][..], "--model|sonnet|"),
        (&["claude", "-p", "hi", "--port", "x"], "-p|hi|--port|x|"),
        (&["claude", "-c"], "-c|"),
        (&["claude", "-h"], "-h|"),
        (&["--port", &port, "claude", "-c", "--config", "x"], "-c|--config|x|"),
        (&["claude", "hi", "--", "-x"], "hi|--|-x|"),
        (&["claude", "--", "--port", "x"], "--port|x|"),
        (&["--port", &port, "claude", "--model=sonnet"], "--model=sonnet|"),
        (&["claude", "--port", &port, "-p", "hi"], "-p|hi|"),
        (&["claude"], "|"),
    ] {
        let wrapped = ended(&mut user.wrap(line));
        assert_eq!((wrapped.0, wrapped.1.as_str(), wrapped.2.as_str()), (Some(0), got, ""), "{line:?}");
    }
    let wrong = ended(&mut user.wrap(&["--modle", "claude"]));
    assert_eq!(wrong.0, Some(2), "before the tool it is vdm's: {}", wrong.2);
}

#[test]
fn a_tool_killed_by_a_signal_has_the_same_exit_status() {
    let user = User::with_claude("ends", "kill -s $1 $$; sleep 60");
    for (name, number) in [("TERM", 15), ("INT", 2), ("KILL", 9)] {
        let status = user.claude_vdm(&[name]).status().expect("vdm is built");
        assert_eq!(status.signal(), Some(number));
    }
    // The exit status as a shell reports it.
    let shell = ended(user.command("sh").args(["-c", "./claude.vdm TERM; echo $?"]));
    assert_eq!(shell.1, "143\n", "{}", shell.2);
}

#[test]
fn signals_reach_the_tool() {
    let script = format!("trap 'echo caught > caught; exit 5' USR1 TERM; {WAITING}");
    let user = User::with_claude("signals", &script);
    for signal in ["TERM", "USR1"] {
        let mut session = user.session(signal);
        let sent = Command::new("kill").args(["-s", signal, &session.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        assert_eq!(session.child.wait().expect("our child").code(), Some(5), "{signal}");
        assert_eq!(fs::read_to_string(user.home.join("caught")).expect("the trap"), "caught\n");
        fs::remove_file(user.home.join("caught")).expect("ours");
    }
}

/// Requirement: With HOST=0.0.0.0 the wrapped tool receives a 127.0.0.1 URL; with PROXY_API_KEY set it receives
/// that key.
#[test]
fn the_tool_is_served_with_the_gateway_key_and_never_has_the_providers() {
    let upstream = Upstream::openai();
    let script = format!("env > environment; {WAITING}");
    let user = User::with_claude("answered", &script);
    let configuration = [
        ("OPENAI_API_KEY", "sk-canary"),
        ("OPENAI_BASE_URL", &upstream.base_url()),
        ("PROXY_API_KEY", "own-key"),
        ("ANTHROPIC_API_KEY", "sk-canary-2"),
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("CLAUDE_CODE_USE_MANTLE", "1"),
        ("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1"),
    ];
    // An unreachable proxy, which neither the tool nor the gateway uses.
    let proxies = [("HTTP_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "127.0.0.1")];
    let mut command = user.claude_vdm(&["a"]);
    command.envs(configuration).envs(proxies);
    let session = user.session_by(command, "a");

    let address = session.url.strip_prefix("http://").expect("a URL").parse().expect("an address");
    let call = Call::new(address, "POST", "/v1/messages").json(&prompt(&format!("openai:{MODEL}"), "hi"));
    assert_eq!(call.reply().status(), 401);
    assert_eq!(call.header("authorization", "Bearer own-key").reply().status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-canary"]);
    let seen = fs::read_to_string(user.home.join("environment")).expect("the tool's environment");
    assert!(seen.contains("ANTHROPIC_AUTH_TOKEN=own-key\n"), "{seen}");
    assert!(!seen.contains("\nANTHROPIC_API_KEY=") && !seen.contains("CLAUDE_CODE_USE_"), "{seen}");
    assert!(seen.contains("NO_PROXY=127.0.0.1,localhost,::1,127.0.0.1\n"), "{seen}");
    assert_eq!(session.leave().code(), Some(7));
    user.await_no_gateway();
}

#[test]
fn a_tool_of_chat_completions_receives_the_variables_of_such_tools() {
    let user = User::new("openai");
    user.tool("tool", "echo $OPENAI_BASE_URL $OPENAI_API_BASE $OPENAI_API_KEY $VDM_WRAP_URL");
    let (code, out, talk) = ended(&mut user.wrap(&["--openai", "tool"]));
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    let words: Vec<&str> = out.split_whitespace().collect();
    let [base, old, key, url] = words[..] else { panic!("{out}") };
    assert_eq!((base, old, key), (&*format!("{url}/v1"), &*format!("{url}/v1"), "vdm"));
}

/// Deviates from the original ("`vdm wrap --dry-run --port 9999 --host 1.2.3.4 gemini` prints
/// `GEMINI_API_BASE_URL=http://1.2.3.4:9999`, exit 0"): Gemini's own API is not served, and the error says so;
/// --dry-run works for the supported tools.
/// Deviates from the original ("`vdm wrap foo` → exit 1 listing claude, gemini; `vdm wrap claude --model x` →
/// exit 2"): an unknown tool is a usage error: 2; the rest is the same.
#[test]
fn an_unsupported_tool_is_an_error_and_starts_no_gateway() {
    let user = User::new("cannot");
    fs::write(user.home.join("bin/text"), "no program").expect("a writable directory");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--openai", "absent"], 127, "absent is not installed, or not on PATH"),
        (&["--openai", "./absent"], 127, "./absent is not a file"),
        (&["--openai", "text"], 126, "text is not executable"),
        (&["codex", "exec", "hi"], 127, "codex is not installed"),
        (&["--openai", "codex"], 2, "vdm wrap codex"),
        (&["--openai", "gemini"], 2, "gemini uses an API that this version of vdm does not serve"),
        (&["tool"], 2, "vdm wrap --openai tool"),
        (&["claude", "--model", "x"], 127, "claude is not installed"),
    ];
    for (arguments, expected, words) in cases {
        let (code, out, talk) = ended(&mut user.wrap(arguments));
        assert_eq!((code, out.as_str()), (Some(expected), ""), "{arguments:?}: {talk}");
        assert!(talk.contains(words), "{talk}");
    }
    for (tool, command) in
        [("claude", "npm install -g @anthropic-ai/claude-code"), ("codex", "npm install -g @openai/codex")]
    {
        let mut nowhere = user.wrap(&[tool]);
        let (code, _, talk) = ended(nowhere.env("PATH", user.home.join("bin")));
        assert_eq!(code, Some(127));
        assert!(talk.contains(command), "{talk}");
    }
    assert!(user.sockets().is_empty());
}

#[test]
fn an_invalid_configuration_is_reported_before_anything_is_started() {
    let user = User::with_claude("wrong", "echo started");
    let (code, out, talk) = ended(user.claude_vdm(&[]).env("MAX_RETRIES", "many"));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(talk.contains("environment variable MAX_RETRIES"), "{talk}");
    assert!(user.sockets().is_empty());
}

/// Deviates from the original ("`vdm wrap --dry-run --port 9999 --host 1.2.3.4 gemini` prints
/// `GEMINI_API_BASE_URL=http://1.2.3.4:9999`, exit 0"): Gemini's own API is not served, and the error says so;
/// --dry-run works for the supported tools.
/// Requirement: With HOST=0.0.0.0 the wrapped tool receives a 127.0.0.1 URL; with PROXY_API_KEY set it receives
/// that key.
#[test]
fn a_dry_run_only_prints() {
    let user = User::with_claude("dry", "echo started");
    let mut command = user.wrap(&["--dry-run", "--port", "9999", "claude", "--", "-p", "two words"]);
    let (code, out, talk) = ended(command.env("PROXY_API_KEY", "canary"));
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    assert!(out.starts_with("claude -p 'two words'\nwith\n"), "{out}");
    assert!(out.contains("  ANTHROPIC_BASE_URL=http://127.0.0.1:9999\n"), "{out}");
    assert!(out.contains("  ANTHROPIC_AUTH_TOKEN=<PROXY_API_KEY>\n") && !out.contains("canary"), "{out}");
    for host in ["0.0.0.0", "::"] {
        let (_, out, _) = ended(
            user.wrap(&["--dry-run", "--port", "9999", "claude"]).env("HOST", host).env("PROXY_API_KEY", "k"),
        );
        let own = if host == "::" { "[::1]" } else { "127.0.0.1" };
        assert!(out.contains(&format!("  ANTHROPIC_BASE_URL=http://{own}:9999\n")), "{out}");
    }
    assert!(!user.home.join("vandamme").exists());
}

#[test]
fn settings_of_claude_code_with_another_base_url_are_overridden() {
    let user = User::with_claude("settings", "for word; do echo \"$word\"; done");
    fs::create_dir(user.home.join(".claude")).expect("a writable directory");
    let elsewhere = r#"{"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}"#;
    fs::write(user.home.join(".claude/settings.json"), elsewhere).expect("a writable directory");

    let (_, out, _) = ended(&mut user.claude_vdm(&["-p", "hi"]));
    let lines: Vec<&str> = out.lines().collect();
    let ["--settings", settings, "-p", "hi"] = lines[..] else { panic!("{out}") };
    assert!(settings.contains(r#""ANTHROPIC_BASE_URL":"http://127.0.0.1:"#), "{settings}");

    // Other users can list command lines, so a key must not be in one.
    let (_, out, _) = ended(user.claude_vdm(&["-p", "hi"]).env("PROXY_API_KEY", "canary"));
    assert!(!out.contains("canary"), "{out}");
    let file = out.lines().nth(1).expect("a file");
    assert!(fs::read_to_string(file).expect("there").contains(r#""ANTHROPIC_AUTH_TOKEN":"canary""#));

    let (_, out, talk) = ended(&mut user.claude_vdm(&["--settings", "own.json"]));
    assert_eq!(out, "--settings\nown.json\n");
    assert!(talk.contains("settings.json sets ANTHROPIC_BASE_URL"), "{talk}");
}

#[test]
fn a_named_port_is_either_the_gateways_or_an_error() {
    let user = User::with_claude("port", "echo $ANTHROPIC_BASE_URL");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    // A listener that accepts and sends nothing.
    let (code, out, talk) = ended(&mut user.claude_vdm(&["--port", &port]));
    assert_eq!((code, out.as_str()), (Some(3), ""), "{talk}");
    assert!(talk.contains(&format!("port {port} on 127.0.0.1 is already in use")), "{talk}");
    drop(taken);
    let (code, _, talk) = ended(&mut user.claude_vdm(&["--port"]));
    assert_eq!(code, Some(2));
    assert!(talk.contains("a value is required for '--port <PORT>'"), "{talk}");

    let (code, out, talk) = ended(&mut user.claude_vdm(&["--port", &port]));
    assert_eq!((code, out), (Some(0), format!("http://127.0.0.1:{port}\n")), "{talk}");
}

#[test]
fn the_tool_has_its_own_stdin_stdout_and_stderr() {
    let user = User::with_claude("streams", "cat; echo talk >&2");
    let mut command = user.claude_vdm(&[]);
    let input = fs::File::open(user.home.join("bin/claude")).expect("there");
    let output = command.stdin(input).output().expect("vdm is built");
    assert!(text(&output.stdout).contains("#!/bin/sh"));
    assert_eq!(text(&output.stderr), "talk\n");
}
