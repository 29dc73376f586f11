//! Claude Code in print mode completes a conversation with tool use, in which it writes a file.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::installed::{self, Finished, Home};
use crate::script::{self, CALL_ID, Conversation, SIGNATURE};
use crate::sdk;
use crate::support::canned;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

pub(crate) const OLD: &str = "claude-old/node_modules/.bin/claude";
pub(crate) const NEW: &str = "claude-new/node_modules/.bin/claude";

#[test]
fn the_old_version_writes_a_file_through_an_anthropic_upstream() {
    writes_a_file(OLD, Upstream::anthropic());
}

#[test]
fn the_old_version_writes_a_file_through_an_openai_upstream() {
    writes_a_file(OLD, Upstream::openai());
}

#[test]
fn the_new_version_writes_a_file_through_an_anthropic_upstream() {
    writes_a_file(NEW, Upstream::anthropic());
}

#[test]
fn the_new_version_writes_a_file_through_an_openai_upstream() {
    writes_a_file(NEW, Upstream::openai());
}

#[test]
fn the_old_version_retries_after_a_529_of_an_anthropic_upstream() {
    comes_back_after_a_529(OLD, Upstream::anthropic());
}

#[test]
fn the_old_version_retries_after_a_529_of_an_openai_upstream() {
    comes_back_after_a_529(OLD, Upstream::openai());
}

#[test]
fn the_new_version_retries_after_a_529_of_an_anthropic_upstream() {
    comes_back_after_a_529(NEW, Upstream::anthropic());
}

#[test]
fn the_new_version_retries_after_a_529_of_an_openai_upstream() {
    comes_back_after_a_529(NEW, Upstream::openai());
}

#[test]
fn the_old_version_works_without_configuration() {
    works_without_configuration(OLD);
}

#[test]
fn the_new_version_works_without_configuration() {
    works_without_configuration(NEW);
}

/// The demo provider answers: it writes the content of the prompt.
fn works_without_configuration(client: &str) {
    let Some(claude) = installed::client(client) else { return };
    let home = Home::new();
    let gateway = Gateway::bare().start();
    let path = home.path.join("demo.txt");

    let prompt = format!("Use the Write tool to write \"Hello, file\" to {}", path.display());
    let finished = ask(&claude, &home, &prompt, &gateway);

    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(std::fs::read_to_string(path).expect("the file that Claude Code wrote"), "Hello, file");
    assert!(finished.stdout.contains("The tool answered"), "{finished:#?}");
}

fn writes_a_file(client: &str, upstream: Upstream) {
    let Some(claude) = installed::client(client) else { return };
    let home = Home::new();
    let upstream = poem(&home).played_by(upstream);
    let gateway = Gateway::before(&upstream).start();

    let finished = ask(&claude, &home, "Write the poem to poem.txt", &gateway);

    expect_the_poem(&finished, &home);
    expect_the_result_upstream(&upstream);
}

#[test]
fn the_new_version_retries_after_503s_and_a_429_with_one_key() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let upstream = poem(&home).played_by(refusing_first(upstream, &[503, 503, 429]));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        let finished = ask(&claude, &home, "Write the poem to poem.txt", &gateway);

        expect_the_poem(&finished, &home);
        let asked = upstream.requests().iter().filter(|seen| is_first_turn(&script::body(seen))).count();
        assert_eq!(asked, 4, "the gateway refused none of them by itself");
    }
}

/// Refuses the first turn of the conversation with these errors, one after the other. The 429 names no wait.
fn refusing_first(upstream: Upstream, statuses: &'static [u16]) -> Upstream {
    let dialect = upstream.dialect();
    let refused = AtomicUsize::new(0);
    upstream.ruled_by(move |seen| {
        if !is_first_turn(&script::body(seen)) {
            return None;
        }
        let status = *statuses.get(refused.fetch_add(1, Ordering::SeqCst))?;
        let kind = if status == 429 { "rate_limit_error" } else { "api_error" };
        let body = match dialect {
            Dialect::Anthropic => canned::anthropic::error(kind, "Not now"),
            Dialect::OpenAi => canned::openai::error("Not now", "server_error", kind),
        };
        Some(Answer::json(status, body))
    })
}

/// The gateway does not retry here, so the client receives the 529 and retries by itself.
fn comes_back_after_a_529(client: &str, upstream: Upstream) {
    let Some(claude) = installed::client(client) else { return };
    let home = Home::new();
    let upstream = poem(&home).played_by(overloaded_once(upstream));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

    let finished = ask(&claude, &home, "Write the poem to poem.txt", &gateway);

    expect_the_poem(&finished, &home);
    let asked = upstream.requests().iter().filter(|seen| is_first_turn(&script::body(seen))).count();
    assert_eq!(asked, 2, "the first turn is sent, refused and sent again");
}

pub(crate) fn poem(home: &Home) -> Conversation {
    let path = home.path.join("poem.txt");
    Conversation {
        tool: "Write",
        input: json!({"file_path": path, "content": POEM}),
        last_words: "The poem is in its file.",
    }
}

/// Refuses the first turn of the conversation once.
fn overloaded_once(upstream: Upstream) -> Upstream {
    let dialect = upstream.dialect();
    let refused = AtomicBool::new(false);
    upstream.ruled_by(move |seen| {
        if !is_first_turn(&script::body(seen)) || refused.swap(true, Ordering::SeqCst) {
            return None;
        }
        let body = match dialect {
            Dialect::Anthropic => canned::anthropic::error("overloaded_error", "Overloaded"),
            Dialect::OpenAi => canned::openai::error("Overloaded", "server_error", "overloaded"),
        };
        Some(Answer::json(529, body))
    })
}

fn is_first_turn(request: &Value) -> bool {
    script::offers(request, "Write") && script::result(request).is_none()
}

fn ask(claude: &Path, home: &Home, prompt: &str, gateway: &Gateway) -> Finished {
    installed::run(claude, home, |command| prepare(command, prompt, gateway))
}

/// The environment of a user who has set the gateway as base URL. Nothing leaves the machine.
pub(crate) fn prepare(command: &mut Command, prompt: &str, gateway: &Gateway) {
    command.args(["-p", prompt, "--allowedTools", "Write", "--output-format", "json"]);
    command.env("ANTHROPIC_BASE_URL", format!("http://{}", gateway.address));
    command.env("ANTHROPIC_API_KEY", "sk-of-the-client");
    for switch in [
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_AUTOUPDATER",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    ] {
        command.env(switch, "1");
    }
}

pub(crate) fn expect_the_poem(finished: &Finished, home: &Home) {
    assert!(finished.status.success(), "{finished:#?}");
    let said: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}"));
    assert_eq!(said["is_error"], false, "{finished:#?}");
    assert_eq!(said["result"], "The poem is in its file.", "{finished:#?}");
    // Both turns have the same usage in the scripts of both APIs, so nothing was lost.
    assert!(said["usage"]["output_tokens"].as_u64() > Some(0), "{finished:#?}");
    assert!(said["usage"]["cache_read_input_tokens"].as_u64() > Some(0), "{finished:#?}");
    let written =
        std::fs::read_to_string(home.path.join("poem.txt")).expect("the file that Claude Code wrote");
    assert_eq!(written, POEM);
}

pub(crate) fn expect_the_result_upstream(upstream: &Upstream) {
    let requests = upstream.requests();
    assert!(requests.iter().all(|seen| seen.key() == "sk-test"), "only the provider's key goes upstream");
    let bodies: Vec<Value> = requests.iter().map(script::body).collect();
    let second = bodies.iter().find(|body| script::result(body).is_some()).expect("a second turn");
    let result = script::result(second).expect("just found");
    assert!(result["is_error"] != true, "{result}");
    assert!(result["content"].to_string().contains("poem.txt"), "{result}");
    let history = second["messages"].to_string();
    match upstream.dialect() {
        Dialect::Anthropic => {
            assert!(history.contains(SIGNATURE), "the thinking block comes back: {history}")
        }
        Dialect::OpenAi => {
            let call = second["messages"].as_array().expect("messages").iter();
            let call = call.map(|message| &message["tool_calls"][0]).find(|call| call["id"] == CALL_ID);
            let arguments = call.and_then(|call| call["function"]["arguments"].as_str()).expect("the call");
            let arguments: Value = serde_json::from_str(arguments).expect("its arguments");
            assert_eq!(arguments["content"], POEM);
        }
    }
}

/// Text with characters that encodings often break.
const POEM: &str = "Roses are \"red\",\n\tGenève has a \\ and 🌹.\n";

/// The file in which Claude Code keeps the models of `/model`.
const DISCOVERED: &str = ".claude/cache/gateway-models.json";

#[test]
fn the_new_version_discovers_the_models_and_requests_one_of_them() {
    let Some(claude) = installed::client(NEW) else { return };
    let home = Home::new();
    let upstream = sdk::listing(Upstream::openai());
    let gateway = Gateway::before(&upstream).start();
    // Fills the catalog.
    assert_eq!(gateway.get("/v1/models").status(), 200);
    let model = "claude-vdm/openai:vendor/model-2";

    let finished = installed::run(&claude, &home, |command| {
        prepare(command, "hi", &gateway);
        command.args(["--model", model]);
        command.env("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1");
    });

    assert!(finished.status.success(), "{finished:#?}");
    let kept = std::fs::read_to_string(home.path.join(DISCOVERED)).expect("what Claude Code discovered");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    let ids: Vec<_> = script::list(&kept["models"]).iter().filter_map(|model| model["id"].as_str()).collect();
    for id in ["claude-vdm/openai:haiku", "claude-vdm/openai:model-1", model] {
        assert!(ids.contains(&id), "{id}: {kept}");
    }
    let asked = upstream.requests().iter().map(script::body).find(|body| script::offers(body, "Write"));
    assert_eq!(asked.expect("a turn")["model"], "vendor/model-2");
    let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert!(said["modelUsage"].get(model).is_some(), "the reply names it: {said}");
}

#[test]
fn both_versions_report_a_wrong_gateway_key_at_once() {
    for version in [OLD, NEW] {
        let Some(claude) = installed::client(version) else { return };
        let home = Home::new();
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway-0123").start();
        let began = Instant::now();

        let finished = ask(&claude, &home, "hi", &gateway);

        assert!(began.elapsed() < Duration::from_secs(30), "it retries: {finished:#?}");
        assert!(!finished.status.success(), "{finished:#?}");
        assert!(finished.stdout.contains("PROXY_API_KEY"), "{finished:#?}");
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn a_base_url_that_ends_in_v1_works_with_both_versions() {
    for version in [OLD, NEW] {
        let Some(claude) = installed::client(version) else { return };
        let home = Home::new();
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();

        let finished = installed::run(&claude, &home, |command| {
            prepare(command, "hi", &gateway);
            command.env("ANTHROPIC_BASE_URL", format!("http://{}/v1", gateway.address));
        });

        assert!(finished.status.success(), "{finished:#?}");
        let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(said["result"], "Hello there!", "{finished:#?}");
    }
}
