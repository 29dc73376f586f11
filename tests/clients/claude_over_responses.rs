//! Claude Code with an upstream of the Responses API: thinking and tools, and the encrypted reasoning comes back.

use serde_json::{Value, json};

use crate::claude_code::{NEW, OLD, prepare};
use crate::installed::{self, Finished, Home};
use crate::script::list;
use crate::steps::{Api, CallInput, StepCall, Steps, call_id, reasoning_id, results, seal, thought, turns};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

const LAST_WORDS: &str = "The poem is in its file.";
/// Text with characters that encodings often break.
const POEM: &str = "Roses are \"red\",\n\tGenève has a \\ and 🌹.\n";

fn upstream(home: &Home) -> Upstream {
    let input = json!({"file_path": home.path.join("poem.txt"), "content": POEM});
    let call = StepCall { tool: "Write", input: CallInput::Arguments(input) };
    Steps { calls: vec![call], last_words: LAST_WORDS }.played_by(Upstream::openai())
}

/// A user who has only an OpenAI key, and the default aliases.
fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::before(upstream).env("OPENAI_API_FORMAT", Api::Responses.format()).start()
}

fn ask(client: &str, home: &Home, gateway: &Gateway, arguments: &[&str]) -> Option<Finished> {
    let claude = installed::client(client)?;
    Some(installed::run(&claude, home, |command| {
        prepare(command, "Write the poem to poem.txt", gateway);
        command.args(["--model", "sonnet"]).args(arguments);
        // The old version thinks only if told to.
        command.env("MAX_THINKING_TOKENS", "4000");
    }))
}

#[test]
fn the_old_version_writes_a_file_and_returns_the_reasoning() {
    writes_a_file(OLD);
}

#[test]
fn the_new_version_writes_a_file_and_returns_the_reasoning() {
    writes_a_file(NEW);
}

fn writes_a_file(client: &str) {
    let home = Home::new();
    let upstream = upstream(&home);
    let gateway = gateway(&upstream);
    let Some(finished) = ask(client, &home, &gateway, &[]) else { return };

    expect_success(&finished);
    let written = std::fs::read_to_string(home.path.join("poem.txt")).expect("the file of Claude Code");
    assert_eq!(written, POEM);
    let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert!(said["usage"]["cache_read_input_tokens"].as_u64() > Some(0), "{finished:#?}");

    let turns = turns(&upstream, "Write");
    let [first, second] = &turns[..] else { panic!("{} turns", turns.len()) };
    assert_eq!(first["model"], "gpt-6.1-sol", "the default alias");
    assert_eq!((&first["store"], &first["stream"]), (&json!(false), &json!(true)), "{first}");
    assert_eq!(first["include"], json!(["reasoning.encrypted_content"]), "{first}");
    expect_reasoning(second, 0);
}

/// In the second turn, the reasoning stands before the call that it led to, as the upstream wrote it.
fn expect_reasoning(turn: &Value, step: usize) {
    let items = list(&turn["input"]);
    let is_reasoning = |item: &&Value| item["type"] == "reasoning";
    let place = items.iter().position(|item| is_reasoning(&item)).unwrap_or_else(|| panic!("{turn}"));
    let (reasoning, call) = (&items[place], &items[place + 1]);
    assert_eq!(reasoning["id"], reasoning_id(step), "{reasoning}");
    assert_eq!(reasoning["encrypted_content"], seal(step), "{reasoning}");
    assert_eq!(reasoning["summary"], json!([{"type": "summary_text", "text": thought(step)}]));
    assert_eq!((&call["type"], &call["call_id"]), (&json!("function_call"), &json!(call_id(step))), "{turn}");
    let result = results(turn)[0];
    assert_eq!(
        (&result["type"], &result["call_id"]),
        (&json!("function_call_output"), &json!(call_id(step)))
    );
    assert!(result["output"].to_string().contains("poem.txt"), "{result}");
}

fn expect_success(finished: &Finished) {
    assert!(finished.status.success(), "{finished:#?}");
    let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!((&said["is_error"], &said["result"]), (&json!(false), &json!(LAST_WORDS)), "{finished:#?}");
}

/// Also in another process, which has the conversation from its file.
#[test]
fn a_continued_session_returns_the_reasoning_too() {
    let home = Home::new();
    let upstream = upstream(&home);
    let gateway = gateway(&upstream);
    let Some(finished) = ask(NEW, &home, &gateway, &[]) else { return };
    expect_success(&finished);

    let Some(continued) = ask(NEW, &home, &gateway, &["--continue"]) else { return };

    expect_success(&continued);
    let turns = turns(&upstream, "Write");
    expect_reasoning(turns.last().expect("turns"), 0);
}
