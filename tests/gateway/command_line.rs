//! The commands on the built binary: their output and their exit codes.

use std::process::Output;

use serde_json::Value;

use crate::support::gateway::vdm;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const OPENAI: &[(&str, &str)] = &[("OPENAI_API_KEY", "sk-canary")];

#[test]
fn explain_prints_each_step_and_exits_with_1_if_a_name_has_no_route() {
    let output = vdm(&["explain", "sonnet", "poe:x"], OPENAI, "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "sonnet\n  no prefix: 'sonnet' uses the default provider 'openai'\n  alias 'sonnet' of 'openai' resolves to 'gpt-6.1-sol'\n  API: Responses for clients of Messages and Responses, Chat Completions for clients of Chat Completions\n→ openai:gpt-6.1-sol\npoe:x\n"
    );
    assert_eq!(stderr(&output), "vdm: provider 'poe' has no key: set POE_API_KEY and restart\n");

    let output =
        vdm(&["explain", "--json", "top:haiku", "!x"], OPENAI, "['#top'.aliases]\nhaiku = 'openai:gpt-4o'");
    assert_eq!(output.status.code(), Some(0));
    let explained: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(
        (&explained[0]["profile"], &explained[0]["upstream_model"]),
        (&"top".into(), &"gpt-4o".into())
    );
    assert_eq!(explained[1]["upstream_model"], "x");
}

#[test]
fn fallbacks_for_all_names_of_a_provider_apply_to_names_that_resolve_to_it() {
    let others =
        ["beta", "gamma"].map(|name| format!("[{name}]\napi-key = 'k'\nbase-url = 'http://{name}/v1'\n"));
    let fallbacks = |rules: &str| {
        let alpha = "[alpha]\napi-key = 'k'\nbase-url = 'http://alpha/v1'\n[alpha.aliases]\nfar = 'beta:m'\nnear = 'n'";
        let file = format!("{alpha}\n[alpha.fallbacks]\n{rules}\n{}", others.concat());
        let output = vdm(&["explain", "--json", "alpha:far", "alpha:near"], &[], &file);
        let explained: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        [explained[0]["fallbacks"].clone(), explained[1]["fallbacks"].clone()]
    };
    let gamma = serde_json::json!(["gamma:x"]);
    assert_eq!(fallbacks("\"*\" = ['gamma:x']"), [Value::Null, gamma.clone()]);
    assert_eq!(fallbacks("far = ['gamma:x']"), [gamma, Value::Null]);
}

#[test]
fn a_command_without_its_group_is_answered_with_the_full_command() {
    for (line, command) in [
        ("start --port 1", "vdm server start"),
        ("stop", "vdm server stop"),
        ("status", "vdm server status"),
        ("reload", "vdm server reload"),
        ("restart", "vdm server restart"),
        ("setup", "vdm config setup"),
        ("validate", "vdm config validate"),
        ("server show", "vdm config show"),
        ("config start", "vdm server start"),
        ("serve", "vdm server start"),
        ("claude", "vdm wrap claude"),
    ] {
        let output = vdm(&line.split(' ').collect::<Vec<_>>(), OPENAI, "");
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{line}");
        let told = stderr(&output);
        assert!(
            told.ends_with(&format!("; use `{command}`\n")) && told.lines().count() == 1,
            "{line}: {told}"
        );
    }
    let unknown = stderr(&vdm(&["explian"], OPENAI, ""));
    assert!(unknown.contains("'explain'"), "clap's own advice stays: {unknown}");
}

#[test]
fn show_prints_all_values_or_only_the_changed_ones() {
    let file = "[limits]\ndrain = 7";
    let all = stdout(&vdm(&["config", "show"], OPENAI, file));
    assert!(all.contains("built-in defaults") && all.lines().count() > 100, "a pipe gets everything");
    let explicit = stdout(&vdm(&["config", "show", "--all"], OPENAI, file));
    assert_eq!(explicit.lines().count(), all.lines().count());
    let changed = vdm(&["config", "show", "--changed"], OPENAI, file);
    let shown = stdout(&changed);
    assert!(!shown.contains("built-in defaults"), "{shown}");
    let lines: Vec<_> =
        shown.lines().filter_map(|line| line.split("  #").next()).map(str::trim_end).collect();
    assert!(lines.contains(&"limits.drain = 7") && lines.len() == 2, "{shown}");
    assert!(stderr(&changed).contains("built-in defaults are not shown; --all shows them"), "{changed:?}");
    let json = vdm(&["config", "show", "--changed", "--json"], OPENAI, file);
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&json.stdout).expect("JSON").len(), 2);
    assert_eq!(vdm(&["config", "show", "--changed", "--all"], OPENAI, file).status.code(), Some(2));
}

#[test]
fn on_a_terminal_show_prints_only_the_changed_values() {
    let script = std::process::Command::new("script")
        .args(["-qec", &format!("{} config show", env!("CARGO_BIN_EXE_vdm")), "/dev/null"])
        .env("OPENAI_API_KEY", "sk-canary")
        .stdin(std::process::Stdio::null())
        .output();
    // This program is not installed everywhere.
    let Ok(output) = script else { return };
    let shown = stdout(&output);
    assert!(shown.contains("openai.api-key") && shown.lines().count() < 40, "{shown}");
}

#[test]
fn aliases_of_inactive_profiles_are_hidden() {
    let told = vdm(&["aliases"], OPENAI, "");
    let shown = stdout(&told);
    assert!(!shown.contains("main:") && !shown.contains("top:") && shown.contains("openai:haiku"), "{shown}");
    assert!(
        stderr(&told).contains("inactive profiles are not shown: main, top; --all shows them"),
        "{told:?}"
    );
    for arguments in [&["aliases", "--all"][..], &["aliases", "--provider", "top"], &["aliases", "--json"]] {
        let told = vdm(arguments, OPENAI, "");
        assert!(stdout(&told).contains("top:haiku") && stderr(&told).is_empty(), "{told:?}");
    }
    let active = vdm(&["aliases"], OPENAI, "['#work'.aliases]\nhaiku = 'openai:x'");
    assert!(stdout(&active).contains("work:haiku"), "{active:?}");
}

/// Deviates from the original ("`vdm config validate` exits 0 for a Poe-only setup and 1 with details for a
/// partial provider named as default"): it succeeds exactly if the gateway would start, and a partial default provider
/// only causes a warning.
#[test]
fn validate_succeeds_if_the_gateway_would_start_and_else_reports_every_error() {
    let output = vdm(&["config", "validate"], OPENAI, "");
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "The configuration is valid; providers: openai.\n")
    );

    let output = vdm(&["config", "validate"], &[("PORT", "x"), ("FOO_API_KEY", "k")], "[limits]\ndrian = 1");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    let said = stderr(&output);
    assert!(said.contains("2:1: [limits] drian") && said.contains("environment variable PORT"), "{said}");

    let output = vdm(&["config", "validate", "--json"], &[("HTTPS_PROXY", "socks5://me:secret@h")], "");
    assert_eq!(output.status.code(), Some(1));
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(verdict["valid"], false);
    let mistake = "environment variable HTTPS_PROXY: expected a proxy as http://host:port";
    assert_eq!(verdict["mistakes"], serde_json::json!([mistake]));

    let warned = vdm(&["config", "validate", "--json"], &[("FOO_API_KEY", "k")], "");
    let verdict: Value = serde_json::from_slice(&warned.stdout).expect("JSON alone");
    assert!(verdict["warnings"][0].as_str().is_some_and(|warning| warning.contains("FOO_BASE_URL")));
}

/// Requirement: Given OPENAI and POE keys and `VDM_DEFAULT_PROVIDER=openai`, then the configured default is
/// openai with source env.
#[test]
fn show_prints_each_value_with_its_source_and_no_secret() {
    let file = "[poe]\napi-key = 'canary-of-poe'\n[poe.custom-headers]\nx-team = 'canary-team'\n[openai]\ntimeout = 7";
    let environment = [
        ("OPENAI_API_KEY", "sk-canary"),
        ("PROXY_API_KEY", "canary"),
        ("MAX_RETRIES", "4"),
        ("VDM_DEFAULT_PROVIDER", "openai"),
    ];
    let output = vdm(&["config", "show"], &environment, file);
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!shown.contains("canary"), "{shown}");
    let line = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key));
        line.unwrap_or_else(|| panic!("no {key} in {shown}")).to_owned()
    };
    assert!(line("openai.timeout = 7").contains("vandamme-config.toml:6:11"));
    assert!(line("openai.api-key = <").contains("environment variable OPENAI_API_KEY"));
    assert!(line("(all providers) max-retries = 4").contains("environment variable MAX_RETRIES"));
    let default = line("defaults.default-provider = \"openai\"");
    assert!(default.contains("environment variable VDM_DEFAULT_PROVIDER"), "{default}");
    assert!(line("limits.drain = 25").contains("built-in defaults"));
    assert!(line("\"#top\".aliases.haiku = \"zai:opus\"").contains("built-in defaults"));

    let broken = vdm(&["config", "show"], OPENAI, "port = 'x'\nhost = 'h'");
    assert_eq!(broken.status.code(), Some(1));
    assert!(stdout(&broken).contains("host = \"h\"") && stderr(&broken).contains("1:8: port"));
}

#[test]
fn env_documents_the_variables_that_are_read() {
    let output = vdm(&["config", "env"], &[], "");
    let told = stdout(&output);
    for name in ["HOST", "PROXY_API_KEY", "MAX_TOKENS_LIMIT", "{PROVIDER}_API_KEY", "{PROVIDER}_ALIAS_{NAME}"]
    {
        assert!(told.lines().any(|line| line.starts_with(name)), "{name}: {told}");
    }
    let json: Value =
        serde_json::from_slice(&vdm(&["config", "env", "--json"], &[], "").stdout).expect("JSON");
    assert!(json.as_array().is_some_and(|all| all.len() >= 15));
}

#[test]
fn explain_lists_the_fallbacks_of_a_name() {
    let keys = &[("OPENAI_API_KEY", "sk-canary"), ("ZAI_API_KEY", "sk-canary2")];
    let file = "[openai.fallbacks]\nsonnet = ['zai:opus', 'poe:x']\n";
    let output = vdm(&["explain", "sonnet"], keys, file);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stdout(&output);
    let opus = told.lines().find_map(|line| line.split_once(", then ")).expect("a chain").1.to_owned();
    assert!(told.contains(&format!("  if that fails: 'zai:opus', which resolves to {opus}\n")), "{told}");
    assert!(
        told.contains("  fallback 'poe:x' is not used: provider 'poe' has no key: set POE_API_KEY"),
        "{told}"
    );
    let json = vdm(&["explain", "--json", "sonnet"], keys, file);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON alone");
    assert_eq!(json[0]["fallbacks"], serde_json::json!([opus]));
}

#[test]
fn a_fallback_without_a_target_is_refused_with_its_place() {
    let file =
        "[openai]\nfallbacks = ['opanrouter:x']\n[openai.aliases]\na = 'b'\n\n['#p'.fallbacks]\nh = ['q']\n";
    let output = vdm(&["config", "validate"], OPENAI, file);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains(
            "vandamme-config.toml:2:13: [openai] fallbacks: fallback \"opanrouter:x\": there is no provider \"opanrouter\"; did you mean \"openrouter:…\"?"
        ),
        "{told}"
    );
    assert!(
        told.contains("vandamme-config.toml:7:5: [\"#p\".fallbacks] h: expected a list of targets"),
        "{told}"
    );

    let output = vdm(&["config", "validate"], OPENAI, "[openai]\nfallbacks = ['poe:x']\n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let warned = stderr(&output);
    assert!(warned.contains("fallback 'poe:x' for '*' of 'openai' is not used"), "{warned}");
}
