//! Codex, started with `codex.vdm`: a conversation that runs a command and applies a patch, over upstreams of all three APIs.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::installed::{self, Finished, Home};
use crate::script::{self, list};
use crate::steps::{Api, CallInput, StepCall, Steps, reasoning_id, results, seal, turns};
use crate::support::canned;
use crate::support::upstream::{Answer, Seen, Upstream};
use crate::wrapped::{self, Runtime};

pub(crate) const CODEX: &str = "codex/node_modules/.bin/codex";
/// The tool with which Codex runs commands.
const SHELL: &str = "exec_command";
const LAST_WORDS: &str = "It is done.";
const PATCH: &str = "*** Begin Patch\n*** Add File: poem.txt\n+Roses are \"red\",\n+\tGenève has a \\ and 🌹.\n*** End Patch\n";
const POEM: &str = "Roses are \"red\",\n\tGenève has a \\ and 🌹.\n";

/// Runs a command, then applies a patch.
fn steps() -> Steps {
    let command = json!({"cmd": "echo from-the-shell > shell.txt; echo out-of-the-shell"});
    let calls = vec![
        StepCall { tool: SHELL, input: CallInput::Arguments(command) },
        StepCall { tool: "apply_patch", input: CallInput::Text(PATCH.to_owned()) },
    ];
    Steps { calls, last_words: LAST_WORDS }
}

/// A user with a home and a configuration.
struct User {
    home: Home,
    runtime: Runtime,
    variables: Vec<(String, String)>,
}

impl User {
    fn new(name: &str, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().collect();
        Self { home: Home::new(), runtime: Runtime::new(&format!("codex-{name}")), variables }
    }

    /// `codex.vdm exec`; `None` if Codex is not installed.
    fn exec(&self, arguments: &[&str]) -> Option<Finished> {
        let codex = installed::client(CODEX)?;
        let link = self.home.path.join("codex.vdm");
        let link = if link.exists() { link } else { wrapped::link(&self.home, "codex.vdm") };
        Some(installed::run(&link, &self.home, |command| {
            wrapped::prepare(command, &self.runtime, &codex);
            self.prepare(command, arguments);
        }))
    }

    /// The sandbox of Codex needs rights that a container may not have, so the tests run without it.
    fn prepare(&self, command: &mut Command, arguments: &[&str]) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]);
        command.args(arguments);
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.home.path.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

/// The events of `--json`.
fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.stdout.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The requests without those for the list of models.
fn calls(upstream: &Upstream) -> Vec<Seen> {
    let requests = upstream.requests().into_iter();
    requests.filter(|seen| !seen.target().contains("/models")).collect()
}

/// The completed items of this type.
fn completed<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    let items = events.iter().filter(|event| event["type"] == "item.completed").map(|event| &event["item"]);
    items.filter(|item| item["type"] == kind).collect()
}

fn runs_a_command_and_applies_a_patch(api: Api) {
    let upstream = steps().played_by(api.upstream());
    let user = User::new(api.format(), api.variables(&upstream));
    let Some(finished) = user.exec(&["--json", "Write the poem"]) else { return };

    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    let events = events(&finished);
    let commands = completed(&events, "command_execution");
    assert_eq!(commands.len(), 1, "{finished:#?}");
    assert_eq!(commands[0]["exit_code"], 0, "{finished:#?}");
    assert_eq!(commands[0]["aggregated_output"], "out-of-the-shell\n");
    assert_eq!(completed(&events, "file_change").len(), 1, "{finished:#?}");
    let last = completed(&events, "agent_message");
    assert_eq!(last.last().expect("a message")["text"], LAST_WORDS, "{finished:#?}");
    let usage = &events.last().expect("events")["usage"];
    assert!(usage["output_tokens"].as_u64() > Some(0), "{finished:#?}");
    assert_eq!((user.read("shell.txt").as_str(), user.read("poem.txt").as_str()), ("from-the-shell\n", POEM));
    user.runtime.await_gateways(0);

    let requests = upstream.requests();
    assert!(requests.iter().all(|seen| seen.key() == "sk-test"), "only the provider's key goes upstream");
    let turns = turns(&upstream, SHELL);
    assert_eq!(turns.iter().map(|turn| results(turn).len()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(results(&turns[1])[0].to_string().contains("out-of-the-shell"), "{}", turns[1]);
    assert!(results(&turns[2])[1].to_string().contains("poem.txt"), "{}", turns[2]);
    expect_reasoning(api, &turns[2]);

    continues(&user, api, &upstream);
}

/// Another process continues the session; it sends the reasoning of the first one, too.
fn continues(user: &User, api: Api, upstream: &Upstream) {
    let Some(finished) = user.exec(&["--json", "resume", "--last", "And now?"]) else { return };

    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    let turns = turns(upstream, SHELL);
    let last = turns.last().expect("turns");
    assert!(last.to_string().contains("And now?"), "{last}");
    assert_eq!(results(last).len(), 2, "{last}");
    expect_reasoning(api, last);
}

/// The reasoning of both steps comes back to the upstream that wrote it.
fn expect_reasoning(api: Api, turn: &Value) {
    let text = turn.to_string();
    for step in [0, 1] {
        match api {
            Api::Messages => assert!(text.contains(&seal(step)), "{turn}"),
            Api::ChatCompletions => {}
            Api::Responses => {
                let items = list(&turn["input"]);
                let item = items.iter().find(|item| item["encrypted_content"] == seal(step));
                let item = item.unwrap_or_else(|| panic!("no reasoning {step}: {turn}"));
                assert!(item["id"].is_null() || item["id"] == reasoning_id(step), "{item}");
            }
        }
    }
}

#[test]
fn over_messages_it_runs_a_command_and_applies_a_patch() {
    runs_a_command_and_applies_a_patch(Api::Messages);
}

#[test]
fn over_chat_completions_it_runs_a_command_and_applies_a_patch() {
    runs_a_command_and_applies_a_patch(Api::ChatCompletions);
}

#[test]
fn over_responses_it_runs_a_command_and_applies_a_patch() {
    runs_a_command_and_applies_a_patch(Api::Responses);
}

/// The demo provider answers, runs a command and applies a patch.
#[test]
fn it_works_without_configuration() {
    let user = User::new("demo", []);
    let Some(finished) = user.exec(&["Say hello"]) else { return };
    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert!(finished.stdout.contains("> Say hello"), "{finished:#?}");

    let finished = user.exec(&["Use the shell tool to run \"echo hello > shell.txt\""]).expect("installed");
    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert_eq!(user.read("shell.txt"), "hello\n");

    let prompt = "Use the apply_patch tool to write \"Hello, file\" to demo.txt";
    let finished = user.exec(&[prompt]).expect("installed");
    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert_eq!(user.read("demo.txt"), "Hello, file\n");
    assert!(finished.stdout.contains("The tool answered"), "{finished:#?}");
    user.runtime.await_gateways(0);
}

/// The statement: `codex.vdm exec` works with only `ANTHROPIC_API_KEY`.
#[test]
fn it_works_with_only_an_anthropic_key() {
    let upstream = steps().played_by(Upstream::anthropic());
    let variables =
        [("ANTHROPIC_API_KEY", "sk-test".to_owned()), ("ANTHROPIC_BASE_URL", upstream.base_url())];
    let user = User::new("key", variables.map(|(name, value)| (name.to_owned(), value)));
    // What Codex has from earlier, with its own provider.
    let config = "model = \"gpt-6-luna\"\n";
    fs::create_dir(user.home.path.join(".codex")).expect("a writable directory");
    fs::write(user.home.path.join(".codex/config.toml"), config).expect("a writable directory");

    let Some(finished) = user.exec(&["Write the poem"]) else { return };

    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert_eq!(user.read("poem.txt"), POEM);
    assert!(turns(&upstream, SHELL).iter().all(|turn| turn["model"] == "claude-sonnet-5-5"));
    assert_eq!(user.read(".codex/config.toml"), config, "the user's file stays as it is");

    let finished = user.exec(&["-m", "opus", "Hello"]).expect("installed");
    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    let last = calls(&upstream).last().map(script::body).expect("a request");
    assert_eq!(last["model"], "claude-opus-5-5");
}

#[test]
fn a_gateway_with_a_key_serves_it() {
    let upstream = Upstream::openai();
    let mut variables = Api::ChatCompletions.variables(&upstream).to_vec();
    variables.push(("PROXY_API_KEY".to_owned(), "sk-gateway-0123".to_owned()));
    let user = User::new("proxy-key", variables);
    let Some(finished) = user.exec(&["Say hello"]) else { return };

    assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
    assert!(finished.stdout.contains("Hello there!"), "{finished:#?}");
    assert_eq!(calls(&upstream).len(), 1);
    assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "only the provider's key");
}

#[test]
fn an_error_of_the_upstream_is_reported_and_the_exit_code_is_codexs() {
    let refusal = canned::openai::error("The prompt is odd", "invalid_request_error", "invalid_prompt");
    for api in [Api::ChatCompletions, Api::Responses] {
        let upstream = Upstream::openai().always(Answer::json(400, refusal.clone()));
        let user = User::new(&format!("error-{}", api.format()), api.variables(&upstream));
        let Some(finished) = user.exec(&["--json", "Say hello"]) else { return };

        assert_eq!(finished.status.code(), Some(1), "{finished:#?}");
        let events = events(&finished);
        let failed = events.iter().find(|event| event["type"] == "turn.failed");
        assert!(failed.is_some_and(|event| event.to_string().contains("The prompt is odd")), "{finished:#?}");
        assert_eq!(calls(&upstream).len(), 1, "{api:?}: it is not repeated");
    }
}
