//! Claude Code's WebSearch over a provider without a search: the gateway asks a search service.

use serde_json::{Value, json};

use crate::claude_code::{NEW, OLD, prepare};
use crate::installed::{self, Home};
use crate::script::{self, Conversation};
use crate::support::canned::openai;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Seen, Upstream};

const LINK: &str = "https://blog.example/announcing-1-95";
const TITLE: &str = "Announcing Rust 1.95";

/// The answer to a round of the gateway's search: first a call, then a text.
fn round(seen: &Seen) -> Option<Answer> {
    let body = script::body(seen);
    let is_search = script::list(&body["tools"]).iter().any(|tool| tool["function"]["name"] == "web_search");
    let has_result = script::list(&body["messages"]).iter().any(|message| message["role"] == "tool");
    let arguments = "{\"query\":\"newest Rust version\"}";
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "web_search", "arguments": arguments}});
    let events = match has_result {
        false => openai::stream(vec![openai::tool(&call)], "tool_calls"),
        true => openai::stream(vec![openai::content("Rust 1.95 is out\u{3010}1\u{3011}.")], "stop"),
    };
    is_search.then(|| Answer::events(events))
}

/// Runs Claude Code with a service that answers so. Returns its result of WebSearch and the searches that it counts.
fn searched(client: &str, service: Answer) -> Option<(String, u64)> {
    let claude = installed::client(client)?;
    let home = Home::new();
    let conversation = Conversation {
        tool: "WebSearch",
        input: json!({"query": "newest Rust version"}),
        last_words: "Rust 1.95 is the newest.",
    };
    let upstream = conversation.played_by(Upstream::openai().ruled_by(round));
    let service = Upstream::openai().always(service);
    let gateway = Gateway::before(&upstream)
        .env("BRAVE_API_KEY", "brave-key-1234567890")
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml("[web-search]\nby = ['provider', 'brave']")
        .start();

    let finished = installed::run(&claude, &home, |command| {
        prepare(command, "Which Rust version is the newest? Search the web.", &gateway);
        command.args(["--allowedTools", "WebSearch"]);
        // Otherwise the new version offers WebSearch only after a search for tools.
        command.env("ENABLE_TOOL_SEARCH", "false");
    });

    assert!(finished.status.success(), "{finished:#?}");
    let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(said["result"], "Rust 1.95 is the newest.", "{finished:#?}");
    let bodies: Vec<Value> = upstream.requests().iter().map(script::body).collect();
    let is_claudes = |body: &&Value| {
        !script::list(&body["tools"]).iter().any(|tool| tool["function"]["name"] == "web_search")
    };
    let result = bodies
        .iter()
        .filter(is_claudes)
        .find_map(script::result)
        .expect("the result of WebSearch")
        .to_string();
    let models = said["modelUsage"].as_object().into_iter().flat_map(|models| models.values());
    Some((result, models.filter_map(|model| model["webSearchRequests"].as_u64()).sum()))
}

/// Requirement: Claude Code's WebSearch shows the links of the search service.
fn shows_the_links(client: &str) {
    let page = json!({"title": TITLE, "url": LINK, "description": "1.95 is out."});
    let answer = Answer::json(200, json!({"type": "search", "web": {"results": [page]}}).to_string());
    let Some((result, searches)) = searched(client, answer) else { return };
    assert!(
        result.contains(LINK) && result.contains(TITLE) && result.contains("Rust 1.95 is out"),
        "{result}"
    );
    assert_eq!(searches, 1, "{result}");
}

#[test]
fn the_new_version_shows_the_links_of_the_service() {
    shows_the_links(NEW);
}

#[test]
fn the_old_version_shows_the_links_of_the_service() {
    shows_the_links(OLD);
}

/// Requirement: if the service fails, Claude Code shows that, and no invented links.
#[test]
fn the_new_version_shows_that_the_service_has_failed() {
    let Some((result, searches)) = searched(NEW, Answer::json(500, "{}")) else { return };
    assert!(result.contains("unavailable") && !result.contains("http"), "{result}");
    assert_eq!(searches, 0, "{result}");
}
