//! What `vdm wrap codex` and `codex.vdm` give to Codex.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use super::{User, ended};

/// Prints its arguments, one a line, and its variables with a key.
const PRINTING: &str =
    "for word; do echo \"$word\"; done; echo \"key $VDM_WRAP_KEY, $OPENAI_API_KEY, $VDM_WRAP_URL\"";

fn with_codex(name: &str, script: &str) -> User {
    let user = User::new(name);
    user.tool("codex", script);
    user
}

/// The settings that Codex is given, each from a `-c`, and the other arguments.
fn settings(out: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut settings, mut others) = (Vec::new(), Vec::new());
    let mut lines = out.lines();
    while let Some(line) = lines.next() {
        match line {
            "-c" => settings.extend(lines.next()),
            other => others.push(other),
        }
    }
    (settings, others)
}

#[test]
fn codex_has_the_gateway_as_its_provider() {
    let user = with_codex("codex", PRINTING);
    for mut command in [user.wrap(&["codex", "exec", "--json", "say hello"]), {
        let mut command = user.command("./codex.vdm");
        command.args(["exec", "--json", "say hello"]);
        command
    }] {
        let (code, out, talk) = ended(command.env("OPENAI_API_KEY", "sk-canary"));
        assert_eq!((code, talk.as_str()), (Some(0), ""), "{out}");
        let (settings, others) = settings(&out);
        let ["exec", "--json", "say hello", key] = others[..] else { panic!("{out}") };
        let (_, url) = key.rsplit_once(", ").expect("the URL is last");
        assert_eq!(key, format!("key vdm, sk-canary, {url}"));
        for setting in [
            r#"model_provider="vdm""#.to_owned(),
            format!(r#"model_providers.vdm.base_url="{url}/v1""#),
            r#"model_providers.vdm.wire_api="responses""#.to_owned(),
            r#"model_providers.vdm.env_key="VDM_WRAP_KEY""#.to_owned(),
            r#"model="sonnet""#.to_owned(),
        ] {
            assert!(settings.contains(&&*setting), "{setting}: {out}");
        }
    }
    user.await_no_gateway();
    assert!(!user.home.join(".codex").exists(), "nothing is written to Codex's home");
}

#[test]
fn the_users_model_and_settings_come_after_those_of_the_gateway() {
    let user = with_codex("codex-model", PRINTING);
    let line = ["-c", "model_providers.vdm.request_max_retries=1", "-m", "opus", "exec", "hi"];
    let mut command = user.command("./codex.vdm");
    let (_, out, _) = ended(command.args(line));

    assert!(!out.contains("model=\""), "{out}");
    let (all, others) = settings(&out);
    assert_eq!(all.last(), Some(&"model_providers.vdm.request_max_retries=1"));
    assert_eq!(others[..4], ["-m", "opus", "exec", "hi"]);
}

#[test]
fn the_gateway_key_is_in_the_environment_alone() {
    let user = with_codex("codex-key", PRINTING);
    let mut command = user.command("./codex.vdm");
    let (_, out, _) = ended(command.arg("exec").env("PROXY_API_KEY", "canary"));
    assert_eq!(out.matches("canary").count(), 1, "{out}");
    assert!(out.contains("key canary, "), "{out}");

    // A provider that uses the client's own key, behind a gateway with a key.
    let mut command = user.command("./codex.vdm");
    command.arg("exec").env("PROXY_API_KEY", "canary").env("OPENAI_API_KEY", "sk-own");
    let (_, out, _) = ended(command.env("POE_API_KEY", "!PASSTHRU"));
    let (settings, _) = settings(&out);
    assert!(settings.contains(&r#"model_providers.vdm.env_key="OPENAI_API_KEY""#), "{out}");
    let header = r#"model_providers.vdm.env_http_headers={x-vdm-proxy-key = "VDM_WRAP_KEY"}"#;
    assert!(settings.contains(&header) && out.contains("key canary, sk-own"), "{out}");
}

#[test]
fn the_exit_status_is_codexs() {
    let user = with_codex("codex-exit", "[ \"$VDM_TEST\" = kill ] && kill -s TERM $$; exit 7");
    let codex_vdm = || user.command("./codex.vdm");
    assert_eq!(codex_vdm().status().expect("vdm is built").code(), Some(7));
    let killed = codex_vdm().env("VDM_TEST", "kill").status().expect("vdm is built");
    assert_eq!(killed.signal(), Some(15));
}

#[test]
fn a_dry_run_prints_a_command_that_can_be_pasted() {
    let user = with_codex("codex-dry", "echo started");
    let mut command = user.wrap(&["--dry-run", "--port", "9999", "codex", "--", "exec", "two words"]);
    let (code, out, talk) = ended(command.env("PROXY_API_KEY", "canary"));
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    assert!(out.starts_with("codex -c 'model_provider=\"vdm\"' "), "{out}");
    assert!(out.contains(" exec 'two words'\nwith\n"), "{out}");
    assert!(out.contains("  VDM_WRAP_KEY=<PROXY_API_KEY>\n") && !out.contains("canary"), "{out}");
    assert!(fs::read_dir(user.home.join("vandamme")).is_err(), "no gateway is started");
}
