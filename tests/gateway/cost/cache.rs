//! A session whose prompt cache is lost: the warning, its cause, and what is no loss.

use serde_json::{Value, json};

use super::rows;
use crate::support::await_that;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

const MODEL: &str = "claude-opus-5-5";

/// A reply whose prompt read this many tokens from the cache, and wrote this many to it.
fn reply((cache_read, cache_creation): (u64, u64)) -> Answer {
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": cache_read,
        "cache_creation_input_tokens": cache_creation});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
    Answer::json(200, message.to_string())
}

/// One request of Claude Code.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) session: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) model: &'a str,
    pub(super) system: &'a str,
    pub(super) tool: &'a str,
    pub(super) messages: &'a [&'a str],
    pub(super) cached: (u64, u64),
    pub(super) stream: bool,
}

pub(super) const FIRST: Turn<'_> = Turn {
    session: "0af1-22",
    agent: None,
    model: MODEL,
    system: "the system prompt",
    tool: "Read",
    messages: &["the first question", "an answer", "the second question"],
    cached: (0, 50_000),
    stream: false,
};

/// The same conversation with one more question.
pub(super) const NEXT: Turn<'_> = Turn {
    messages: &[
        "the first question",
        "an answer",
        "the second question",
        "another answer",
        "the third question",
    ],
    cached: (0, 51_000),
    ..FIRST
};

fn send(gateway: &Gateway, upstream: &Upstream, turn: &Turn<'_>) {
    upstream.then(reply(turn.cached));
    request(gateway, turn);
}

pub(super) fn request(gateway: &Gateway, turn: &Turn<'_>) {
    let last = turn.messages.len() - 1;
    let message = |(number, text): (usize, &&str)| {
        let role = if number % 2 == 0 { "user" } else { "assistant" };
        let mut block = json!({"type": "text", "text": text});
        if number == last {
            // Claude Code marks the last message, so the mark moves with every turn.
            block["cache_control"] = json!({"type": "ephemeral"});
        }
        json!({"role": role, "content": [block]})
    };
    let messages: Vec<Value> = turn.messages.iter().enumerate().map(message).collect();
    let body = json!({"model": turn.model, "max_tokens": 9, "stream": turn.stream, "system": [{"type": "text", "text": turn.system}],
        "tools": [{"name": turn.tool, "input_schema": {"type": "object"}}], "messages": messages});
    let mut call = gateway.messages(&body).header("x-claude-code-session-id", turn.session);
    if let Some(agent) = turn.agent {
        call = call.header("x-claude-code-agent-id", agent);
    }
    assert_eq!(call.reply().status(), 200);
}

/// The loss of the second request.
fn loss_after_first(second: &Turn<'_>) -> (Value, String) {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    send(&gateway, &upstream, &FIRST);
    rows(&gateway, 1);
    send(&gateway, &upstream, second);
    let rows = rows(&gateway, 2);
    assert_eq!(rows[1]["cache_loss"], Value::Null, "the first request loses nothing");
    if rows[0]["cache_loss"].is_object() {
        await_that("the overview says so", || gateway.get("/dashboard/").raw().contains("1 × cache lost"));
    }
    (rows[0]["cache_loss"].clone(), gateway.stop())
}

/// Requirement: a session that loses its prompt cache is reported with the cause, the tokens and what they cost, without any text
/// of the prompt.
#[test]
fn a_lost_cache_is_reported_with_its_cause() {
    let edited = [
        "the first question",
        "an edited answer",
        "the second question",
        "another answer",
        "the third question",
    ];
    for (second, cause, words) in [
        (Turn { system: "a changed prompt", ..NEXT }, "system", "the system prompt changed"),
        (Turn { tool: "Write", ..NEXT }, "tools", "the tools changed"),
        (Turn { messages: &edited, ..NEXT }, "message", "message 2 changed"),
        (NEXT, "vendor", "the provider no longer had it"),
    ] {
        let (loss, log) = loss_after_first(&second);
        assert_eq!((&loss["cause"], &loss["tokens"]), (&json!(cause), &json!(50_000)), "{loss:#}");
        assert!(loss["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{loss:#}");
        // Written again at $5 instead of read at $0.20 per million.
        assert_eq!(loss["cost_micro_dollars"], 240_000, "{loss:#}");
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("lost its prompt cache")).collect();
        let [warning] = warnings[..] else { panic!("{log}") };
        assert!(
            warning.contains("WARN") && warning.contains("0af1-22") && warning.contains(words),
            "{warning}"
        );
        assert!(warning.contains("50000 tokens") && warning.contains("$0.24"), "{warning}");
        assert!(!log.contains("question") && !log.contains("system prompt\""), "{log}");
    }
}

/// Requirement: no false alarm on a hit, a compaction, a new session, another model, a sub-agent, and a side request.
#[test]
fn what_is_no_loss_raises_no_alarm() {
    for second in [
        Turn { cached: (50_000, 1_000), ..NEXT },
        Turn { messages: &["a summary of the conversation"], cached: (9_000, 2_000), ..FIRST },
        Turn { session: "another", ..NEXT },
        Turn { model: "claude-haiku-5-5", ..NEXT },
        Turn { agent: Some("agent-1"), ..NEXT },
        Turn { system: "write a title", messages: &["the first question"], cached: (0, 0), ..FIRST },
    ] {
        let (loss, log) = loss_after_first(&second);
        assert_eq!(loss, Value::Null);
        assert!(!log.contains("lost its prompt cache"), "{log}");
    }
}

/// Requirement: a cache that is lost because a fallback served the request is named as such.
#[test]
fn a_fallback_loses_the_cache() {
    let (first, second) = (Upstream::anthropic(), Upstream::anthropic());
    let gateway = Gateway::before(&first)
        .provider("spare", &second)
        .toml("[anthropic.fallbacks]\n\"*\" = [\"spare:claude-opus-5-5\"]")
        .start();
    send(&gateway, &first, &FIRST);
    rows(&gateway, 1);
    first.then(Answer::json(
        404,
        crate::support::canned::anthropic::error("not_found_error", "model: no such model"),
    ));
    second.then(reply(NEXT.cached));
    request(&gateway, &NEXT);
    let rows = rows(&gateway, 2);
    assert_eq!(rows[0]["provider"], "spare", "{:#}", rows[0]);
    assert_eq!(rows[0]["cache_loss"]["cause"], "target", "{:#}", rows[0]);
}
