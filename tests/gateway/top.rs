//! `vdm top`: the snapshot without a terminal, and the live view on a pseudo-terminal.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;

use crate::support::await_that;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// What enters and leaves the screen of a program.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const PATIENCE_MS: u64 = 60_000;

fn top(gateway: &Gateway, arguments: &[&str]) -> Command {
    let port = gateway.address.port().to_string();
    let mut command = gateway.run.vdm(&["top", "--port", &port]);
    command.args(arguments);
    command
}

fn printed(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = top(gateway, arguments).output().expect("vdm is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The live view on a pseudo-terminal, and its process.
fn on_a_terminal(gateway: &Gateway) -> (PtySession, String) {
    let program = top(gateway, &[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "stty rows 40 cols 140; echo process=$$,; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args());
    let environment = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(environment).env("TERM", "xterm");
    command.current_dir(program.get_current_dir().expect("the gateway's"));
    let mut session = spawn_command(command, Some(PATIENCE_MS)).expect("a pseudo-terminal");
    session.exp_string("process=").expect("the shell writes it");
    let process = session.exp_string(",").expect("the shell writes it");
    session.exp_string(ENTER).expect("the screen is entered");
    session.exp_string("requests/min").expect("the screen is drawn");
    (session, process)
}

/// Requirement: without a terminal, `vdm top` prints one snapshot: rates, requests in flight and finished, and providers.
#[test]
fn without_a_terminal_a_snapshot_is_printed() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    upstream.then(Answer::silence());
    let running = gateway.messages(&prompt("waiting-model", "hi")).send();
    upstream.request(1);
    await_that("the request is counted", || {
        printed(&gateway, &["--json"]).parse::<Value>().is_ok_and(|report| report["recent"]["requests"] == 1)
    });
    let report: Value = printed(&gateway, &["--json"]).parse().expect("JSON");
    let (row, finished) = (&report["running"][0], &report["finished"][0]);
    assert_eq!((&report["in_flight"], &row["requested"]), (&1.into(), &"waiting-model".into()), "{report:#}");
    assert!(row["key"].as_str().is_some_and(|key| key.len() == 8), "{report:#}");
    assert_eq!((&finished["status"], &finished["outcome"]), (&200.into(), &"succeeded".into()), "{report:#}");
    assert_eq!(
        (&finished["input_tokens"], &finished["output_tokens"]),
        (&21.into(), &9.into()),
        "{report:#}"
    );
    assert_eq!(report["providers"][0]["state"], "ok", "{report:#}");
    for arguments in [&[][..], &["--once"]] {
        let text = printed(&gateway, arguments);
        for part in [
            "1 in flight",
            "In flight: 1",
            "anthropic:waiting-model",
            &format!("anthropic:{MODEL}"),
            "PROVIDER",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains("sk-test"), "{text}");
    }
    running.hang_up();
}

/// Requirement: `q` ends the live view, which restores the terminal.
#[test]
fn the_live_view_starts_and_quits() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let (mut session, _) = on_a_terminal(&gateway);
    assert_eq!(gateway.ask("hi").status(), 200);
    session.exp_string(MODEL).expect("the request is shown");
    session.send("q").expect("it reads keys");
    session.flush().expect("it reads keys");
    session.exp_string(LEAVE).expect("the screen is left");
    session.exp_eof().expect("it ends");
}

/// Requirement: a signal ends the live view, which restores the terminal.
#[test]
fn a_signal_restores_the_terminal() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for signal in ["TERM", "HUP", "INT"] {
        let (mut session, process) = on_a_terminal(&gateway);
        let sent = Command::new("kill").args(["-s", signal, &process]).status().expect("kill");
        assert!(sent.success());
        session.exp_string(LEAVE).unwrap_or_else(|error| panic!("SIG{signal}: {error}"));
        session.exp_eof().expect("it ends");
    }
}

/// Requirement: without a gateway, and with a wrong key, the command says so in one line.
#[test]
fn a_missing_gateway_is_an_error() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "vdm_proxy_0123456789abcdef").start();
    let output =
        top(&gateway, &[]).env("PROXY_API_KEY", "vdm_wrong_0123456789abcdef").output().expect("vdm is built");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("401") && text.trim_end().lines().count() == 1, "{text}");
    let output = top(&gateway, &[]).env_remove("PROXY_API_KEY").output().expect("vdm is built");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("vdm sends PROXY_API_KEY"), "{text}");
    let port = gateway.address.port().to_string();
    gateway.stop();
    let home = crate::support::gateway::fresh_directory();
    let output = Command::new(env!("CARGO_BIN_EXE_vdm"))
        .args(["top", "--host", "127.0.0.1", "--port", &port])
        .env_clear()
        .env("HOME", &home)
        .output()
        .expect("vdm is built");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no gateway answers at"), "{text}");
}
