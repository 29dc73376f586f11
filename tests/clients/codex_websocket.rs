//! Codex over a WebSocket, with upstreams of all three APIs: it sends a warm-up and then new items only, survives a restart of the
//! gateway, and uses HTTP if the gateway opens no WebSocket.

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::codex::CODEX;
use crate::installed::{self, Finished, Home};
use crate::steps::{Api, CallInput, StepCall, Steps, results, turns};
use crate::support::gateway::{Gateway, Setup};

/// The tool with which Codex runs commands.
const SHELL: &str = "exec_command";
const LAST_WORDS: &str = "It is done.";
/// The line of the log for a WebSocket that has ended.
const ENDED: &str = "a WebSocket connection ends";

/// Runs these commands, one after the other.
fn script(commands: &[&str]) -> Steps {
    let call =
        |command: &&str| StepCall { tool: SHELL, input: CallInput::Arguments(json!({ "cmd": command })) };
    Steps { calls: commands.iter().map(call).collect(), last_words: LAST_WORDS }
}

fn setup(api: Api, upstream: &crate::support::upstream::Upstream) -> Setup {
    let variables = api.variables(upstream).into_iter();
    let setup = variables.fold(Gateway::bare(), |setup, (name, value)| setup.env(&name, value));
    setup.env("LOG_LEVEL", "DEBUG")
}

/// `codex exec` with a provider that has WebSockets; `None` if Codex is not installed.
fn exec(gateway: &Gateway, home: &Home) -> Option<Finished> {
    let codex = installed::client(CODEX)?;
    let provider = format!(
        "model_providers.vdm={{name=\"vdm\",base_url=\"http://{}/v1\",env_key=\"KEY\",wire_api=\"responses\",supports_websockets=true}}",
        gateway.address
    );
    let prepare = |command: &mut Command| {
        command.env("CODEX_HOME", home.path.join(".codex")).env("KEY", "any");
        command.args([
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
        ]);
        command.args(["-m", "test-model", "-c", "model_provider=\"vdm\"", "-c", &provider, "Do it"]);
    };
    std::fs::create_dir_all(home.path.join(".codex")).expect("a writable directory");
    Some(installed::run(&codex, home, prepare))
}

/// The last message, and that nothing has failed.
fn expect_success(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    let lines = finished.stdout.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut messages = events.iter().filter(|event| event["item"]["type"] == "agent_message");
    assert_eq!(messages.next_back().expect("a message")["item"]["text"], LAST_WORDS, "{finished:#?}");
    assert!(!events.iter().any(|event| event["type"] == "error"), "nothing is tried again: {finished:#?}");
}

#[test]
fn a_conversation_over_a_websocket_reaches_upstreams_of_every_api() {
    for api in Api::ALL {
        let upstream = script(&["echo one", "echo two"]).played_by(api.upstream());
        let (gateway, home) = (setup(api, &upstream).start(), Home::new());
        let Some(finished) = exec(&gateway, &home) else { return };

        expect_success(&finished);
        let turns = turns(&upstream, SHELL);
        assert_eq!(turns.len(), 3, "{api:?}: the warm-up calls no upstream");
        assert_eq!(turns.iter().map(|turn| results(turn).len()).collect::<Vec<_>>(), [0, 1, 2], "{api:?}");
        assert!(turns.iter().all(|turn| turn.to_string().contains("Do it")), "every request is whole");
        assert_eq!(gateway.run.await_log(ENDED).matches(ENDED).count(), 1, "{api:?}: one connection");
    }
}

#[test]
fn without_a_websocket_it_uses_http_at_once() {
    let upstream = script(&["echo one"]).played_by(Api::Responses.upstream());
    let gateway = setup(Api::Responses, &upstream).limit("websockets", 0).start();
    let Some(finished) = exec(&gateway, &Home::new()) else { return };

    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert!(finished.stdout.contains(LAST_WORDS), "{finished:#?}");
    assert_eq!(turns(&upstream, SHELL).len(), 2);
    assert!(!gateway.log().contains(ENDED));
}

/// A restart in the middle of a conversation: Codex connects to the new worker and sends all items again.
#[test]
fn it_survives_a_restart_of_the_gateway() {
    let upstream = script(&["sleep 2", "echo two"]).played_by(Api::Responses.upstream());
    let (gateway, home) = (setup(Api::Responses, &upstream).start(), Home::new());
    let first = gateway.worker();
    let finished = thread::scope(|scope| {
        let running = scope.spawn(|| exec(&gateway, &home));
        if installed::client(CODEX).is_some() {
            // Codex has the first call now, and its command runs.
            upstream.request(0);
            thread::sleep(Duration::from_millis(500));
            assert!(gateway.server(&["restart"]).status().expect("vdm is built").success());
        }
        running.join().expect("no panic")
    });
    let Some(finished) = finished else { return };

    expect_success(&finished);
    assert_ne!(gateway.worker(), first);
    let turns = turns(&upstream, SHELL);
    assert_eq!(turns.iter().map(|turn| results(turn).len()).collect::<Vec<_>>(), [0, 1, 2]);
}
