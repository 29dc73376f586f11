//! Claude Code's WebSearch over a provider that searches the web itself.

use serde_json::{Value, json};

use crate::claude_code::{NEW, OLD, prepare};
use crate::installed::{self, Home};
use crate::script::{self, Conversation};
use crate::support::canned::openai;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

const LINK: &str = "https://blog.example/announcing-1-95";
const TITLE: &str = "Announcing Rust 1.95";

/// The upstream's tool in a request, if it asks for a search.
fn searched(request: &Value) -> Option<&Value> {
    script::list(&request["tools"]).iter().find(|tool| tool["type"] == "openrouter:web_search")
}

/// Requirement: Claude Code's WebSearch request over an OpenRouter-dialect upstream shows the real links.
fn shows_the_links(client: &str) {
    let Some(claude) = installed::client(client) else { return };
    let home = Home::new();
    let citation = json!({"type": "url_citation", "url_citation":
        {"url": LINK, "title": TITLE, "content": "1.95 is out.", "start_index": 0, "end_index": 0}});
    let found = openai::stream(
        vec![
            openai::content("Rust 1.95 is out."),
            openai::delta(&json!({"content": "", "annotations": [citation]})),
        ],
        "stop",
    );
    let conversation = Conversation {
        tool: "WebSearch",
        input: json!({"query": "newest Rust version"}),
        last_words: "Rust 1.95 is the newest.",
    };
    let upstream = conversation.played_by(
        Upstream::openai()
            .ruled_by(move |seen| searched(&script::body(seen)).map(|_| Answer::events(found.clone()))),
    );
    let gateway = Gateway::before(&upstream)
        .env("OPENROUTER_API_KEY", "sk-test")
        .env("OPENROUTER_BASE_URL", upstream.base_url())
        .env("VDM_DEFAULT_PROVIDER", "openrouter")
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
    let search = bodies.iter().find_map(searched).expect("a request for a search");
    assert_eq!(search["parameters"]["max_uses"], 8, "{search}");
    let result = bodies.iter().find_map(script::result).expect("the result of WebSearch").to_string();
    assert!(result.contains(LINK) && result.contains(TITLE), "{result}");
    assert!(result.contains("Rust 1.95 is out."), "{result}");
    let models = said["modelUsage"].as_object().into_iter().flat_map(|models| models.values());
    let searches: u64 = models.filter_map(|model| model["webSearchRequests"].as_u64()).sum();
    assert_eq!(searches, 1, "{finished:#?}");
}

#[test]
fn the_new_version_shows_the_links_that_openrouter_has_found() {
    shows_the_links(NEW);
}

#[test]
fn the_old_version_shows_the_links_that_openrouter_has_found() {
    shows_the_links(OLD);
}
